from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.exceptions import ChangedMeanwhileError
from lakehouse.opensearch.cursor import SHIPMENTS, Cursor, last_shipment, record_shipment
from lakehouse.opensearch.shipment import Counts, Part, Shipment
from lakehouse.ops.tables import ensure_ops_tables

TABLE, TARGET = "db.lines", "logs-*"
PART = Part(
    source_table=TABLE,
    table_uuid="u",
    kind="new",
    number=2,
    from_snapshot_id=10,
    to_snapshot_id=20,
    rows=3,
    files=1,
    now="2026-11-20T12:00:00+00:00",
    documents_before={},
)
SHIPMENT = Shipment(TABLE, TARGET, "new", 3, Counts(indexed=2, refused=1, bytes_sent=99, seconds=0.5), 10, 20)


@pytest.fixture
def ledger(catalog):
    ensure_ops_tables(catalog)
    return catalog


def note(catalog, number: int | None, **changes: Any) -> None:
    """A row as any version of this code may have left it."""
    row = {
        "source_table": TABLE,
        "target": TARGET,
        "table_uuid": "u",
        "from_snapshot_id": None,
        "to_snapshot_id": number,
        "rows_read": 0,
        "indexed": 0,
        "already_there": 0,
        "refused": 0,
        "shipped_at": datetime(2026, 11, 20, tzinfo=UTC),
        "number": number,
    }
    table = catalog.load_table(SHIPMENTS)
    names = table.schema().as_arrow()
    table.append(pa.Table.from_pylist([row | changes], schema=pa.schema([names.field(name) for name in row])))


def rows(catalog) -> list[dict[str, Any]]:
    return catalog.load_table(SHIPMENTS).scan().to_arrow().to_pylist()


def test_there_is_none_before_the_first_shipment(ledger):
    note(ledger, 1, source_table="db.others")
    note(ledger, 1, target="others-*")
    assert last_shipment(ledger, TABLE, TARGET) is None


def test_the_highest_number_is_the_cursor_whatever_the_clocks_say(ledger):
    note(ledger, 2, shipped_at=datetime(2026, 11, 1, tzinfo=UTC), from_snapshot_id=1)
    note(ledger, 1, shipped_at=datetime(2026, 11, 30, tzinfo=UTC))
    assert last_shipment(ledger, TABLE, TARGET) == Cursor(2, "u", 1, 2)


def test_rows_of_before_the_numbers_go_by_their_time_and_come_first(ledger):
    for day, snapshot in ((3, 30), (1, 10), (2, 20)):
        note(ledger, None, shipped_at=datetime(2026, 11, day, tzinfo=UTC), to_snapshot_id=snapshot)
    assert last_shipment(ledger, TABLE, TARGET) == Cursor(0, "u", None, 30)
    note(ledger, 1, shipped_at=datetime(2026, 10, 1, tzinfo=UTC))
    assert last_shipment(ledger, TABLE, TARGET) == Cursor(1, "u", None, 1)


def test_a_shipment_is_noted_once_however_often_its_end_runs(ledger):
    for _ in range(3):
        record_shipment(ledger, PART, SHIPMENT)
        note(ledger, 1)
        ledger.load_table(SHIPMENTS).maintenance.expire_snapshots().older_than(datetime.now(UTC) + timedelta(days=1)).commit()
    (row,) = (row for row in rows(ledger) if row["number"] == 2)
    assert last_shipment(ledger, TABLE, TARGET) == Cursor(2, "u", 10, 20)
    del row["shipped_at"]
    assert row == {
        "source_table": TABLE,
        "target": TARGET,
        "table_uuid": "u",
        "from_snapshot_id": 10,
        "to_snapshot_id": 20,
        "rows_read": 3,
        "indexed": 2,
        "already_there": 0,
        "refused": 1,
        "shipment_id": "db.lines/logs-*/2",
        "number": 2,
        "kind": "new",
        "bytes_sent": 99,
        "seconds": 0.5,
    }


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    "rival",
    [
        pytest.param({"to_snapshot_id": 30}, id="further"),
        pytest.param({"from_snapshot_id": None}, id="from the beginning"),
        pytest.param({"table_uuid": "v"}, id="of another table by that name"),
        pytest.param({"number": 3, "from_snapshot_id": 20, "to_snapshot_id": 30}, id="one later"),
    ],
)
def test_a_number_that_another_window_took_is_not_ours(ledger, rival):
    record_shipment(ledger, replace(PART, **rival), SHIPMENT)
    before = last_shipment(ledger, TABLE, TARGET)
    with pytest.raises(ChangedMeanwhileError, match=f"it is at shipment {before.number}, this run planned 2.*trigger the DAG once more"):
        record_shipment(ledger, PART, SHIPMENT)
    assert last_shipment(ledger, TABLE, TARGET) == before
