"""Writes days of option ticks into Iceberg: one row a tick, seeded random walks, the same for the same day and seed.

By hand:

    SPARK_CONF_DIR=var/etc/spark spark-submit include/spark/option_ticks.py \\
        --table hive_prod.option_ticks_db.bronze_option_ticks --branch by_hand --days 2026-11-20=10000,2026-11-21=1000000 \\
        --columns timestamp,symbol,bid_price,bid_size,ask_price,ask_size,last_price,volume,exchange,ingest_time

Each day is overwritten whole, all of them in one commit on the branch, which starts at main; columns are matched by name. A task makes its
days' ticks in the table's own order, so nothing is shuffled or sorted: that takes twice as long (`make bench`). The values
are made in this one file, because Spark ships a job's own functions to its workers, but no modules of this repository.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame, SparkSession

UNDERLYINGS = Path(__file__).resolve().parent.parent / "sample_data" / "underlyings.csv"
# The walk's first day; a day's opening price is the walk's state on that day, so days written alone fit together.
WALK_START = date(2024, 1, 1)
SESSION_OPEN, SESSION_MINUTES = timedelta(hours=13, minutes=30), 390
TRADING_DAYS = 252
DAILY_VOLUME = 40_000  # contracts a day for a weight of 1
BATCH_ROWS = 65_536
# About what a data file of the table's target size holds: a larger day is made by several tasks, each with a file of its own.
TASK_ROWS = 16_000_000
# Written into the snapshot's summary, so that a day which is there with the same seed and rows is left alone.
RECIPES_PROPERTY = "lakehouse.tick-days"
WORK_SCHEMA = (
    "day date, symbol string, underlying string, is_call boolean, strike double, years double, exchange string, "
    "spot double, volatility double, weight double, rows int"
)
TICK_SCHEMA = (
    "timestamp timestamp, symbol string, bid_price double, bid_size int, ask_price double, ask_size int, "
    "last_price double, volume bigint, exchange string, ingest_time timestamp"
)


@dataclass(frozen=True)
class Series:
    """One listed option: prices in the contract's currency, `years` its constant time to expiry, `weight` its share of the ticks."""

    symbol: str
    underlying: str
    is_call: bool
    strike: float
    years: float
    exchange: str | None
    spot: float
    volatility: float
    weight: float


def listed_series() -> list[Series]:
    """Every series of `underlyings.csv`, in the order of their symbols; those near the money are traded most."""
    series = []
    with UNDERLYINGS.open(newline="") as file:
        for row in csv.DictReader(file):
            spot, volatility = float(row["spot"]), float(row["volatility"])
            exchanges: list[str | None] = [*row["exchanges"].split()] or [None]
            for expiry, days in (pair.split("/") for pair in row["expiries"].split()):
                years = int(days) / 365
                for strike in range(int(row["first_strike"]), int(row["last_strike"]) + 1, int(row["strike_step"])):
                    distance = (strike - spot) / (spot * volatility * years**0.5)
                    weight = float(row["weight"]) * float(np.exp(-abs(distance))) / (1 + 2 * years)
                    for kind in "CP":
                        symbol = f"{row['underlying']}{expiry}{kind}{strike}"
                        exchange = exchanges[crc32(symbol.encode()) % len(exchanges)]
                        series.append(
                            Series(symbol, row["underlying"], kind == "C", float(strike), years, exchange, spot, volatility, weight)
                        )
    return sorted(series, key=lambda one: one.symbol)


def recipe(rows: int, seed: int) -> str:
    """What decides a day's values, besides the day: this code, the listed series, seed and rows."""
    return f"v3-{crc32(UNDERLYINGS.read_bytes()):08x}/{seed}/{rows}"


def recipes(days: dict[date, int], seed: int) -> dict[str, str]:
    """The entry of a snapshot's summary that says which days it wrote, and how."""
    return {RECIPES_PROPERTY: json.dumps({day.isoformat(): recipe(rows, seed) for day, rows in days.items()}, sort_keys=True)}


def split_rows(rows: int, weights: list[float]) -> list[int]:
    """`rows` shared out by weight; the parts add up to `rows` exactly."""
    edges = np.floor(np.cumsum(weights) / np.sum(weights) * rows + 0.5).astype(int)
    edges[-1] = rows
    return [int(part) for part in np.diff(edges, prepend=0)]


def work_of(days: dict[date, int]) -> Iterator[dict[str, Any]]:
    """Units of work, one for each day and series that has ticks, in the order of day and symbol."""
    series = listed_series()
    weights = [one.weight for one in series]
    for day, total in sorted(days.items()):
        for one, rows in zip(series, split_rows(total, weights), strict=True):
            if rows:
                yield {"day": day, **vars(one), "rows": rows}


def batches(work: Iterable[dict[str, Any]], seed: int) -> Iterator[pa.RecordBatch]:
    """The ticks of the units, in batches of a size that engines like: not one for each of hundreds of series."""
    waiting: list[pa.RecordBatch] = []
    for unit in work:
        waiting.append(ticks_of_series(**unit, seed=seed))
        if sum(batch.num_rows for batch in waiting) >= BATCH_ROWS:
            yield from pa.Table.from_batches(waiting).combine_chunks().to_batches(max_chunksize=BATCH_ROWS)
            waiting = []
    if waiting:
        yield from pa.Table.from_batches(waiting).combine_chunks().to_batches(max_chunksize=BATCH_ROWS)


def ticks_of_series(
    day: date,
    symbol: str,
    underlying: str,
    is_call: bool,  # noqa: FBT001  # a column of the work
    strike: float,
    years: float,
    exchange: str | None,
    spot: float,
    volatility: float,
    weight: float,
    rows: int,
    seed: int,
) -> pa.RecordBatch:
    """One series' ticks of one day, in the order of time; prices in the contract's currency, sizes in contracts.

    All series of an underlying follow its one walk. The day's volume follows the series' weight, not the number of rows, so days of
    any density can be compared.
    """
    minutes, path, pace = _session(day, underlying, spot, volatility, seed)
    rng = np.random.default_rng([seed, crc32(symbol.encode()), day.toordinal()])
    moments = np.sort(np.interp(rng.uniform(0, 1, rows), pace, minutes))
    middle = _option_price(np.interp(moments, minutes, path), strike, years, volatility, is_call=is_call)
    middle = middle * np.exp(rng.normal(0, 0.002, rows))
    half_spread = np.maximum(0.01, middle * rng.lognormal(np.log(0.004), 0.4, rows))
    bid, ask = _cents(middle - half_spread), _cents(middle + half_spread)
    last = np.clip(_cents(middle + rng.uniform(-1, 1, rows) * half_spread), bid, ask)
    # A wider spread goes with smaller sizes, and a larger move with more volume.
    depth = 40 / (1 + 100 * half_spread / middle)
    share = 0.2 + np.abs(np.diff(np.log(middle), prepend=np.log(middle[:1]))) / volatility * np.sqrt(TRADING_DAYS)
    volume = rng.poisson(DAILY_VOLUME * weight * rng.lognormal(0, 0.25) * share / share.sum())
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    opens = np.datetime64((midnight + SESSION_OPEN).replace(tzinfo=None), "us")
    stamp = pa.timestamp("us", tz="UTC")
    return pa.record_batch(
        {
            "timestamp": pa.array(opens + (moments * 60e6).astype("timedelta64[us]"), pa.timestamp("us")).cast(stamp),
            "symbol": pa.array([symbol] * rows, pa.string()),
            "bid_price": pa.array(bid),
            "bid_size": pa.array(1 + rng.poisson(depth), pa.int32()),
            "ask_price": pa.array(ask),
            "ask_size": pa.array(1 + rng.poisson(depth), pa.int32()),
            "last_price": pa.array(last),
            "volume": pa.array(volume, pa.int64()),
            "exchange": pa.array([exchange] * rows, pa.string()),
            "ingest_time": pa.array([midnight + timedelta(days=1)] * rows, stamp),
        }
    )


def _session(
    day: date, underlying: str, spot: float, volatility: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The underlying's session: minutes since the opening, its price at each, and the share of the day's ticks up to then."""
    name = crc32(underlying.encode())
    daily = volatility / np.sqrt(TRADING_DAYS)
    days = max((day - WALK_START).days, 1)
    # The walk is drawn back to `spot`, so that the strikes around it stay of interest over the years.
    memory = 0.97 ** np.arange(days - 1, -1, -1)
    opening = spot * np.exp(np.sum(np.random.default_rng([seed, name]).normal(0, daily, days) * memory))
    rng = np.random.default_rng([seed, name, day.toordinal()])
    minutes = np.arange(SESSION_MINUTES + 1, dtype=np.float64)
    steps = rng.normal(0, daily / np.sqrt(SESSION_MINUTES), SESSION_MINUTES + 1)
    # Trading is busiest after the opening and before the close.
    busy = 1 + 2.5 * np.exp(-minutes / 25) + 1.5 * np.exp(-(SESSION_MINUTES - minutes) / 20)
    busy[0] = 0
    return minutes, opening * np.exp(steps.cumsum()), busy.cumsum() / busy.sum()


def _option_price(spot: NDArray[np.float64], strike: float, years: float, volatility: float, *, is_call: bool) -> NDArray[np.float64]:
    """Intrinsic value, and a time value that fades away from the money.

    At the money it is 0.4 * spot * volatility * sqrt(years) (Brenner and Subrahmanyam, "A Simple Formula to Compute the Implied Standard
    Deviation", Financial Analysts Journal 44(5), 1988).
    """
    intrinsic = np.maximum(spot - strike if is_call else strike - spot, 0)
    spread = spot * volatility * np.sqrt(years)
    price: NDArray[np.float64] = np.maximum(intrinsic + 0.4 * spread * np.exp(-1.2 * np.abs(spot - strike) / spread), 0.05)
    return price


def _cents(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.round(np.maximum(prices, 0.01), 2).astype(np.float64)


def ticks_frame(spark: SparkSession, days: dict[date, int], seed: int) -> DataFrame:
    """The ticks of the days, clustered by day and then in the table's sort order, so that a writer has nothing to shuffle or sort."""

    def generate(incoming: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return batches((unit for batch in incoming for unit in batch.to_pylist()), seed)

    names = [name.split()[0] for name in WORK_SCHEMA.split(", ")]
    work = [tuple(unit[name] for name in names) for unit in work_of(days)]
    tasks = sum(-(-rows // TASK_ROWS) for rows in days.values())
    within = ["day"] if tasks == len(days) else ["day", "symbol"]
    units = spark.createDataFrame(work, WORK_SCHEMA).repartitionByRange(tasks, *within).sortWithinPartitions("day", "symbol")
    return units.mapInArrow(generate, TICK_SCHEMA)


def main() -> None:
    """Parse the arguments and write the days."""
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import col

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True, help="catalog.schema.table")
    parser.add_argument("--branch", required=True, help="branch to write; started anew at main")
    parser.add_argument("--days", required=True, help="YYYY-MM-DD=ticks, separated by commas")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--columns", required=True, help="the contract's columns, separated by commas")
    options = parser.parse_args()
    days = {date.fromisoformat(day): int(rows) for day, rows in (pair.split("=") for pair in options.days.split(","))}
    seed = options.seed
    spark = SparkSession.builder.appName("option_ticks").getOrCreate()
    print(f"option_ticks: writing {sum(days.values())} ticks of {len(days)} days to {options.table}, branch {options.branch}", flush=True)  # noqa: T201
    spark.sql(f"ALTER TABLE {options.table} CREATE OR REPLACE BRANCH `{options.branch}`")
    ticks = ticks_frame(spark, days, seed).select(*(col(name) for name in options.columns.split(",")))
    # The rows come as the table wants them, which Spark cannot know: it would shuffle and sort them again.
    writer = ticks.writeTo(f"{options.table}.`branch_{options.branch}`").option("use-table-distribution-and-ordering", "false")
    for key, value in recipes(days, seed).items():
        writer = writer.option(f"snapshot-property.{key}", value)
    writer.overwritePartitions()
    print(f"option_ticks: {sum(days.values())} ticks committed", flush=True)  # noqa: T201
    spark.stop()


if __name__ == "__main__":
    main()
