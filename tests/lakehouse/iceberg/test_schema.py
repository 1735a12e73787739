from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import DecimalType, DoubleType, IntegerType, LongType, NestedField, StringType, TimestampType, TimestamptzType

from lakehouse.contracts import Column, Contract
from lakehouse.exceptions import ConfigurationError, SchemaMismatchError
from lakehouse.iceberg import schema


def contract(*columns: tuple[str, str], **changes) -> Contract:
    made = tuple(Column(name, kind, name == "id", f"about {name}", None) for name, kind in columns)
    plain = Contract("db.t", "", made, ("id",), (), (), {}, (), 0.0, "", None, None, None)
    return dataclasses.replace(plain, **changes)


def test_columns_become_fields_numbered_in_the_contracts_order():
    made = schema.schema(contract(("id", "string"), ("at", "timestamptz"), ("size", "int"), ("price", "decimal(9, 2)")))
    assert [(f.field_id, f.name, f.field_type, f.required, f.doc) for f in made.fields] == [
        (1, "id", StringType(), True, "about id"),
        (2, "at", TimestamptzType(), False, "about at"),
        (3, "size", IntegerType(), False, "about size"),
        (4, "price", DecimalType(9, 2), False, "about price"),
    ]


def test_a_type_that_iceberg_does_not_have_names_the_contract():
    with pytest.raises(ConfigurationError, match=r"contract of db\.t: a `physicalType` is not an Iceberg type"):
        schema.schema(contract(("id", "varchar(20)")))


def test_partitions_are_called_as_trino_and_spark_call_them():
    made = contract(("id", "string"), ("at", "timestamptz"), partitioning=("day(at)", "id"))
    spec = schema.partition_spec(made, schema.schema(made))
    assert [(field.name, str(field.transform), field.source_id) for field in spec.fields] == [("at_day", "day", 2), ("id", "identity", 1)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("day at", id="no brackets"),
        pytest.param("day(nowhere)", id="no such column"),
        pytest.param("eon(at)", id="no such transform"),
    ],
)
def test_a_partitioning_that_makes_no_sense_is_a_configuration_error(text):
    made = contract(("id", "string"), ("at", "timestamptz"), partitioning=(text,))
    with pytest.raises(ConfigurationError, match=r"db\.t"):
        schema.partition_spec(made, schema.schema(made))


def test_the_sort_order_is_ascending_in_the_contracts_order():
    made = contract(("id", "string"), ("at", "timestamptz"), sort_order=("at", "id"))
    order = schema.sort_order(made, schema.schema(made))
    assert [(field.source_id, field.direction.value) for field in order.fields] == [(2, "asc"), (1, "asc")]


@pytest.fixture
def table(catalog):
    catalog.create_namespace("db")
    fields = [
        NestedField(1, "at", TimestamptzType()),
        NestedField(2, "plain", TimestampType()),
        NestedField(3, "size", IntegerType()),
        NestedField(4, "total", LongType()),
        NestedField(5, "price", DoubleType()),
    ]
    return catalog.create_table("db.t", schema=Schema(*fields))


def test_columns_are_matched_by_name_and_what_is_missing_is_null(table):
    fitted = schema.to_table_types(pa.table({"total": [7], "size": pa.array([3], pa.int64())}), table)
    assert fitted.column_names == ["at", "plain", "size", "total", "price"]
    assert fitted.to_pylist() == [{"at": None, "plain": None, "size": 3, "total": 7, "price": None}]
    assert fitted.schema.field("size").type == pa.int32()


@pytest.mark.fault(13)
@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 29, 3, 0, 0, 1, timezone(timedelta(hours=2))),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
    ],
    ids=["daylight saving", "epoch 0", "before 1970", "the year 9999"],
)
def test_a_moment_comes_back_as_itself_with_a_zone_and_as_utc_without_one(table, moment):
    data = pa.table({"at": [moment], "plain": [moment]})
    table.append(schema.to_table_types(data, table))
    row = table.scan().to_arrow().to_pylist()[0]
    assert row["at"] == moment
    assert row["plain"] == moment.astimezone(UTC).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        pytest.param("colour", "red", id="a column that the table lacks"),
        pytest.param("size", 2**31, id="a number that is too large"),
        pytest.param("total", 0.5, id="a fraction for a whole number"),
        pytest.param("price", "cheap", id="a word for a number"),
    ],
)
def test_what_does_not_fit_names_the_table_and_the_column(table, column, value):
    with pytest.raises(SchemaMismatchError, match=rf"db\.t.*{column}"):
        schema.to_table_types(pa.table({column: [value]}), table)
