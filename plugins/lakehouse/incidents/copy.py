"""Copies the incidents from PostgreSQL into the lake, where the boards and the checks read them."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow

from lakehouse.exceptions import CountError
from lakehouse.iceberg.table import row_count
from lakehouse.incidents.store import Incident

TABLE = "ops_db.incidents"


def copy_incidents(catalog: Catalog, incidents: Sequence[Incident]) -> bool:
    """Make the table hold exactly these incidents; returns False, without a commit, if it does.

    Raises:
        CountError: another number of rows was read back.
    """
    table = catalog.load_table(TABLE)
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    names = set(schema.names)
    rows = sorted(({name: value for name, value in one.as_row().items() if name in names} for one in incidents), key=_number)
    wanted = pa.Table.from_pylist(rows, schema=schema)
    if sorted(table.scan().to_arrow().select(schema.names).to_pylist(), key=_number) == wanted.to_pylist():
        return False
    if table.current_snapshot() is None:
        table.append(wanted)
    else:
        table.overwrite(wanted)
    if (there := row_count(catalog.load_table(TABLE))) != len(rows):
        raise CountError(f"{TABLE} has {there} rows after {len(rows)} incidents were copied: run the task again")
    return True


def _number(row: dict[str, object]) -> int:
    return int(str(row["incident_id"]))
