from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType, TimestamptzType

from lakehouse.exceptions import SchemaMismatchError
from lakehouse.iceberg.data_files import write_data_files
from lakehouse.iceberg.history import data_files_by_day

FIELDS = (NestedField(1, "at", TimestamptzType()), NestedField(2, "key", StringType()), NestedField(3, "number", LongType(), required=True))
BY_DAY = PartitionSpec(PartitionField(1, 1000, DayTransform(), "at_day"))
SORTED = SortOrder(SortField(2, IdentityTransform()), SortField(3, IdentityTransform()))
SCHEMA = pa.schema([("at", pa.timestamp("us", "UTC")), ("key", pa.string()), pa.field("number", pa.int64(), nullable=False)])
START = datetime(2026, 11, 16, tzinfo=UTC)


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    """Partitioned by day, sorted by key and number."""
    catalog.create_namespace("db")
    return catalog.create_table("db.things", schema=Schema(*FIELDS), partition_spec=BY_DAY, sort_order=SORTED)


@pytest.fixture
def plain(catalog: SqlCatalog) -> Table:
    """Neither partitioned nor sorted."""
    catalog.create_namespace("other")
    return catalog.create_table("other.things", schema=Schema(*FIELDS))


def content(file: DataFile) -> pa.Table:
    return pq.read_table(urlparse(file.file_path).path)


def rows_of(tables: list[pa.Table]) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(row.values()) for one in tables for row in one.select(SCHEMA.names).to_pylist())


def piece(*rows: tuple[datetime | None, str | None, int]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA)


def is_sorted(rows: list[dict[str, Any]]) -> bool:
    """By key and number; rows without a key stand together, at one end or the other."""
    found = [(row["key"], row["number"]) for row in rows]
    empty, full = [pair for pair in found if pair[0] is None], [pair for pair in found if pair[0] is not None]
    return found in (sorted(empty) + sorted(full), sorted(full) + sorted(empty))


MOMENTS = st.none() | st.integers(0, 4 * 86_400 * 10**6).map(lambda moment: START + timedelta(microseconds=moment))
PIECES = st.lists(st.lists(st.tuples(MOMENTS, st.sampled_from([None, "", "a", "b", "ü"]), st.integers(-5, 5)), max_size=12), max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=PIECES, chunk_bytes=st.sampled_from([1, 60, 400, 1 << 20]))
def test_every_row_is_in_one_file_each_file_is_sorted_and_of_one_day(table, pieces, chunk_bytes):
    tables = [piece(*rows) for rows in pieces]
    files = write_data_files(table, iter(tables), chunk_bytes=chunk_bytes)
    contents = [content(file) for file in files]
    assert rows_of(contents) == rows_of(tables)
    assert len({file.file_path for file in files}) == len(files)
    for file, data in zip(files, contents, strict=True):
        rows = data.to_pylist()
        assert file.record_count == len(rows) > 0
        assert is_sorted(rows)
        (day,) = {row["at"] and row["at"].date() for row in rows}
        assert list(data_files_by_day(table, [file])) == ([day] if day else [])
    assert table.refresh().snapshots() == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=PIECES)
def test_files_that_a_commit_names_are_read_back_as_they_were_given(catalog, table, pieces):
    tables = [piece(*rows) for rows in pieces]
    before = rows_of([table.refresh().scan().to_arrow()])
    files = write_data_files(table, tables, chunk_bytes=200)
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
        for file in files:
            append.append_data_file(file)
    assert rows_of([catalog.load_table("db.things").scan().to_arrow()]) == before + rows_of(tables)


def test_nothing_to_write_is_no_file(table):
    assert write_data_files(table, []) == []
    assert write_data_files(table, [piece(), piece()]) == []


def test_small_pieces_of_a_day_become_one_file_and_a_large_one_becomes_several(table):
    small = [piece((START, "a", number)) for number in range(50)]
    assert [file.record_count for file in write_data_files(table, small)] == [50]
    large = pa.concat_tables(small).combine_chunks()
    files = write_data_files(table, [large], chunk_bytes=large.nbytes // 5)
    assert 3 <= len(files) <= 6
    assert max(file.record_count for file in files) <= 20
    assert sum(file.record_count for file in files) == 50


def test_a_record_batch_is_as_good_as_a_table_and_columns_go_by_name(table):
    batch = piece((START, "b", 2), (START, "a", 1)).combine_chunks().to_batches()[0]
    (file,) = write_data_files(table, [batch.select(["number", "key", "at"])])
    assert content(file).select(SCHEMA.names).to_pylist() == piece((START, "a", 1), (START, "b", 2)).to_pylist()


def test_a_column_that_the_rows_lack_is_null(table):
    (file,) = write_data_files(table, [pa.table({"at": pa.array([START], pa.timestamp("us", "UTC")), "number": [1]})])
    assert content(file)["key"].to_pylist() == [None]


def test_a_table_without_days_or_order_gets_its_rows_in_the_order_they_came(plain):
    tables = [piece((START, "b", 3), (None, None, 1)), piece((START + timedelta(days=3), "a", 2))]
    (file,) = write_data_files(plain, tables)
    assert content(file)["number"].to_pylist() == [3, 1, 2]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(pa.table({"number": [1], "colour": ["red"]}), id="a column that the table lacks"),
        pytest.param(pa.table({"number": ["many"]}), id="text in a column of numbers"),
        pytest.param(pa.table({"key": ["a"]}), id="no value in a required column"),
    ],
)
def test_rows_that_do_not_fit_are_a_mismatch_and_nothing_is_committed(table, rows):
    with pytest.raises(SchemaMismatchError, match=r"db\.things"):
        write_data_files(table, [piece((START, "a", 1)), rows])
    assert table.refresh().snapshots() == []


@pytest.mark.fault(13)
@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]
)
def test_a_day_before_1970_or_far_away_is_its_own_partition(table, moment):
    files = write_data_files(table, [piece((datetime.fromisoformat(moment), "a", 1), (START, "a", 2))])
    assert set(data_files_by_day(table, files)) == {date.fromisoformat(moment[:10]), START.date()}


def test_a_day_ends_at_midnight_utc(table):
    midnight = START + timedelta(days=1)
    files = write_data_files(table, [piece((midnight - timedelta(microseconds=1), "a", 1), (midnight, "b", 2))])
    assert {day: [content(file)["key"].to_pylist() for file in found] for day, found in data_files_by_day(table, files).items()} == {
        date(2026, 11, 16): [["a"]],
        date(2026, 11, 17): [["b"]],
    }


@pytest.mark.parametrize("columns", [["key"], ["key", "number"], ["number"]])
def test_the_tables_own_order_counts_when_it_has_changed(table, columns):
    with table.update_sort_order() as order:
        for name in columns:
            order.asc(name, IdentityTransform())
    rows = [(START, key, number) for key, number in (("b", 1), ("a", 3), ("c", 2), ("a", 1))]
    (file,) = write_data_files(table, [piece(*rows)])
    found = [tuple(row[name] for name in columns) for row in content(file).to_pylist()]
    assert found == sorted(found)


def test_empty_keys_come_first_as_the_tables_order_says(table):
    assert "NULLS FIRST" in str(table.sort_order())
    (file,) = write_data_files(table, [piece((START, "a", 1), (START, None, 2))])
    assert content(file)["number"].to_pylist() == [2, 1]


CHUNK = 4 << 20


def test_memory_is_bounded_by_a_chunk_and_not_by_the_rows(plain, catalog, tmp_path: Path):
    """Arrow's memory at each piece that is asked for, and at its highest in between."""
    by_key = SortOrder(SortField(2, IdentityTransform()))
    table = catalog.create_table("other.sorted", schema=Schema(*FIELDS), partition_spec=BY_DAY, sort_order=by_key)
    rng, rows, pieces = np.random.default_rng(1), 20_000, 64
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    seen: list[int] = []

    def generate() -> Iterator[pa.RecordBatch]:
        moments = pa.array(np.full(rows, np.datetime64("2026-11-16T14", "us")), pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
        for _ in range(pieces):
            seen.append(pa.total_allocated_bytes())
            keys = pa.array(np.char.mod("%016d", rng.integers(0, 10**15, rows)), pa.string())
            yield pa.record_batch({"at": moments, "key": keys, "number": pa.array(rng.integers(0, 100, rows))})

    gc.collect()
    before = pa.total_allocated_bytes()
    given_pool = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        files = write_data_files(table, generate(), chunk_bytes=CHUNK)
    finally:
        pa.set_memory_pool(given_pool)
    total = rows * pieces * (8 + 8 + 20)
    assert sum(file.record_count for file in files) == rows * pieces
    assert total > 10 * CHUNK
    assert len(files) >= total // CHUNK
    assert max(seen) - before < 2 * CHUNK
    assert pool.max_memory() < 5 * CHUNK
