from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import BadRequestError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform
from pyiceberg.types import LongType, NestedField, TimestamptzType

from lakehouse.exceptions import ChangedMeanwhileError, ConfigurationError, VerificationError
from lakehouse.iceberg import branches
from lakehouse.iceberg.branches import Published, branch_head, drop_branch, is_published, start_branch
from lakehouse.iceberg.history import facts_of, touched_days
from lakehouse.iceberg.overwrite import overwrite_days

TABLE = "db.ticks"
MONDAY, TUESDAY, WEDNESDAY = (date(2026, 11, day) for day in (16, 17, 18))


def snapshot_facts(table, snapshot=None):
    """The facts of one snapshot, the current one by default."""
    snapshot = snapshot or table.current_snapshot()
    return facts_of(table, [snapshot.snapshot_id] if snapshot else [])


@pytest.fixture
def catalog(catalog: SqlCatalog) -> SqlCatalog:
    catalog.create_namespace("db")
    schema = Schema(NestedField(1, "at", TimestamptzType(), required=True), NestedField(2, "number", LongType()))
    spec = PartitionSpec(PartitionField(1, 1000, DayTransform(), "at_day"))
    catalog.create_table(TABLE, schema=schema, partition_spec=spec)
    return catalog


def rows(day: date, *numbers: int) -> pa.RecordBatch:
    moments = pa.array([datetime(day.year, day.month, day.day, 14, tzinfo=UTC)] * len(numbers), pa.timestamp("us", tz="UTC"))
    return pa.record_batch({"at": moments, "number": pa.array(numbers, pa.int64())})


def write(catalog: SqlCatalog, branch: str, day: date, *numbers: int) -> None:
    overwrite_days(catalog, start_branch(catalog, TABLE, branch), {day}, [rows(day, *numbers)], branch=branch, summary={"note": branch})


def publish(catalog: SqlCatalog, table_name: str, branch: str) -> Published:
    return branches.publish(catalog, table_name, branch, branch_head(catalog.load_table(table_name), branch).snapshot_id)


def numbers(table: Table, branch: str | None = None) -> list[int]:
    scan = table.scan() if branch is None else table.scan().use_ref(branch)
    return sorted(scan.to_arrow()["number"].to_pylist())


def test_a_branch_is_seen_by_nobody_until_it_is_published(catalog):
    write(catalog, "monday", MONDAY, 1, 2)
    table = catalog.load_table(TABLE)
    assert (numbers(table), numbers(table, "monday")) == ([], [1, 2])
    assert publish(catalog, TABLE, "monday") is Published.DONE
    drop_branch(catalog, TABLE, "monday")
    table = catalog.load_table(TABLE)
    assert numbers(table) == [1, 2]
    assert "monday" not in table.refs()
    assert touched_days(table, table.current_snapshot()) == {MONDAY}
    facts = snapshot_facts(table)
    assert (facts["rows"], facts["files"], facts["days"]) == (2, 1, ["2026-11-16"])
    assert facts["bytes"] > 100


def test_a_day_is_replaced_whole_in_one_snapshot_and_the_others_stay(catalog):
    for day, values in ((MONDAY, (1, 2)), (TUESDAY, (3,)), (MONDAY, (4,))):
        write(catalog, "b", day, *values)
        publish(catalog, TABLE, "b")
    table = catalog.load_table(TABLE)
    assert numbers(table) == [3, 4]
    assert len(table.snapshots()) == 4  # the empty start, and one for each day written
    assert table.current_snapshot().summary["deleted-records"] == "2"


def test_publishing_twice_is_publishing_once(catalog):
    write(catalog, "b", MONDAY, 1)
    publish(catalog, TABLE, "b")
    head = catalog.load_table(TABLE).current_snapshot()
    assert publish(catalog, TABLE, "b") is Published.DONE
    assert catalog.load_table(TABLE).current_snapshot() == head


def test_a_main_that_moved_on_other_days_asks_for_a_cherry_pick(catalog):
    write(catalog, "monday", MONDAY, 1)
    write(catalog, "tuesday", TUESDAY, 2)
    publish(catalog, TABLE, "monday")
    before = catalog.load_table(TABLE).current_snapshot()
    assert publish(catalog, TABLE, "tuesday") is Published.CHERRY_PICK
    table = catalog.load_table(TABLE)
    assert table.current_snapshot() == before
    assert not is_published(table, table.snapshot_by_name("tuesday"))


@pytest.mark.fault(11)
def test_a_main_that_moved_on_the_same_day_is_left_alone_and_the_day_is_named(catalog):
    write(catalog, "ours", MONDAY, 1)
    write(catalog, "theirs", MONDAY, 2)
    publish(catalog, TABLE, "theirs")
    with pytest.raises(ChangedMeanwhileError, match=r"other rows of 2026-11-16 in snapshot \d+ after branch ours"):
        publish(catalog, TABLE, "ours")
    assert numbers(catalog.load_table(TABLE)) == [2]


def test_a_branch_of_an_earlier_attempt_starts_again_from_main(catalog):
    write(catalog, "b", MONDAY, 1)
    write(catalog, "b", MONDAY, 2)
    assert numbers(catalog.load_table(TABLE), "b") == [2]


@pytest.mark.fault(1)
@pytest.mark.fault(11)
def test_a_branch_that_was_written_again_after_its_audit_is_not_published(catalog):
    write(catalog, "b", MONDAY, 1)
    audited = branch_head(catalog.load_table(TABLE), "b").snapshot_id
    write(catalog, "b", MONDAY, 2)
    with pytest.raises(ChangedMeanwhileError, match=r"branch b of db\.ticks was written again after its audit"):
        branches.publish(catalog, TABLE, "b", audited)
    assert numbers(catalog.load_table(TABLE)) == []


def test_a_published_branch_whose_reply_was_lost_counts_as_published(catalog, monkeypatch, waits):
    write(catalog, "b", MONDAY, 1)
    commit, failures = catalog.commit_table, iter([OSError("connection reset")])

    def lost(*arguments):
        answer = commit(*arguments)
        if error := next(failures, None):
            raise error
        return answer

    monkeypatch.setattr(catalog, "commit_table", lost)
    assert publish(catalog, TABLE, "b") is Published.DONE
    assert len(waits) == 1
    assert numbers(catalog.load_table(TABLE)) == [1]


def test_rows_of_another_day_are_not_committed(catalog):
    table = start_branch(catalog, TABLE, "b")
    with pytest.raises(VerificationError, match=r"rows of \['2026-11-17'\]"):
        overwrite_days(catalog, table, {MONDAY}, [rows(TUESDAY, 1)], branch="b", summary={})
    assert numbers(catalog.load_table(TABLE), "b") == []


def test_an_overwrite_on_a_branch_that_moved_is_refused(catalog):
    table = start_branch(catalog, TABLE, "b")
    overwrite_days(catalog, catalog.load_table(TABLE), {MONDAY}, [rows(MONDAY, 1)], branch="b", summary={})
    with pytest.raises(ChangedMeanwhileError, match=r"branch b of db\.ticks was written by another run"):
        overwrite_days(catalog, table, {MONDAY}, [rows(MONDAY, 2)], branch="b", summary={})


@pytest.mark.fault(1)
@pytest.mark.fault(2)
@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("error", [OSError("reset"), BadRequestError("can't add snapshot with sequence number 3, must be > 3")])
def test_an_overwrite_whose_commit_went_wrong_looks_before_it_tries_again(catalog, monkeypatch, waits, applied, error):
    table = start_branch(catalog, TABLE, "b")
    commit, failures = catalog.commit_table, iter([error])

    def faulty(*arguments):
        if failure := next(failures, None):
            if applied:
                commit(*arguments)
            raise failure
        return commit(*arguments)

    monkeypatch.setattr(catalog, "commit_table", faulty)
    made = overwrite_days(catalog, table, {MONDAY}, [rows(MONDAY, 1)], branch="b", summary={})
    table = catalog.load_table(TABLE)
    assert numbers(table, "b") == [1]
    assert made == table.snapshot_by_name("b")
    assert len(table.snapshots()) == 2


def test_a_branch_that_is_not_there_is_named(catalog):
    with pytest.raises(ConfigurationError, match=r"db\.ticks has no branch nowhere"):
        publish(catalog, TABLE, "nowhere")
    drop_branch(catalog, TABLE, "nowhere")
