from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from include.spark.option_ticks import RECIPES_PROPERTY, recipe
from include.ticks import days_to_write, verify_days, wanted_days
from lakehouse.contracts import load
from lakehouse.exceptions import VerificationError
from lakehouse.iceberg.table import ensure_table

CONTRACT = Path(__file__).resolve().parents[2] / "include" / "contracts" / "bronze_option_ticks.odcs.yaml"
MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)


@pytest.fixture
def table(tmp_path) -> Iterator[Table]:
    catalog = SqlCatalog("unit", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    yield ensure_table(catalog, load(CONTRACT))
    catalog.close()


def write(table: Table, days: dict[date, int], seed: int | None = 7) -> None:
    """Overwrite the days as the Spark job does, with the recipes in the summary."""
    noted = {day.isoformat(): recipe(rows, seed) for day, rows in days.items()}
    summary = {RECIPES_PROPERTY: json.dumps(noted)} if seed is not None else {}
    schema = pa.schema(
        [
            pa.field("timestamp", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("symbol", pa.string(), nullable=False),
            pa.field("ingest_time", pa.timestamp("us", "UTC"), nullable=False),
        ]
    )
    moments = {day: datetime.combine(day, time(14), UTC) for day in days}
    rows = [{"timestamp": moments[day], "symbol": "X", "ingest_time": moments[day]} for day, count in days.items() for _ in range(count)]
    table.append(pa.Table.from_pylist(rows, schema=schema), snapshot_properties=summary)


def test_the_last_day_has_its_rows_and_those_before_it_fewer():
    assert wanted_days(TUESDAY, 3, 100, 10) == {TUESDAY: 100, MONDAY: 10, MONDAY - timedelta(days=1): 10}
    assert wanted_days(TUESDAY, 1, 100, 10) == {TUESDAY: 100}


def test_what_is_there_with_the_same_seed_and_rows_is_left_alone(table):
    wanted = {TUESDAY: 3, MONDAY: 2}
    assert days_to_write(table, wanted, 7) == wanted
    assert list(days_to_write(table, wanted, 7)) == [MONDAY, TUESDAY]
    write(table, {MONDAY: 2})
    assert days_to_write(table, wanted, 7) == {TUESDAY: 3}
    write(table, {TUESDAY: 3})
    assert days_to_write(table, wanted, 7) == {}


@pytest.mark.parametrize(
    ("rows", "seed", "wanted_rows", "wanted_seed"),
    [
        pytest.param(2, 7, 3, 7, id="another number of rows"),
        pytest.param(2, 7, 2, 8, id="another seed"),
        pytest.param(2, None, 2, 7, id="rows that nobody noted"),
    ],
)
def test_a_day_that_differs_is_written_again(table, rows, seed, wanted_rows, wanted_seed):
    write(table, {MONDAY: rows}, seed)
    assert days_to_write(table, {MONDAY: wanted_rows}, wanted_seed) == {MONDAY: wanted_rows}


@pytest.mark.fault(11)
def test_a_day_that_has_its_rows_twice_is_written_again(table):
    write(table, {MONDAY: 2})
    write(table, {MONDAY: 2})
    assert days_to_write(table, {MONDAY: 2}, 7) == {MONDAY: 2}


def test_the_newest_recipe_of_a_day_counts(table):
    write(table, {MONDAY: 2}, seed=7)
    table.delete("symbol == 'X'")
    write(table, {MONDAY: 2}, seed=8)
    assert days_to_write(table, {MONDAY: 2}, 8) == {}
    assert days_to_write(table, {MONDAY: 2}, 7) == {MONDAY: 2}


def test_written_days_are_verified_one_by_one(table):
    write(table, {MONDAY: 2, TUESDAY: 3})
    assert verify_days(table, {MONDAY: 2, TUESDAY: 3}) == 5
    assert verify_days(table, {MONDAY: 2}) == 2
    with pytest.raises(VerificationError, match=r"bronze_option_ticks: .*'2026-11-16': 2.*'2026-11-18': 0"):
        verify_days(table, {MONDAY: 1, TUESDAY: 3, date(2026, 11, 18): 1})
