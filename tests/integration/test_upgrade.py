"""An upgrade: tables that the first version of this bundle made, with rows in them, follow today's contracts and lose nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table

from lakehouse.contracts import load
from lakehouse.iceberg.table import ensure_table, schema_differences
from lakehouse.ops.tables import contracts as own_contracts
from stack.installation import REPO, Installation
from stack.report import query

pytestmark = pytest.mark.integration

# Columns that came after the first version, by `git log` of the contracts. Add what you add.
SINCE: dict[str, tuple[str, ...]] = {
    "media_db.image_metadata": ("source", "source_checksum", "licence", "frames", "perceptual_hash", "private_metadata"),
    "ops_db.check_results": (
        "failed_share", "first_bad_partition", "answered_by", "snapshot_id", "state", "failing_since", "last_passed_at",
    ),
    "ops_db.loaded_files": ("table_uuid",),
    "ops_db.redrives": ("redrive_id",),
    "ops_db.refused_records": ("records", "target", "snapshot_id"),
    "ops_db.service_level_events": ("objective",),
    "ops_db.shipments": ("shipment_id", "number", "kind", "bytes_sent", "seconds"),
}  # fmt: skip
TODAY = own_contracts() | {one.table: one for one in map(load, sorted((REPO / "include" / "contracts").glob("*.odcs.yaml")))}
VALUES: dict[str, Any] = {
    "string": "x",
    "large_string": "x",
    "int32": 1,
    "int64": 1,
    "double": 1.0,
    "float": 1.0,
    "bool": True,
    "date32[day]": date(2026, 1, 2),
    "timestamp[us, tz=UTC]": datetime(2026, 1, 2, tzinfo=UTC),
    "timestamp[us]": datetime(2026, 1, 2),
}


@pytest.fixture
def place(catalog: Catalog, fresh_name: str) -> Iterator[str]:
    """A namespace of its own."""
    yield fresh_name
    with suppress(NoSuchNamespaceError):
        for name in catalog.list_tables(fresh_name):
            catalog.drop_table(name)
        catalog.drop_namespace(fresh_name)


def row(table: Table) -> pa.Table:
    """One row with a value in every column."""
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    return pa.Table.from_pylist([{field.name: VALUES[str(field.type)] for field in schema}], schema=schema)


@pytest.mark.parametrize("name", SINCE)
def test_a_table_of_the_first_version_gets_its_columns_and_keeps_its_rows(
    catalog: Catalog, stack: Installation, place: str, name: str
) -> None:
    today = replace(TODAY[name], table=f"{place}.{name.partition('.')[2]}")
    first = replace(today, columns=tuple(column for column in today.columns if column.name not in SINCE[name]))
    assert len(first.columns) == len(today.columns) - len(SINCE[name])
    old = ensure_table(catalog, first)
    old.append(row(old))

    table = ensure_table(catalog, today)
    assert schema_differences(table, today) == []
    table.append(row(table))

    added = ", ".join(f"count({column})" for column in SINCE[name])
    # Trino sees both rows; the old one has nothing in what is new.
    assert query(stack, f"SELECT count(*), {added} FROM {today.table}") == [[2, *[1] * len(SINCE[name])]]
