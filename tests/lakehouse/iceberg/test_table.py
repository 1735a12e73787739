from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import IntegerType, LongType, NestedField, StringType, TimestampType

from lakehouse.contracts import Column, Contract
from lakehouse.exceptions import SchemaMismatchError
from lakehouse.iceberg.table import ensure_table, row_count, rows_by_day


def column(name: str, kind: str, *, required: bool = False) -> Column:
    return Column(name, kind, required, f"about {name}", None)


BASE = Contract(
    table="db.events",
    description="",
    columns=(column("id", "string", required=True), column("at", "timestamptz"), column("size", "int")),
    primary_key=("id",),
    partitioning=("day(at)",),
    sort_order=("at",),
    properties={"write.parquet.compression-codec": "zstd"},
    checks=(),
    refused_threshold=0.0,
    runbook="",
    freshness_hours=None,
    freshness_column=None,
    retention_days=None,
)


def changed(*columns: Column, **changes) -> Contract:
    return dataclasses.replace(BASE, columns=columns, **changes)


def rows(*days: datetime | None) -> pa.Table:
    schema = pa.schema([pa.field("id", pa.string(), nullable=False), ("at", pa.timestamp("us", "UTC")), ("size", pa.int32())])
    return pa.Table.from_pylist([{"id": str(n), "at": day, "size": n} for n, day in enumerate(days)], schema=schema)


def test_a_table_is_made_as_its_contract_says(catalog):
    table = ensure_table(catalog, BASE)
    assert [field.name for field in table.schema().fields] == ["id", "at", "size"]
    assert [field.name for field in table.spec().fields] == ["at_day"]
    assert [field.source_id for field in table.sort_order().fields] == [2]
    assert table.properties["write.parquet.compression-codec"] == "zstd"


def test_a_table_that_fits_is_left_untouched(catalog):
    first = ensure_table(catalog, BASE)
    assert ensure_table(catalog, BASE).metadata_location == first.metadata_location


def test_a_table_grows_by_columns_wider_types_and_properties_and_keeps_its_rows(catalog):
    ensure_table(catalog, BASE).append(rows(datetime(2026, 11, 20, tzinfo=UTC)))
    wanted = changed(
        *BASE.columns[:2], column("size", "long"), column("colour", "string"), properties={"write.target-file-size-bytes": "1000000"}
    )
    ensure_table(catalog, wanted)
    table = catalog.load_table("db.events")
    assert table.schema().find_field("size").field_type == LongType()
    assert table.schema().find_field("colour").doc == "about colour"
    assert table.properties["write.target-file-size-bytes"] == "1000000"
    assert table.scan(selected_fields=("size", "colour")).to_arrow().to_pylist() == [{"size": 0, "colour": None}]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        pytest.param(
            (*BASE.columns, column("owner", "string", required=True)), "make it optional in the contract", id="a new required column"
        ),
        pytest.param(
            (*BASE.columns[:2], column("size", "string")), "size is int in the table and string in the contract", id="another type"
        ),
        pytest.param(
            (column("id", "string"), *BASE.columns[1:]), "id is required in the table and optional in the contract", id="an optional column"
        ),
        pytest.param(BASE.columns[:2], "column size is in the table and not in the contract", id="a column that the contract dropped"),
    ],
)
def test_what_is_not_an_addition_is_refused_whole_and_says_which_side_to_change(catalog, columns, words):
    before = ensure_table(catalog, BASE).metadata_location
    with pytest.raises(SchemaMismatchError, match=words):
        ensure_table(catalog, changed(*columns, column("colour", "string")))
    assert catalog.load_table("db.events").metadata_location == before


def test_every_difference_is_named_at_once(catalog):
    ensure_table(catalog, BASE)
    with pytest.raises(SchemaMismatchError, match=r"(?s)column id is string.*column size is in the table"):
        ensure_table(catalog, changed(column("id", "long", required=True), BASE.columns[1]))


def test_a_narrower_type_in_the_contract_is_refused(catalog):
    ensure_table(catalog, changed(*BASE.columns[:2], column("size", "long")))
    with pytest.raises(SchemaMismatchError, match="size is long in the table and int in the contract"):
        ensure_table(catalog, BASE)


def test_a_table_made_by_hand_keeps_its_plain_timestamps_and_optional_columns_and_gets_the_contracts_layout(catalog):
    catalog.create_namespace("db")
    fields = [
        NestedField(1, "id", StringType()),
        NestedField(2, "at", TimestampType()),
        NestedField(3, "size", IntegerType()),
    ]
    made = catalog.create_table("db.events", schema=Schema(*fields))
    table = ensure_table(catalog, dataclasses.replace(BASE, properties={}))
    assert table.schema() == made.schema()
    assert [field.name for field in table.spec().fields] == ["at_day"]
    assert [field.source_id for field in table.sort_order().fields] == [2]


def test_a_new_partition_field_and_sort_order_hold_for_new_files_and_the_old_rows_stay(catalog):
    table = ensure_table(catalog, BASE)
    table.append(rows(datetime(2026, 11, 19, tzinfo=UTC)))
    grown = dataclasses.replace(BASE, partitioning=("day(at)", "bucket[4](id)"), sort_order=("size", "at"))
    table = ensure_table(catalog, grown)
    assert [(field.name, str(field.transform)) for field in table.spec().fields] == [("at_day", "day"), ("id_bucket", "bucket[4]")]
    assert [table.schema().find_column_name(field.source_id) for field in table.sort_order().fields] == ["size", "at"]
    table.append(rows(datetime(2026, 11, 20, tzinfo=UTC)))
    assert row_count(table) == 2
    assert ensure_table(catalog, grown).metadata_location == table.metadata_location


def test_a_partition_field_that_only_the_table_has_is_refused_with_the_side_to_change(catalog):
    ensure_table(catalog, BASE)
    with pytest.raises(SchemaMismatchError, match=r"partitioned by day\(at\), the contract is not: add it to the contract"):
        ensure_table(catalog, dataclasses.replace(BASE, partitioning=("id",)))


def test_rows_are_counted_from_metadata(catalog):
    table = ensure_table(catalog, BASE)
    assert (row_count(table), rows_by_day(table, "at_day")) == (0, {})
    days = [datetime(2026, 11, 19, 23, 59, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 20, 9, tzinfo=UTC)]
    table.append(rows(*days))
    table.append(rows(days[1], None))
    assert row_count(table) == 5
    assert rows_by_day(table, "at_day") == {date(2026, 11, 19): 1, date(2026, 11, 20): 3, None: 1}
    table.delete("size >= 0")
    assert row_count(catalog.load_table("db.events")) == 0
