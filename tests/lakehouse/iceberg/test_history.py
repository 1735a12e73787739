from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.transforms import DayTransform, IdentityTransform, MonthTransform
from pyiceberg.types import LongType, NestedField, StringType, TimestamptzType

from lakehouse.iceberg.history import ancestors, data_files_by_day, facts_of, summary_of, touched_days
from lakehouse.iceberg.overwrite import overwrite_days

FIELDS = (NestedField(1, "at", TimestamptzType()), NestedField(2, "number", LongType()), NestedField(3, "kind", StringType()))
DAY = PartitionField(1, 1000, DayTransform(), "at_day")
MONTH = PartitionField(1, 1000, MonthTransform(), "at_month")
KIND = PartitionField(3, 1001, IdentityTransform(), "kind")
MONDAY, TUESDAY, WEDNESDAY = (date(2026, 11, day) for day in (16, 17, 18))


def snapshot_facts(table, snapshot=None):
    """The facts of one snapshot, the current one by default."""
    snapshot = snapshot or table.current_snapshot()
    return facts_of(table, [snapshot.snapshot_id] if snapshot else [])


def make(catalog: SqlCatalog, *fields: PartitionField) -> Table:
    catalog.create_namespace_if_not_exists("db")
    return catalog.create_table("db.things", schema=Schema(*FIELDS), partition_spec=PartitionSpec(*fields))


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    """Partitioned by day."""
    return make(catalog, DAY)


def rows(days: dict[date | None, list[int]], kind: str = "k") -> pa.Table:
    moments = {day: day and datetime(day.year, day.month, day.day, 14, tzinfo=UTC) for day in days}
    schema = pa.schema([("at", pa.timestamp("us", "UTC")), ("number", pa.int64()), ("kind", pa.string())])
    return pa.Table.from_pylist(
        [{"at": moments[day], "number": n, "kind": kind} for day, numbers in days.items() for n in numbers], schema=schema
    )


def append(table: Table, days: dict[date | None, list[int]], **options) -> int:
    """Appends rows; returns the id of the snapshot."""
    table.append(rows(days), **options)
    made = table.snapshot_by_name(options.get("branch", "main"))
    assert made is not None
    return made.snapshot_id


def ids(table: Table, snapshot_id: int | None = None) -> list[int]:
    start = table.snapshot_by_id(snapshot_id) if snapshot_id else None
    return [snapshot.snapshot_id for snapshot in ancestors(table, start)]


def days_of_head(table: Table) -> set[date]:
    head = table.current_snapshot()
    assert head is not None
    return touched_days(table, head)


# Ancestors.


def test_a_table_without_a_snapshot_has_no_ancestors(table):
    assert ids(table) == []


def test_ancestors_come_newest_first_from_the_head_or_from_a_snapshot(table):
    made = [append(table, {MONDAY: [n]}) for n in range(3)]
    assert ids(table) == made[::-1]
    assert ids(table, made[1]) == made[1::-1]


@pytest.mark.fault(12)
def test_what_was_rolled_back_is_no_ancestor(table):
    first, second = append(table, {MONDAY: [1]}), append(table, {MONDAY: [2]})
    table.manage_snapshots().rollback_to_snapshot(first).commit()
    third = append(table, {MONDAY: [3]})
    assert ids(table) == [third, first]
    assert second in {snapshot.snapshot_id for snapshot in table.snapshots()}


def test_what_lies_on_another_branch_is_no_ancestor_of_main_nor_the_other_way_round(table):
    base = append(table, {MONDAY: [1]})
    table.manage_snapshots().create_branch(base, "audit").commit()
    aside = append(table, {TUESDAY: [2]}, branch="audit")
    ahead = append(table, {WEDNESDAY: [3]})
    assert ids(table) == [ahead, base]
    assert ids(table, aside) == [aside, base]


@pytest.mark.fault(12)
def test_ancestors_end_where_snapshots_have_expired(table):
    append(table, {MONDAY: [1]})
    last = append(table, {MONDAY: [2]})
    table.maintenance.expire_snapshots().older_than(datetime.now(UTC) + timedelta(days=1)).commit()
    assert ids(table.refresh()) == [last]


# Facts.


def test_an_empty_table_has_added_nothing(table):
    nothing = {"rows": 0, "files": 0, "bytes": 0, "snapshot_id": None, "days": [], "table": "db.things", "committed_at": None}
    assert snapshot_facts(table) == facts_of(table, []) == nothing


def test_no_snapshot_has_added_nothing_and_names_the_head(table):
    head = append(table, {MONDAY: [1]})
    facts = facts_of(table, [])
    assert time.time() - 60 < facts.pop("committed_at") <= time.time()
    assert facts == {"rows": 0, "files": 0, "bytes": 0, "snapshot_id": head, "days": [], "table": "db.things"}


def test_a_compaction_is_no_news_of_a_table(table):
    append(table, {MONDAY: [1]})
    written = table.current_snapshot().timestamp_ms / 1000
    append(table, {MONDAY: [2]})
    assert facts_of(table, [])["committed_at"] > written
    # PyIceberg has no compaction; Trino's makes such a snapshot.
    object.__setattr__(table.current_snapshot(), "summary", Summary(Operation.REPLACE))
    assert facts_of(table, [])["committed_at"] == written


def test_the_facts_of_some_snapshots_add_up_and_name_the_last_one(table):
    first = append(table, {TUESDAY: [1, 2], MONDAY: [3]})
    second = append(table, {TUESDAY: [4]})
    append(table, {WEDNESDAY: [5, 6, 7]})
    one, two, both = facts_of(table, [first]), facts_of(table, [second]), facts_of(table, [first, second])
    assert (one["rows"], one["files"], one["days"], one["snapshot_id"]) == (3, 2, ["2026-11-16", "2026-11-17"], first)
    assert (two["rows"], two["files"], two["days"], two["snapshot_id"]) == (1, 1, ["2026-11-17"], second)
    assert {name: both[name] for name in ("rows", "files", "bytes")} == {name: one[name] + two[name] for name in ("rows", "files", "bytes")}
    assert (both["days"], both["snapshot_id"]) == (["2026-11-16", "2026-11-17"], second)
    assert one["bytes"] > 100


def test_the_head_is_described_where_no_snapshot_is_named(table):
    append(table, {MONDAY: [1]})
    second = append(table, {TUESDAY: [2, 3]})
    assert snapshot_facts(table) == facts_of(table, [second])
    assert snapshot_facts(table, table.snapshots()[0])["days"] == ["2026-11-16"]


@pytest.mark.fault(12)
def test_a_snapshot_that_has_expired_is_passed_over(table):
    first, second = append(table, {MONDAY: [1]}), append(table, {TUESDAY: [2, 3]})
    table.maintenance.expire_snapshots().older_than(datetime.now(UTC) + timedelta(days=1)).commit()
    table.refresh()
    assert facts_of(table, [first, second]) == facts_of(table, [second])
    assert facts_of(table, [first])["rows"] == 0


def test_a_delete_has_added_no_rows_and_its_days_are_told(table):
    append(table, {MONDAY: [1], TUESDAY: [2]})
    table.delete("number == 2")
    facts = snapshot_facts(table)
    assert (facts["rows"], facts["days"]) == (0, ["2026-11-17"])


def test_a_summary_can_be_read_whatever_it_holds(table):
    append(table, {MONDAY: [1]}, snapshot_properties={"lakehouse.note": "kept"})
    head = table.current_snapshot()
    assert summary_of(head)["lakehouse.note"] == "kept"
    assert summary_of(head.model_copy(update={"summary": None})) == {}


# Touched days.


def test_days_are_those_of_the_snapshot_and_not_of_those_before_it(table):
    append(table, {MONDAY: [1]})
    assert days_of_head(table) == {MONDAY}
    append(table, {TUESDAY: [2], WEDNESDAY: [3]})
    assert days_of_head(table) == {TUESDAY, WEDNESDAY}
    assert touched_days(table, table.snapshots()[0]) == {MONDAY}


@pytest.mark.parametrize(
    ("condition", "days"),
    [
        pytest.param("number == 1", {MONDAY}, id="all rows of a file"),
        pytest.param("number == 2", {TUESDAY}, id="some rows of a file"),
        pytest.param("number >= 3", {TUESDAY, WEDNESDAY}, id="rows of two files"),
        pytest.param("at < '2026-11-17T00:00:00+00:00'", {MONDAY}, id="a day"),
    ],
)
def test_days_that_lost_rows_are_touched_and_their_neighbours_in_the_manifest_are_not(table, condition, days):
    append(table, {MONDAY: [1], TUESDAY: [2, 3], WEDNESDAY: [4]})
    before = set(ids(table))
    table.delete(condition)  # PyIceberg makes a snapshot for the files that go, and one for those that are written anew
    assert {day for snapshot in ancestors(table) if snapshot.snapshot_id not in before for day in touched_days(table, snapshot)} == days


def test_a_day_that_was_overwritten_is_touched_and_one_that_only_lost_its_rows_as_well(table):
    append(table, {MONDAY: [1], TUESDAY: [2], WEDNESDAY: [3]})
    overwrite_days(table.catalog, table, {MONDAY, TUESDAY}, rows({MONDAY: [4]}).to_batches(), branch="main", summary={})
    table.refresh()
    assert days_of_head(table) == {MONDAY, TUESDAY}
    assert snapshot_facts(table)["rows"] == 1


def test_a_snapshot_without_files_touches_no_day(table):
    append(table, {MONDAY: [1]})
    with table.transaction() as transaction, transaction.update_snapshot().fast_append():
        pass
    assert days_of_head(table) == set()


def test_rows_without_a_time_touch_no_day(table):
    append(table, {None: [1], MONDAY: [2]})
    assert days_of_head(table) == {MONDAY}


@pytest.mark.fault(13)
@pytest.mark.parametrize("day", [date(1, 1, 1), date(1969, 12, 31), date(1970, 1, 1), date(9999, 12, 31)])
def test_a_day_before_1970_or_far_away_is_told_as_itself(table, day):
    append(table, {day: [1]})
    assert days_of_head(table) == {day}
    assert snapshot_facts(table)["days"] == [day.isoformat()]


@pytest.mark.parametrize("fields", [(), (MONTH,), (KIND,)], ids=["no partition", "months", "a value"])
def test_a_table_that_is_not_partitioned_by_a_day_has_no_days_and_all_other_facts(catalog, fields):
    table = make(catalog, *fields)
    append(table, {MONDAY: [1, 2]})
    assert days_of_head(table) == set()
    assert data_files_by_day(table, table.current_snapshot()) == {}
    facts = snapshot_facts(table)
    assert (facts["rows"], facts["days"], facts["files"]) == (2, [], 1)
    table.delete("number == 1")
    assert days_of_head(table) == set()


@pytest.mark.parametrize("fields", [(DAY, KIND), (KIND, PartitionField(1, 1002, DayTransform(), "at_day"))], ids=["day first", "day last"])
def test_the_day_is_found_among_other_partition_fields(catalog, fields):
    table = make(catalog, *fields)
    append(table, {MONDAY: [1], TUESDAY: [2]})
    assert days_of_head(table) == {MONDAY, TUESDAY}


def test_files_of_an_older_partitioning_are_read_by_their_own(catalog):
    table = make(catalog)
    old = append(table, {MONDAY: [1]})
    with table.update_spec() as spec:
        spec.add_field("at", DayTransform(), "at_day")
    append(table, {TUESDAY: [2]})
    assert touched_days(table, table.snapshot_by_id(old)) == set()
    assert days_of_head(table) == {TUESDAY}
    assert list(data_files_by_day(table, table.current_snapshot())) == [TUESDAY]


# Files by day.


def test_files_of_a_snapshot_are_those_that_it_still_has(table):
    append(table, {MONDAY: [1], TUESDAY: [2]})
    append(table, {MONDAY: [3]})
    first = table.current_snapshot()
    table.delete("number == 2")
    assert {day: len(files) for day, files in data_files_by_day(table, first).items()} == {MONDAY: 2, TUESDAY: 1}
    assert {day: sum(file.record_count for file in files) for day, files in data_files_by_day(table, table.current_snapshot()).items()} == {
        MONDAY: 2
    }


@pytest.mark.parametrize("source", [None, []])
def test_no_snapshot_has_no_files(table, source):
    assert data_files_by_day(table, source) == {}
