"""How far a table was shipped to a target: the shipment with the highest number in `ops_db.shipments`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import And

from lakehouse.exceptions import ChangedMeanwhileError
from lakehouse.iceberg.append import Input, append_once
from lakehouse.iceberg.filters import equal
from lakehouse.opensearch.shipment import Part, Shipment

SHIPMENTS = "ops_db.shipments"


@dataclass(frozen=True)
class Cursor:
    """The last shipment: of which table, up to which of its snapshots."""

    number: int
    table_uuid: str
    from_snapshot_id: int | None
    to_snapshot_id: int


def last_shipment(catalog: Catalog, source_table: str, target: str) -> Cursor | None:
    """The cursor of a table and an index pattern; None before the first shipment."""
    condition = And(equal("source_table", source_table), equal("target", target))
    columns = ("number", "shipped_at", "table_uuid", "from_snapshot_id", "to_snapshot_id")
    rows = catalog.load_table(SHIPMENTS).scan(condition, selected_fields=columns).to_arrow().to_pylist()
    if not rows:
        return None
    # Rows from before shipments had numbers go by their time.
    last = max(rows, key=lambda row: (row["number"] or 0, row["shipped_at"]))
    return Cursor(last["number"] or 0, last["table_uuid"], last["from_snapshot_id"], int(last["to_snapshot_id"]))


def shipped_snapshots(catalog: Catalog, source_table: str) -> set[int]:
    """The snapshot up to which each target has a table's rows: where its next shipment goes on from."""
    targets = catalog.load_table(SHIPMENTS).scan(equal("source_table", source_table), selected_fields=("target",)).to_arrow()
    cursors = (last_shipment(catalog, source_table, str(target)) for target in set(targets["target"].to_pylist()))
    return {cursor.to_snapshot_id for cursor in cursors if cursor is not None}


def record_shipment(catalog: Catalog, part: Part, shipment: Shipment) -> None:
    """Move the cursor, once: the number that was planned may be taken by this very window, and by no other.

    Raises:
        ChangedMeanwhileError: another run moved it elsewhere meanwhile.
    """
    shipment_id = f"{shipment.source_table}/{shipment.target}/{part.number}"
    row = {
        "source_table": shipment.source_table,
        "target": shipment.target,
        "table_uuid": part.table_uuid,
        "from_snapshot_id": part.from_snapshot_id,
        "to_snapshot_id": part.to_snapshot_id,
        "rows_read": shipment.rows_read,
        "indexed": shipment.counts.indexed,
        "already_there": shipment.counts.already_there,
        "refused": shipment.counts.refused,
        "shipped_at": datetime.now(UTC),
        "shipment_id": shipment_id,
        "number": part.number,
        "kind": part.kind,
        "bytes_sent": shipment.counts.bytes_sent,
        "seconds": shipment.counts.seconds,
    }
    append_once(catalog, SHIPMENTS, [Input(shipment_id, shipment_id, pa.Table.from_pylist([row]))], key_column="shipment_id")
    now = last_shipment(catalog, shipment.source_table, shipment.target)
    ours = Cursor(part.number, part.table_uuid, part.from_snapshot_id, part.to_snapshot_id)
    if now != ours:
        raise ChangedMeanwhileError(
            f"{shipment.source_table}: another run moved the cursor of {shipment.target} meanwhile (it is at shipment "
            f"{now.number if now else 'none'}, this run planned {part.number}); nothing is lost, trigger the DAG once more"
        )
