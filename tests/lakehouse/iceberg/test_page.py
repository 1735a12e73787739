from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cmp_to_key
from itertools import product
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, GreaterThanOrEqual, LessThan
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask, Table
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType, TimestamptzType

from lakehouse.exceptions import ConfigurationError, HistoryError
from lakehouse.iceberg.filters import equal, one_of, within_days
from lakehouse.iceberg.page import Selection

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
SCHEMA = Schema(
    NestedField(1, "image_id", StringType()),
    NestedField(2, "at", TimestamptzType()),
    NestedField(3, "tag", StringType()),
    NestedField(4, "size", LongType()),
    NestedField(5, "source", StringType()),
)
BY_DAY_AND_TAG = PartitionSpec(PartitionField(2, 1000, DayTransform(), "at_day"), PartitionField(3, 1001, IdentityTransform(), "tag"))
FIELDS = ("image_id", "at", "tag", "size", "source")
PLAIN = pa.schema(
    [("image_id", pa.string()), ("at", pa.timestamp("us", "UTC")), ("tag", pa.string()), ("size", pa.int64()), ("source", pa.string())]
)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlCatalog]:
    folder = tmp_path_factory.mktemp("page")
    opened = SqlCatalog("unit", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    opened.create_namespace("db")
    yield opened
    opened.close()


@pytest.fixture
def table(catalog: SqlCatalog, fresh_name: str) -> Table:
    return catalog.create_table(f"db.{fresh_name}", schema=SCHEMA, partition_spec=BY_DAY_AND_TAG)


def row(number: int, *, day: int = 0, tag: str = "a", size: int | None = 1, source: str | None = None) -> Row:
    return {"image_id": f"{number:064x}", "at": FIRST + timedelta(days=day, seconds=number), "tag": tag, "size": size, "source": source}


def add(table: Table, rows: list[Row]) -> None:
    table.append(pa.Table.from_pylist(rows, PLAIN))


@contextmanager
def files_read(table: Table) -> Iterator[list[str]]:
    """Paths of the data files that are opened meanwhile, once for each time."""
    opened: list[str] = []
    original = type(table.io).new_input

    def noted(self: object, location: str) -> object:
        if location.endswith(".parquet"):
            opened.append(location)
        return original(self, location)  # type: ignore[arg-type]

    with patch.object(type(table.io), "new_input", noted):
        yield opened


def in_order(rows: list[Row], sort_by: str, *, descending: bool) -> list[Row]:
    """Python's own sort: nulls last either way, equal ones by the key."""

    def compare(one: Row, other: Row) -> int:
        left, right = one[sort_by], other[sort_by]
        if left == right:
            return -1 if one["image_id"] < other["image_id"] else 1
        if left is None or right is None:
            return 1 if left is None else -1
        return 1 if (left > right) != descending else -1

    return sorted(rows, key=cmp_to_key(compare))


texts = st.text(st.sampled_from("aAbé\U0001f600%_ "), max_size=20)
rows_of_a_commit = st.lists(
    st.fixed_dictionaries(
        {
            "day": st.integers(0, 3),
            "second": st.integers(0, 3),
            "tag": st.sampled_from(["product", "user", "a tag that is longer than a bound"]),
            "size": st.none() | st.integers(0, 4) | st.integers(-(2**63), 2**63 - 1),
            "source": st.none() | texts,
        }
    ),
    min_size=1,
    max_size=12,
)
conditions = st.one_of(
    st.none(),
    st.sampled_from(["product", "user", "none"]).map(lambda tag: (equal("tag", tag), lambda row: row["tag"] == tag)),
    st.integers(0, 3).map(
        lambda size: (GreaterThanOrEqual("size", size), lambda row: row["size"] is not None and row["size"] >= size)  # type: ignore[call-arg,arg-type]
    ),
    st.integers(0, 3).map(
        lambda day: (
            LessThan("at", (FIRST + timedelta(days=day)).isoformat()),  # type: ignore[call-arg,arg-type]
            lambda row: row["at"] < FIRST + timedelta(days=day),
        )
    ),
    st.integers(0, 2).map(
        lambda second: (
            LessThan("at", (FIRST + timedelta(days=1, seconds=second)).isoformat()),  # type: ignore[call-arg,arg-type]
            lambda row: row["at"] < FIRST + timedelta(days=1, seconds=second),
        )
    ),
    texts.filter(bool).map(lambda text: (equal("source", text), lambda row: row["source"] == text)),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    commits=st.lists(rows_of_a_commit, min_size=1, max_size=4),
    condition=conditions,
    deleted=st.booleans(),
    containing=st.none() | st.none() | st.sampled_from(["a", "É", "%", "😀"]),
    offset=st.integers(0, 12),
    limit=st.integers(1, 8),
)
@example(
    commits=[[{"day": day, "second": 0, "tag": "user", "size": size, "source": None} for size in (None, 3)] for day in range(4)],
    condition=None, deleted=False, containing=None, offset=3, limit=2,
)  # fmt: skip
@example(
    commits=[[{"day": 0, "second": 0, "tag": "user", "size": size, "source": None}] for size in (None, 5, None, 5, 4)],
    condition=None, deleted=False, containing=None, offset=1, limit=3,
)  # fmt: skip
def test_a_page_in_any_order_its_count_and_its_total_are_those_of_pythons_own_sort(
    catalog, commits, condition, deleted, containing, offset, limit
):
    table = catalog.create_table(f"db.p{uuid4().hex}", schema=SCHEMA, partition_spec=BY_DAY_AND_TAG)
    rows: list[Row] = []
    for commit in commits:
        made = []
        for values in commit:
            at = FIRST + timedelta(days=values["day"], seconds=values["second"])
            number = (len(rows) + len(made)) * 7919 % 1009  # not in the order of their commits
            made.append({"image_id": f"{number:064x}", "at": at, **{name: values[name] for name in ("tag", "size", "source")}})
        add(table, made)
        rows += made
    if deleted:
        table.delete(equal("image_id", rows[0]["image_id"]))
        rows = rows[1:]
    expression, matches = condition or (None, lambda _: True)
    if containing:
        matches = lambda row, inner=matches: inner(row) and containing.lower() in (row["source"] or "").lower()  # noqa: E731
    rows = [row for row in rows if matches(row)]
    options = {"condition": expression} if expression is not None else {}
    selection = Selection(table, **options, containing={"source": containing} if containing else {})

    assert selection.count() == len(rows)
    for sort_by, descending in product(FIELDS, (False, True)):
        with patch("lakehouse.iceberg.page._READERS", 1):  # So that it has to decide after each file.
            found = selection.page(sort_by=sort_by, descending=descending, offset=offset, limit=limit, fields=FIELDS)
        assert found == in_order(rows, sort_by, descending=descending)[offset : offset + limit], (sort_by, descending)
    total = selection.fold(["size"], lambda batch: sum(value or 0 for value in batch["size"].to_pylist()), lambda a, b: a + b, 0)
    assert total == sum(row["size"] or 0 for row in rows)
    found = [image_id for batch in selection.batches(["image_id"], skip=offset) for image_id in batch["image_id"].to_pylist()]
    everything = [image_id for batch in selection.batches(["image_id"]) for image_id in batch["image_id"].to_pylist()]
    assert sorted(everything) == sorted(row["image_id"] for row in rows)
    assert found == everything[offset:]


def test_rows_that_another_engine_marked_as_deleted_are_not_counted_by_the_manifests(table):
    """PyIceberg itself cannot write position deletes; Trino and Spark do."""
    rows = days_of_ten(table, 1)
    [task] = Selection(table).files
    marked = FileScanTask(task.file, delete_files={task.file}, residual=AlwaysTrue())
    gone = {task.file.file_path: [pa.chunked_array([pa.array([0, 3], pa.int64())])]}
    with (
        patch("lakehouse.iceberg.page._read_all_delete_files", lambda *_: gone),
        patch.object(Selection, "files", (marked,)),
    ):
        selection = Selection(table)
        assert selection.count() == 8
        assert selection.page(sort_by="at", offset=2, limit=2, fields=FIELDS) == [rows[4], rows[5]]
        assert selection.page(sort_by="at", offset=8, fields=FIELDS) == []


def days_of_ten(table: Table, days: int) -> list[Row]:
    """A file a day."""
    rows = [row(day * 10 + number, day=day, size=number) for day in range(days) for number in range(10)]
    add(table, rows)
    return rows


@pytest.mark.parametrize("offset", [0, 40, 196, 380])
@pytest.mark.parametrize("descending", [False, True])
def test_a_page_anywhere_opens_as_many_files_however_large_the_table_is(table, offset, descending):
    rows = days_of_ten(table, 40)
    selection = Selection(table)
    with files_read(table) as opened:
        found = selection.page(sort_by="at", descending=descending, offset=offset, limit=20, fields=FIELDS)
    assert found == in_order(rows, "at", descending=descending)[offset : offset + 20]
    # Each wave of eight reads sort column and key; whole rows come from two or three files.
    assert len(opened) <= 2 * 8 + 3


def test_counting_whole_files_opens_none_and_others_only_those_that_match_in_part(table):
    days_of_ten(table, 5)
    with files_read(table) as opened:
        assert Selection(table).count() == 50
        assert Selection(table, And(equal("tag", "a"), within_days(table, "at", date(2026, 11, 2), date(2026, 11, 3)))).count() == 20
        assert Selection(table, GreaterThanOrEqual("size", 0)).count() == 50  # type: ignore[call-arg,arg-type]
        assert opened == []
        middle = (FIRST + timedelta(days=2, seconds=25)).isoformat()
        assert Selection(table, LessThan("at", middle)).count() == 25  # type: ignore[call-arg,arg-type]
    assert len(opened) == 1


def test_only_the_columns_of_the_order_are_read_before_the_page(table):
    days_of_ten(table, 3)
    read: list[set[str]] = []
    original = Selection._batches

    def noted(self: Selection, task: Any, columns: Any, condition: BooleanExpression | None = None) -> Any:
        read.append(set(columns))
        return original(self, task, columns, condition)

    with patch.object(Selection, "_batches", noted):
        Selection(table).page(sort_by="size", limit=2, fields=["source", "size"])
    assert read.count({"size", "image_id"}) == 3
    assert {frozenset(columns) for columns in read} == {frozenset({"size", "image_id"}), frozenset({"size", "source", "image_id"})}


def test_totals_of_files_that_were_seen_are_not_read_again(table):
    days_of_ten(table, 3)
    cache: dict[str, int] = {}

    def total(condition: BooleanExpression | None = None) -> int:
        selection = Selection(table, **({"condition": condition} if condition is not None else {}))
        return selection.fold(["size"], lambda batch: sum(batch["size"].to_pylist()), lambda one, other: one + other, 0, cache=cache)

    assert total() == 3 * 45
    add(table, [row(100, day=9, size=7)])
    with files_read(table) as opened:
        assert total() == 3 * 45 + 7
    assert len(opened) == 1
    # A file that matches in part has another total, which must neither come from there nor stay there.
    assert total(GreaterThanOrEqual("size", 9)) == 27  # type: ignore[call-arg,arg-type]
    assert total() == 3 * 45 + 7


def test_a_snapshot_stays_what_it_was_and_a_column_that_came_later_is_null_in_it(table):
    rows = days_of_ten(table, 2)
    pinned = table.current_snapshot().snapshot_id
    with table.update_schema() as update:
        update.add_column("licence", StringType())
    add(table, [row(100, day=1)])
    selection = Selection(table, snapshot_id=pinned)
    assert selection.count() == 20
    found = selection.page(sort_by="licence", limit=30, fields=[*FIELDS, "licence", "not there"])
    assert found == [entry | {"licence": None} for entry in rows]
    assert Selection(table, one_of("licence", ["CC0"]), snapshot_id=pinned).count() == 0


def test_a_snapshot_that_is_gone_is_named(table):
    days_of_ten(table, 1)
    with pytest.raises(HistoryError, match="has no snapshot 42 any more"):
        Selection(table, snapshot_id=42).count()


def test_a_column_that_is_not_there_is_named(table):
    days_of_ten(table, 1)
    with pytest.raises(ConfigurationError, match="has no column colour to sort by"):
        Selection(table).page(sort_by="colour", fields=FIELDS)


def test_a_table_without_a_snapshot_has_nothing(table):
    selection = Selection(table)
    assert selection.count() == 0
    assert selection.page(sort_by="at", fields=FIELDS) == []
    assert selection.edge_values("tag") == set()


def test_values_at_the_edges_come_from_the_manifests_and_cut_off_ones_are_left_out(table):
    add(table, [row(1, tag="user", source="api"), row(2, tag="user", source="batch"), row(3, tag="product", source="x" * 40)])
    with files_read(table) as opened:
        assert Selection(table).edge_values("tag") == {"user", "product"}
        assert Selection(table).edge_values("source") == {"api", "batch"}
    assert opened == []
