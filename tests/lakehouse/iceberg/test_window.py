from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.transforms import DayTransform
from pyiceberg.types import LongType, NestedField, TimestampType, TimestamptzType

from lakehouse.exceptions import HistoryError
from lakehouse.iceberg.data_files import write_data_files
from lakehouse.iceberg.filters import within_days
from lakehouse.iceberg.window import Window, appended, live

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
BY_DAY = PartitionSpec(PartitionField(1, 1000, DayTransform(), "at_day"))


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    catalog.create_namespace("db")
    schema = Schema(NestedField(1, "at", TimestamptzType()), NestedField(2, "number", LongType()))
    return catalog.create_table("db.things", schema=schema, partition_spec=BY_DAY)


def rows(*numbers: int, at: datetime | None = AT) -> pa.Table:
    return pa.table({"at": pa.array([at] * len(numbers), pa.timestamp("us", "UTC")), "number": pa.array(numbers, pa.int64())})


def add(table: Table, *numbers: int, at: datetime | None = AT) -> int:
    table.append(rows(*numbers, at=at))
    return head(table)


def head(table: Table) -> int:
    table.refresh()
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return snapshot.snapshot_id


def compact(table: Table) -> int:
    """All rows in one new file, by a snapshot that says `replace`, as engines do when they compact; PyIceberg itself cannot."""
    everything, tasks = table.scan().to_arrow(), list(table.scan().plan_files())
    with table.transaction() as transaction, transaction.update_snapshot().overwrite() as update:
        summary = update._summary
        update._summary = lambda *args, **kwargs: summary(*args, **kwargs).model_copy(update={"operation": Operation.REPLACE})
        for task in tasks:
            update.delete_data_file(task.file)
        for file in write_data_files(table, [everything]):
            update.append_data_file(file)
    table.refresh()
    assert table.current_snapshot().summary.operation == Operation.REPLACE
    return head(table)


def numbers(window: Window, first: int = 0, count: int | None = None, max_rows: int = 1000) -> list[int]:
    batches = window.batches(first, len(window.files) if count is None else count, max_rows=max_rows)
    return sorted(number for batch in batches for number in batch["number"].to_pylist())


def test_what_was_appended_after_a_snapshot_up_to_another(table):
    start, middle, end = add(table, 1, 2), add(table, 3), add(table, 4, 5)
    add(table, 6)
    assert numbers(appended(table, start, end)) == [3, 4, 5]
    assert numbers(appended(table, middle, end)) == [4, 5]
    assert (appended(table, start, end).rows, appended(table, end, end).rows, appended(table, end, end).files) == (3, 0, ())


def test_a_window_knows_since_when_its_first_rows_wait(table):
    start, first, _ = add(table, 1), add(table, 2), add(table, 3)
    committed = table.snapshot_by_id(first).timestamp_ms
    assert appended(table, start, head(table)).since == datetime.fromtimestamp(committed / 1000, UTC)
    assert appended(table, head(table), head(table)).since is None


@pytest.mark.fault(12)
def test_compaction_is_not_new_data(table):
    start = add(table, 1)
    add(table, 2)
    compacted = compact(table)
    assert numbers(appended(table, start, compacted)) == [2]
    add(table, 3)
    assert numbers(appended(table, start, compact(table))) == [2, 3]
    assert numbers(appended(table, compacted, head(table))) == [3]


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda table: table.delete("number == 1"), id="a row deleted from a file"),
        pytest.param(lambda table: table.delete("number <= 2"), id="a file deleted"),
        pytest.param(lambda table: table.overwrite(rows(1, 20)), id="overwritten"),
        pytest.param(lambda table: table.overwrite(rows(1, 2)), id="overwritten by the same rows"),
    ],
)
def test_history_that_took_rows_away_is_not_passed_over(table, change):
    start = add(table, 1, 2)
    change(table)
    add(table, 3)
    with pytest.raises(HistoryError, match=r"db\.things: snapshot \d+ is of the operation (overwrite|delete)"):
        appended(table, start, head(table))


@pytest.mark.fault(12)
def test_a_start_that_was_rolled_back_is_not_passed_over(table):
    first, second = add(table, 1), add(table, 2)
    table.manage_snapshots().set_current_snapshot(first).commit()
    for end in (head(table), add(table, 3)):
        with pytest.raises(HistoryError, match=f"snapshot {end} was not made from {second}: the table was rolled back"):
            appended(table, second, end)
    assert numbers(appended(table, first, head(table))) == [3]


@pytest.mark.fault(12)
@pytest.mark.parametrize("which", [0, 1], ids=["the start", "one in between"])
def test_a_snapshot_that_expired_is_not_passed_over(table, which):
    made = [add(table, 1), add(table, 2), add(table, 3)]
    table.maintenance.expire_snapshots().by_id(made[which]).commit()
    with pytest.raises(HistoryError, match=f"the snapshots before {made[which + 1]} expired"):
        appended(table, made[0], made[2])
    if which == 0:
        assert numbers(appended(table, made[1], made[2])) == [3]


@pytest.mark.fault(12)
@pytest.mark.parametrize("window", [lambda table: appended(table, 1, 2), lambda table: live(table, 1)], ids=["appended", "live"])
def test_a_snapshot_that_never_was_is_an_error_that_says_so(table, window):
    add(table, 1)
    with pytest.raises(HistoryError, match=r"there is no snapshot 2|has no snapshot 1 any more"):
        window(table)


def test_a_summary_that_differs_from_its_files_is_not_believed(table, monkeypatch):
    start, end = add(table, 1), add(table, 2, 3)
    monkeypatch.setitem(table.snapshot_by_id(end).summary._additional_properties, "added-records", "3")
    with pytest.raises(HistoryError, match="say that they added 3 rows, their files have 2"):
        appended(table, start, end)


def test_all_live_rows_of_a_snapshot_without_those_deleted_since(table):
    first = add(table, 1, 2)
    table.delete("number == 1")
    add(table, 3)
    assert (numbers(live(table, head(table))), live(table, head(table)).rows) == ([2, 3], 2)
    assert (numbers(live(table, first)), live(table, first).start) == ([1, 2], None)


@pytest.mark.fault(13)
@pytest.mark.parametrize(
    ("first", "last", "wanted"),
    [
        (None, None, [0, 1, 2, 3, 4]),
        (date(2026, 11, 19), date(2026, 11, 19), [1, 2]),
        (date(2026, 11, 19), None, [1, 2, 3]),
        (None, date(2026, 11, 19), [0, 1, 2]),
        (date(2026, 11, 21), None, []),
    ],
)
@pytest.mark.parametrize("kind", [TimestamptzType(), TimestampType()], ids=["with a zone", "without one"])
def test_live_rows_of_some_days_in_utc_both_included(catalog, first, last, wanted, kind):
    """The file holds rows of other days as well."""
    catalog.create_namespace("db")
    table = catalog.create_table("db.days", schema=Schema(NestedField(1, "at", kind), NestedField(2, "number", LongType())))
    midnight, tick, day = datetime(2026, 11, 19), timedelta.resolution, timedelta(days=1)
    moments = [midnight - tick, midnight, midnight + day - tick, midnight + day, None]
    stamp = pa.timestamp("us", "UTC" if isinstance(kind, TimestamptzType) else None)
    table.append(pa.table({"at": pa.array(moments, stamp), "number": pa.array(range(5), pa.int64())}))
    window = live(table, head(table), within_days(table, "at", first, last))
    assert (numbers(window), window.rows) == (wanted, len(wanted))


def test_rows_come_in_batches_of_at_most_so_many(table):
    add(table, *range(25))
    batches = list(live(table, head(table)).batches(0, 1, max_rows=10))
    assert [len(batch) for batch in batches] == [10, 10, 5]


def test_a_column_that_was_added_since_is_null_in_older_rows(table):
    start = add(table, 1)
    add(table, 2)
    with table.update_schema() as update:
        update.add_column("later", LongType())
    table.append(rows(3).append_column("later", pa.array([7], pa.int64())))
    window = appended(table, start, head(table))
    found = {row["number"]: row["later"] for batch in window.batches(0, len(window.files), max_rows=9) for row in batch.to_pylist()}
    assert found == {2: None, 3: 7}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5), max_rows=st.integers(1, 12), max_bytes=st.sampled_from([1, 2_500, 2**30]))
def test_groups_cover_every_file_once_in_order_and_are_as_large_as_they_may(table, sizes, max_rows, max_bytes):
    for size in sizes:
        add(table, *range(size), at=AT)
    window = live(table, head(table))
    groups = list(window.groups(max_rows=max_rows, max_bytes=max_bytes))
    assert [number for first, count in groups for number in range(first, first + count)] == list(range(len(window.files)))
    for first, count in groups:
        files = [task.file for task in window.files[first : first + count]]
        size, length = sum(file.file_size_in_bytes for file in files), sum(file.record_count for file in files)
        assert count == 1 or (length <= max_rows and size <= max_bytes)
    together = Counter(number for first, count in groups for number in numbers(window, first, count))
    assert together.total() == window.rows
    table.delete(AlwaysTrue())


def test_nothing_has_no_groups(table):
    end = add(table, 1)
    assert list(appended(table, end, end).groups(max_rows=1, max_bytes=1)) == []


def test_every_worker_sees_the_files_in_the_same_order(catalog, table):
    start = add(table, 0)
    for number in range(5):
        add(table, number)
    paths = [[task.file.file_path for task in appended(catalog.load_table("db.things"), start, head(table)).files] for _ in range(3)]
    assert paths[0] == paths[1] == paths[2] == sorted(paths[0])
