"""Writes days of option ticks into Iceberg: one row a tick, a seeded random walk per symbol, the same for the same day and seed.

By hand:

    SPARK_CONF_DIR=var/etc/spark spark-submit include/spark/option_ticks.py \\
        --table hive_prod.option_ticks_db.bronze_option_ticks --days 2026-11-20=10000,2026-11-21=1000000 \\
        --columns timestamp,symbol,bid_price,bid_size,ask_price,ask_size,last_price,volume,exchange,ingest_time

Each day is overwritten whole, all of them in one commit; columns are matched by name.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

SYMBOLS = Path(__file__).resolve().parent.parent / "sample_data" / "symbols.csv"
# The walk's first day; a day's opening price is the walk's state on that day, so days written alone fit together.
WALK_START = date(2024, 1, 1)
SESSION_OPEN, SESSION_SECONDS = timedelta(hours=13, minutes=30), 6.5 * 3600
DAILY_VOLUME = 400_000  # contracts a day for a weight of 1
# Written into the snapshot's summary, so that a day which is there with the same seed and rows is left alone.
RECIPES_PROPERTY = "lakehouse.tick-days"
WORK_SCHEMA = "day date, symbol string, exchange string, start double, volatility double, weight double, rows int"
TICK_SCHEMA = (
    "timestamp timestamp, symbol string, bid_price double, bid_size int, ask_price double, ask_size int, "
    "last_price double, volume bigint, exchange string, ingest_time timestamp"
)


def recipe(rows: int, seed: int) -> str:
    """What decides a day's values, besides the day."""
    return f"v2/{seed}/{rows}"


def split_rows(rows: int, weights: list[float]) -> list[int]:
    """`rows` shared out by weight; the parts add up to `rows` exactly."""
    edges = np.floor(np.cumsum(weights) / np.sum(weights) * rows + 0.5).astype(int)
    edges[-1] = rows
    return [int(part) for part in np.diff(edges, prepend=0)]


def ticks_of_symbol(
    day: date, symbol: str, exchange: str | None, start: float, volatility: float, weight: float, rows: int, seed: int
) -> pa.RecordBatch:
    """One symbol's ticks of one day, in the order of time; prices in the contract's currency, sizes in contracts.

    The day's volume follows the symbol's weight, not the number of rows, so days of any density can be compared.
    """
    whole_walk = np.random.default_rng([seed, crc32(symbol.encode())])
    days = (day - WALK_START).days
    opening = start * float(np.exp(np.clip(whole_walk.normal(0, volatility, max(days, 1)).cumsum()[-1], -1.5, 1.5)))
    rng = np.random.default_rng([seed, crc32(symbol.encode()), day.toordinal()])
    seconds = np.sort(rng.uniform(0, SESSION_SECONDS, rows))
    steps = rng.normal(0, volatility / np.sqrt(max(rows, 1)), rows)
    middle = np.maximum(opening * np.exp(steps.cumsum()), 0.05)
    half_spread = np.maximum(0.01, middle * rng.uniform(0.0005, 0.003, rows))
    bid, ask = _cents(middle - half_spread), _cents(middle + half_spread)
    last = np.clip(_cents(middle + rng.uniform(-1, 1, rows) * half_spread), bid, ask)
    # A wider spread goes with smaller sizes, and a larger move with more volume.
    depth = 30 / (1 + 100 * half_spread / middle)
    share = 0.1 + np.abs(steps) / np.abs(steps).mean()
    volume = rng.poisson(DAILY_VOLUME * weight * rng.lognormal(0, 0.15) * share / share.sum())
    opens = datetime(day.year, day.month, day.day, tzinfo=UTC) + SESSION_OPEN
    moments = np.datetime64(opens.replace(tzinfo=None), "us") + (seconds * 1e6).astype("timedelta64[us]")
    ingest = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    stamp = pa.timestamp("us", tz="UTC")
    return pa.record_batch(
        {
            "timestamp": pa.array(moments, pa.timestamp("us")).cast(stamp),
            "symbol": pa.array([symbol] * rows, pa.string()),
            "bid_price": pa.array(bid),
            "bid_size": pa.array(1 + rng.poisson(depth), pa.int32()),
            "ask_price": pa.array(ask),
            "ask_size": pa.array(1 + rng.poisson(depth), pa.int32()),
            "last_price": pa.array(last),
            "volume": pa.array(volume, pa.int64()),
            "exchange": pa.array([exchange] * rows, pa.string()),
            "ingest_time": pa.array([ingest] * rows, stamp),
        }
    )


def _cents(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.round(np.maximum(prices, 0.01), 2).astype(np.float64)


def main() -> None:
    """Parse the arguments and write the days."""
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import col

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True, help="catalog.schema.table")
    parser.add_argument("--days", required=True, help="YYYY-MM-DD=ticks, separated by commas")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--columns", required=True, help="the contract's columns, separated by commas")
    options = parser.parse_args()
    days = {date.fromisoformat(day): int(rows) for day, rows in (pair.split("=") for pair in options.days.split(","))}
    with SYMBOLS.open(newline="") as file:
        symbols = list(csv.DictReader(file))
    weights = [float(row["weight"]) for row in symbols]
    work = [
        (day, row["symbol"], row["exchange"] or None, float(row["start_price"]), float(row["daily_volatility"]), float(row["weight"]), rows)
        for day, total in days.items()
        for row, rows in zip(symbols, split_rows(total, weights), strict=True)
        if rows
    ]
    seed = options.seed

    def generate(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for unit in batch.to_pylist():
                yield ticks_of_symbol(**unit, seed=seed)

    spark = SparkSession.builder.appName("option_ticks").getOrCreate()
    print(f"option_ticks: writing {sum(days.values())} ticks of {len(days)} days to {options.table}", flush=True)  # noqa: T201
    units = spark.createDataFrame(work, WORK_SCHEMA).repartition(min(len(work), 4 * spark.sparkContext.defaultParallelism))
    ticks = units.mapInArrow(generate, TICK_SCHEMA).select(*(col(name) for name in options.columns.split(",")))
    recipes = json.dumps({day.isoformat(): recipe(rows, seed) for day, rows in days.items()}, sort_keys=True)
    ticks.writeTo(options.table).option(f"snapshot-property.{RECIPES_PROPERTY}", recipes).overwritePartitions()
    print(f"option_ticks: {sum(days.values())} ticks committed", flush=True)  # noqa: T201
    spark.stop()


if __name__ == "__main__":
    main()
