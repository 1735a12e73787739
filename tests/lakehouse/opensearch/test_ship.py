from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType, TimestamptzType

from lakehouse.exceptions import CountError, HistoryError, TransientError, VerificationError
from lakehouse.opensearch.ship import SHIPMENTS, ship
from lakehouse.ops.tables import ensure_ops_tables

TABLE = "db.lines"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FIELDS = [NestedField(1, "key", StringType()), NestedField(2, "at", TimestamptzType()), NestedField(3, "size", LongType())]


@pytest.fixture
def table(catalog):
    ensure_ops_tables(catalog)
    catalog.create_namespace("db")
    return catalog.create_table(TABLE, schema=Schema(*FIELDS))


@pytest.fixture
def run(catalog, client, table, waits):
    """Ship as a DAG run does; each run a minute later."""
    minutes = iter(range(1000))

    def once(**options):
        return ship(
            catalog,
            client,
            TABLE,
            key_column="key",
            retention_days=30,
            to_document=lambda row: (row["at"], {"size": row["size"]}),
            now=NOW + timedelta(minutes=next(minutes)),
            **options,
        )

    return once


def add(table, *keys: str, at: datetime | None = NOW) -> None:
    table.refresh()
    rows = [{"key": key, "at": at, "size": 1} for key in keys]
    table.append(
        pa.Table.from_pylist(rows, schema=pa.schema([("key", pa.string()), ("at", pa.timestamp("us", "UTC")), ("size", pa.int64())]))
    )


def cursors(catalog) -> list[int]:
    rows = catalog.load_table(SHIPMENTS).scan().to_arrow().to_pylist()
    return [row["to_snapshot_id"] for row in sorted(rows, key=lambda row: row["shipped_at"])]


def refusals(catalog) -> list[tuple[str, str]]:
    rows = catalog.load_table("ops_db.refused_records").scan().to_arrow().to_pylist()
    return sorted((row["record_key"], row["reason"]) for row in rows)


def test_each_run_ships_what_is_new_since_the_last(run, node, table, catalog):
    assert run().rows_read == 0
    add(table, "a", "b")
    first = run()
    assert (first.rows_read, first.indexed, first.already_there, first.refused, first.from_snapshot_id) == (2, 2, 0, 0, None)
    assert run().to_snapshot_id is None
    add(table, "c")
    add(table, "d")
    second = run()
    assert (second.rows_read, second.indexed, second.from_snapshot_id) == (2, 2, first.to_snapshot_id)
    assert sorted(node.documents) == [("logs-2026.11.20", key) for key in "abcd"]
    assert cursors(catalog) == [first.to_snapshot_id, second.to_snapshot_id]


@pytest.mark.fault(13)
def test_rows_without_a_time_or_outside_the_kept_days_are_refused_and_make_no_index(run, node, table, catalog):
    moments = {"old": NOW - timedelta(days=31), "ahead": NOW + timedelta(days=2), "none": None, "edge": NOW - timedelta(days=29)}
    moments |= {"epoch": datetime(1970, 1, 1, tzinfo=UTC), "last": datetime(9999, 12, 31, tzinfo=UTC)}
    for key, moment in moments.items():
        add(table, key, at=moment)
    counts = run()
    assert (counts.rows_read, counts.indexed, counts.refused) == (6, 1, 5)
    assert list(node.documents) == [("logs-2026.10.22", "edge")]
    outside = "outside_retention"
    assert refusals(catalog) == [("ahead", outside), ("epoch", outside), ("last", outside), ("none", "no_event_time"), ("old", outside)]


@pytest.mark.fault(7)
def test_a_row_that_the_mapping_refuses_is_kept_with_its_reason_and_the_cursor_goes_on(run, node, table, catalog):
    node.mapping_errors = {"b"}
    add(table, "a", "b", "c")
    counts = run()
    assert (counts.indexed, counts.refused) == (2, 1)
    assert refusals(catalog) == [("b", "mapper_parsing_exception")]
    assert cursors(catalog) == [counts.to_snapshot_id]
    run(full=True)
    assert refusals(catalog) == [("b", "mapper_parsing_exception")]


@pytest.mark.fault(6)
def test_the_cursor_does_not_move_while_the_node_keeps_rejecting(run, node, table, catalog):
    add(table, "a", "b")
    node.busy = {"b": 10**6}
    with pytest.raises(TransientError):
        run()
    assert cursors(catalog) == []
    node.busy = {}
    counts = run()
    assert (counts.indexed, counts.already_there) == (1, 1)
    assert len(node.documents) == 2


@pytest.mark.fault(9)
def test_a_kill_between_bulk_and_cursor_ships_the_same_documents_again(run, node, table, catalog, monkeypatch):
    class Killed(BaseException):
        """SIGKILL, as far as one process can play it."""

    def die(*_) -> None:
        raise Killed

    add(table, "a", "b")
    with monkeypatch.context() as patch:
        patch.setattr("lakehouse.opensearch.ship.record_refusals", die)
        with pytest.raises(Killed):
            run()
    assert (cursors(catalog), len(node.documents)) == ([], 2)
    counts = run()
    assert (counts.indexed, counts.already_there, len(node.documents)) == (0, 2, 2)


def test_documents_that_cannot_be_read_back_keep_the_cursor(run, node, table, catalog, monkeypatch):
    add(table, "a", "b")
    create = node._create
    monkeypatch.setattr(node, "_create", lambda index, key, source: {"status": 201} if key == "b" else create(index, key, source))
    with pytest.raises(VerificationError, match="has 1 of the 2 documents just sent; the cursor has not moved"):
        run()
    assert cursors(catalog) == []


@pytest.mark.fault(12)
def test_an_overwritten_table_stops_with_the_way_on(run, node, table, catalog):
    add(table, "a", "b")
    run()
    table.refresh()
    table.delete("key == 'a'")
    with pytest.raises(HistoryError, match="ship the table anew with the param `full`"):
        run()
    assert len(cursors(catalog)) == 1
    assert run(full=True).already_there == 1


@pytest.mark.fault(12)
def test_a_snapshot_that_is_gone_stops_with_the_way_on(run, table, catalog):
    add(table, "a")
    run()
    add(table, "b")
    add(table, "c")
    table.refresh()
    table.maintenance.expire_snapshots().older_than(datetime.now(UTC) + timedelta(days=1)).commit()
    with pytest.raises(HistoryError, match=r"db\.lines: snapshot \d+ of the last shipment is no ancestor"):
        run()
    assert run(full=True).indexed == 2


@pytest.mark.fault(12)
def test_a_table_that_was_replaced_stops_with_the_way_on(run, table, catalog):
    add(table, "a")
    run()
    catalog.drop_table(TABLE)
    add(catalog.create_table(TABLE, schema=Schema(*FIELDS)), "b")
    with pytest.raises(HistoryError, match="was replaced by another table"):
        run()
    assert run(full=True).indexed == 1
    assert run().rows_read == 0


def test_a_key_that_is_there_twice_is_not_counted_as_read_back_twice(run, table, catalog):
    add(table, "a", "a")
    with pytest.raises((CountError, VerificationError)):
        run()
    assert cursors(catalog) == []
