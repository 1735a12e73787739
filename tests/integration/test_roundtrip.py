"""Rows written by PyIceberg, Spark and Trino read back equal in the other two, for every column type and its edge values."""

from __future__ import annotations

import json
import struct
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
)

from stack.installation import Installation
from stack.report import query
from tests.conftest import spark_submit

pytestmark = [pytest.mark.integration, pytest.mark.fault(13)]

EPOCH = datetime(1970, 1, 1)
TYPES: dict[str, IcebergType] = {
    "flag": BooleanType(),
    "small": IntegerType(),
    "big": LongType(),
    "single": FloatType(),
    "twice": DoubleType(),
    "money": DecimalType(38, 9),
    "day": DateType(),
    "plain": TimestampType(),
    "moment": TimestamptzType(),
    "text": StringType(),
    "bytes": BinaryType(),
}
# Before the calendar changed, before 1970, at the epoch, when clocks change, and the last microsecond there is.
MOMENTS = [
    datetime(1, 1, 1),
    datetime(1582, 10, 4, 23, 59, 59, 999999),
    datetime(1582, 10, 15),
    datetime(1969, 12, 31, 23, 59, 59, 999999),
    EPOCH,
    datetime(2026, 3, 29, 1, 30, 0, 1),
    datetime(2026, 10, 25, 1, 30),
    datetime(9999, 12, 31, 23, 59, 59, 999999),
]
EDGES: dict[str, list[Any]] = {
    "flag": [True, False],
    "small": [-(2**31), -1, 0, 2**31 - 1],
    "big": [-(2**63), -1, 0, 2**63 - 1],
    "single": [-3.4028234663852886e38, -1.5, 0.0, 1.401298464324817e-45],
    "twice": [-1.7976931348623157e308, 5e-324, 0.1, float("inf"), float("-inf"), float("nan")],
    "money": [Decimal("-99999999999999999999999999999.999999999"), Decimal("0.000000001"), Decimal("0E-9")],
    "day": [moment.date() for moment in MOMENTS],
    "plain": MOMENTS,
    "moment": MOMENTS,
    "text": ["", "한국어 ünï \U0001f600", "a'b\"c;--", "line\nbreak\ttab", "x" * 5000],
    "bytes": [b"", b"\x00\xff", b"'"],
}
ROWS = max(map(len, EDGES.values())) + 1  # the last row is null everywhere


def value_of(name: str, number: int) -> Any:
    """The value of a column in a row; null where the column has no further edge."""
    return EDGES[name][number] if number < len(EDGES[name]) else None


def canonical(name: str, value: Any) -> Any:
    """A value as text or number that all engines can give without loss."""
    if value is None:
        return None
    if name in ("plain", "moment"):
        return (value - EPOCH) // timedelta(microseconds=1)
    if name == "day":
        return (value - EPOCH.date()).days
    if name in ("single", "twice"):
        return "nan" if value != value else struct.pack(">d", value).hex()
    if name == "money":
        return f"{value:.9f}"
    return value.hex() if name == "bytes" else value


WANTED = [[canonical(name, value_of(name, number)) for name in TYPES] for number in range(ROWS)]


def literal(name: str, value: Any, engine: str) -> str:
    """A typed literal of an engine's SQL."""
    if value is None:
        return "NULL"
    if name == "flag":
        return str(value).lower()
    if name in ("plain", "moment"):
        if engine == "trino":
            text = value.isoformat(sep=" ", timespec="microseconds")
            return f"TIMESTAMP '{text}{' UTC' if name == 'moment' else ''}'"
        micros = f"timestamp_micros({canonical(name, value)}L)"
        return micros if name == "moment" else f"CAST({micros} AS timestamp_ntz)"
    if name == "day":
        return f"DATE '{value.isoformat()}'"
    if name in ("single", "twice"):
        kind = "float" if engine == "spark" else "real"
        special = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(str(value))
        return f"CAST('{special or repr(value)}' AS {kind if name == 'single' else 'double'})"
    if name in ("small", "big"):
        return f"CAST('{value}' AS {'int' if name == 'small' else 'bigint'})"
    if name == "money":
        return f"CAST('{value:.9f}' AS decimal(38, 9))"
    if name == "bytes":
        return f"X'{value.hex()}'"
    if engine == "spark":
        return f"CAST(X'{value.encode().hex()}' AS string)"
    return "'" + value.replace("'", "''") + "'"


def insert(engine: str, table: str) -> str:
    rows = [f"({number}, {', '.join(literal(name, value_of(name, number), engine) for name in TYPES)})" for number in range(ROWS)]
    return f"INSERT INTO {table} VALUES {', '.join(rows)}"


def make(catalog: Catalog, name: str) -> str:
    fields = [NestedField(1, "id", IntegerType(), required=True)]
    fields += [NestedField(number, column, kind) for number, (column, kind) in enumerate(TYPES.items(), start=2)]
    moment = next(field.field_id for field in fields if field.name == "moment")
    from contextlib import suppress

    from pyiceberg.exceptions import NamespaceAlreadyExistsError

    with suppress(NamespaceAlreadyExistsError):
        catalog.create_namespace("test_db")
    catalog.create_table(
        f"test_db.{name}", Schema(*fields), partition_spec=PartitionSpec(PartitionField(moment, 1000, DayTransform(), "moment_day"))
    )
    return f"test_db.{name}"


def read_by_pyiceberg(catalog: Catalog, table: str) -> list[list[Any]]:
    rows = catalog.load_table(table).scan().to_arrow().sort_by("id")
    columns = [rows[name].cast(pa.timestamp("us")).to_pylist() if name in ("plain", "moment") else rows[name].to_pylist() for name in TYPES]
    return [[canonical(name, value) for name, value in zip(TYPES, row, strict=True)] for row in zip(*columns, strict=True)]


def read_by_trino(stack: Installation, table: str) -> list[list[Any]]:
    def expression(name: str) -> str:
        if name in ("single", "twice"):
            return f"CASE WHEN is_nan({name}) THEN 'nan' ELSE lower(to_hex(to_ieee754_64(CAST({name} AS double)))) END"
        if name in ("plain", "moment", "day", "money"):
            return f"CAST({name} AS varchar)"
        return "lower(to_hex(bytes))" if name == "bytes" else name

    def value(name: str, text: Any) -> Any:
        if text is not None and name in ("plain", "moment"):
            return canonical(name, datetime.fromisoformat(text.removesuffix(" UTC")))
        return canonical(name, date.fromisoformat(text)) if text is not None and name == "day" else text

    rows = query(stack, f"SELECT {', '.join(map(expression, TYPES))} FROM {table} ORDER BY id")
    return [[value(name, text) for name, text in zip(TYPES, row, strict=True)] for row in rows]


def spark_columns() -> list[str]:
    def expression(name: str) -> str:
        if name == "plain":
            return f"unix_micros(CAST({name} AS timestamp))"
        if name in ("single", "twice"):
            return f"CAST({name} AS double)"
        named = {
            "moment": f"unix_micros({name})",
            "day": f"unix_date({name})",
            "money": f"CAST({name} AS string)",
            "bytes": f"lower(hex({name}))",
        }
        return named.get(name, name)

    return list(map(expression, TYPES))


def by_spark(stack: Installation, table: str, statements: list[str]) -> list[list[Any]]:
    from pathlib import Path

    job = Path(__file__).with_name("spark_roundtrip.py")
    result = spark_submit(stack, job, f"hive_prod.{table}", json.dumps(statements), json.dumps(spark_columns()))
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    rows = [json.loads(line.removeprefix("ROW")) for line in result.stdout.splitlines() if line.startswith("ROW")]
    floats = [position for position, name in enumerate(TYPES) if name in ("single", "twice")]
    return [[canonical("twice", value) if place in floats else value for place, value in enumerate(row)] for row in rows]


def test_rows_of_pyiceberg_are_read_equal_by_trino_and_spark(catalog: Catalog, stack: Installation, fresh_name: str) -> None:
    table = make(catalog, fresh_name)
    target = catalog.load_table(table)
    rows = [{"id": number} | {name: value_of(name, number) for name in TYPES} for number in range(ROWS)]
    for row in rows:
        row["moment"] = row["moment"].replace(tzinfo=UTC) if row["moment"] else None
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    target.append(pa.Table.from_pylist(rows, schema=schema_to_pyarrow(target.schema(), include_field_ids=False)))
    assert read_by_pyiceberg(catalog, table) == WANTED
    assert read_by_trino(stack, table) == WANTED
    assert by_spark(stack, table, []) == WANTED


def test_rows_of_spark_are_read_equal_by_trino_and_pyiceberg(catalog: Catalog, stack: Installation, fresh_name: str) -> None:
    table = make(catalog, fresh_name)
    assert by_spark(stack, table, [insert("spark", f"hive_prod.{table}")]) == WANTED
    assert read_by_trino(stack, table) == WANTED
    assert read_by_pyiceberg(catalog, table) == WANTED


def test_rows_of_trino_are_read_equal_by_spark_and_pyiceberg(catalog: Catalog, stack: Installation, fresh_name: str) -> None:
    table = make(catalog, fresh_name)
    query(stack, insert("trino", table))
    assert read_by_trino(stack, table) == WANTED
    assert read_by_pyiceberg(catalog, table) == WANTED
    assert by_spark(stack, table, []) == WANTED


def test_a_day_of_the_last_year_is_pruned_and_found_in_every_engine(catalog: Catalog, stack: Installation, fresh_name: str) -> None:
    table = make(catalog, fresh_name)
    query(stack, insert("trino", table))
    last = date(9999, 12, 31)
    assert query(stack, f"SELECT count(*) FROM {table} WHERE moment >= TIMESTAMP '{last} 00:00:00 UTC'") == [[1]]
    assert len(catalog.load_table(table).scan(f"moment >= '{last}T00:00:00+00:00'").to_arrow()) == 1
    partitions = query(stack, f'SELECT partition.moment_day FROM test_db."{fresh_name}$partitions" ORDER BY 1')
    assert [row[0] for row in partitions] == [moment.date().isoformat() for moment in MOMENTS] + [None]
