from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.spark import option_ticks
from include.spark.option_ticks import RECIPES_PROPERTY, batches, listed_series, recipe, recipes, split_rows, ticks_of_series, work_of

DAY = date(2026, 11, 20)
SERIES = {one.symbol: one for one in listed_series()}
SESSION = timedelta(hours=6, minutes=30)


def ticks(day: date = DAY, symbol: str = "SPY25C400", rows: int = 500, seed: int = 7, **changes) -> pa.RecordBatch:
    return ticks_of_series(day, **(vars(SERIES[symbol]) | changes), rows=rows, seed=seed)


def middle(batch: pa.RecordBatch) -> np.ndarray:
    return (batch["bid_price"].to_numpy() + batch["ask_price"].to_numpy()) / 2


def minutes(batch: pa.RecordBatch) -> np.ndarray:
    """Whole minutes since the opening."""
    return pc.cast(batch["timestamp"], pa.int64()).to_numpy() // 60_000_000 % 1440 - (13 * 60 + 30)


def table_of(days: dict[date, int], seed: int = 7) -> pa.Table:
    return pa.Table.from_batches(batches(work_of(days), seed)).combine_chunks()


# Which series there are.


def test_there_are_hundreds_of_series_each_with_a_symbol_of_its_own():
    symbols = [one.symbol for one in listed_series()]
    assert len(symbols) > 200
    assert symbols == sorted(set(symbols))
    assert {"ESZ25C5000", "SPY25C400", "QQQ25C350"} <= set(symbols)


def test_a_symbol_names_underlying_expiry_kind_and_strike():
    for one in SERIES.values():
        expiry, kind = one.symbol.removeprefix(one.underlying), "C" if one.is_call else "P"
        assert one.symbol.startswith(one.underlying)
        assert expiry.endswith(f"{kind}{one.strike:g}")
        assert len(one.symbol) <= 32


def test_every_call_has_its_put_and_the_other_way_round():
    twins = Counter((one.underlying, one.strike, one.years, one.is_call) for one in SERIES.values())
    assert set(twins.values()) == {1}
    assert {key[:3] for key in twins if key[3]} == {key[:3] for key in twins if not key[3]}


def test_strikes_lie_around_the_spot_and_those_near_it_are_traded_most():
    for underlying in {one.underlying for one in SERIES.values()}:
        group = [one for one in SERIES.values() if one.underlying == underlying and one.is_call]
        assert min(one.strike for one in group) < group[0].spot < max(one.strike for one in group)
        first = [one for one in group if one.years == min(other.years for other in group)]
        by_distance = sorted(first, key=lambda one: abs(one.strike - one.spot))
        assert [one.weight for one in by_distance] == sorted((one.weight for one in first), reverse=True)
        assert by_distance[0].weight > 1.5 * by_distance[-1].weight


def test_an_exchange_may_be_unknown_but_not_everywhere():
    known = Counter(one.exchange is None for one in SERIES.values())
    assert 0 < known[True] < known[False]


def test_the_list_is_the_same_each_time():
    assert listed_series() == listed_series()


# Sharing out.


@given(rows=st.integers(0, 10**9), weights=st.lists(st.floats(0.01, 1000), min_size=1, max_size=30))
def test_rows_are_shared_out_exactly_and_in_proportion(rows, weights):
    parts = split_rows(rows, weights)
    assert sum(parts) == rows
    assert len(parts) == len(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert part >= 0
        assert abs(part - rows * weight / sum(weights)) <= 1 + rows * 1e-9


@settings(max_examples=30, deadline=None)
@given(totals=st.dictionaries(st.dates(date(2024, 1, 1), date(2030, 1, 1)), st.integers(0, 100_000), max_size=4))
def test_the_work_of_days_has_exactly_their_rows(totals):
    units = list(work_of(totals))
    sums: Counter[date] = Counter()
    for unit in units:
        assert unit["rows"] > 0
        sums[unit["day"]] += unit["rows"]
    assert sums == Counter({day: rows for day, rows in totals.items() if rows})
    assert [(unit["day"], unit["symbol"]) for unit in units] == sorted((unit["day"], unit["symbol"]) for unit in units)


def test_a_day_of_many_ticks_has_every_series_and_the_popular_ones_most():
    counted = {unit["symbol"]: unit["rows"] for unit in work_of({DAY: 1_000_000})}
    assert counted.keys() == SERIES.keys()
    heaviest, lightest = (pick(SERIES.values(), key=lambda one: one.weight).symbol for pick in (max, min))
    assert counted[heaviest] == max(counted.values())
    assert counted[lightest] == min(counted.values())


def test_a_unit_of_work_has_the_fields_that_spark_is_told():
    (unit, *_) = work_of({DAY: 1})
    assert set(unit) == {field.split()[0] for field in option_ticks.WORK_SCHEMA.split(", ")}


# The same ticks each time.


@pytest.mark.fault(11)
def test_a_day_is_the_same_whenever_it_is_made_and_whatever_days_come_with_it():
    alone = table_of({DAY: 3000})
    assert table_of({DAY: 3000}).equals(alone)
    together = table_of({DAY - timedelta(days=1): 1000, DAY: 3000, DAY + timedelta(days=1): 10})
    assert together.slice(1000, 3000).equals(alone)


@pytest.mark.fault(11)
def test_the_same_day_series_and_seed_give_the_same_ticks_and_any_other_gives_others():
    assert ticks().equals(ticks())
    for other in ({"day": DAY + timedelta(days=1)}, {"symbol": "SPY25P400"}, {"seed": 8}):
        assert not ticks(**other)["bid_price"].equals(ticks()["bid_price"])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(1, 3000), batch_rows=st.integers(1, 2000), cuts=st.sets(st.integers(1, 400), max_size=5))
def test_batches_have_the_same_rows_however_they_are_cut(rows, batch_rows, cuts):
    """Law: the rows depend on the units alone, not on their grouping nor on the batch size."""
    units = list(work_of({DAY: rows, DAY + timedelta(days=1): 7}))
    whole = table_of({DAY: rows, DAY + timedelta(days=1): 7})
    edges = [0, *sorted(cut for cut in cuts if cut < len(units)), len(units)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(option_ticks, "BATCH_ROWS", batch_rows)
        pieces = [list(batches(iter(units[start:end]), 7)) for start, end in pairwise(edges)]
    found = [batch for piece in pieces for batch in piece]
    assert all(0 < batch.num_rows <= batch_rows for batch in found)
    assert pa.Table.from_batches(found).combine_chunks().equals(whole)
    assert whole.num_rows == rows + 7


def test_no_work_is_no_batch():
    assert list(batches([], 7)) == []
    assert list(work_of({})) == []


def test_batches_are_large_enough_for_engines():
    sizes = [batch.num_rows for batch in batches(work_of({DAY: 150_000}), 7)]
    assert len(sizes) <= 5
    assert sum(sizes) == 150_000


# What ticks look like.


@settings(max_examples=40, deadline=None)
@given(
    day=st.dates(date(2023, 1, 1), date(2030, 12, 31)),
    spot=st.floats(0.5, 5000),
    moneyness=st.floats(0.3, 3),
    volatility=st.floats(0.01, 1.5),
    years=st.floats(1 / 365, 3),
    is_call=st.booleans(),
    rows=st.integers(1, 300),
    seed=st.integers(0, 2**31),
)
def test_ticks_of_any_series_and_day_make_sense(day, spot, moneyness, volatility, years, is_call, rows, seed):
    changes = {"spot": spot, "strike": spot * moneyness, "volatility": volatility, "years": years, "is_call": is_call, "exchange": None}
    batch = ticks(day, rows=rows, seed=seed, **changes)
    assert batch.num_rows == rows
    bid, ask, last = (batch[name] for name in ("bid_price", "ask_price", "last_price"))
    assert pc.all(pc.less_equal(bid, last)).as_py()
    assert pc.all(pc.less_equal(last, ask)).as_py()
    assert pc.min(bid).as_py() >= 0.01
    assert pc.max(ask).as_py() < 1e6
    assert min(pc.min(batch[name]).as_py() for name in ("bid_size", "ask_size")) >= 1
    assert pc.min(batch["volume"]).as_py() >= 0
    assert all(batch[name].null_count == 0 for name in batch.schema.names if name != "exchange")
    moments = batch["timestamp"].to_pylist()
    opens = datetime(day.year, day.month, day.day, 13, 30, tzinfo=UTC)
    assert moments == sorted(moments)
    assert opens <= moments[0]
    assert moments[-1] <= opens + SESSION
    assert set(batch["exchange"].to_pylist()) == {None}
    assert set(batch["ingest_time"].to_pylist()) == {datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)}


def test_prices_are_whole_cents():
    for name in ("bid_price", "ask_price", "last_price"):
        assert all(price == round(price, 2) for price in ticks()[name].to_pylist())


def test_a_day_opens_where_the_walk_has_led_and_not_at_its_start():
    openings = {round(ticks(DAY + timedelta(days=back))["last_price"][0].as_py(), 1) for back in range(10)}
    assert len(openings) > 5


DAYS = [DAY - timedelta(days=back) for back in range(40)]


def moves(symbol: str) -> np.ndarray:
    """How much a series has moved from the first to the last of each day, as a share."""
    return np.array([middle(one)[-30:].mean() / middle(one)[:30].mean() - 1 for day in DAYS for one in [ticks(day, symbol, 300)]])


@pytest.fixture(scope="module")
def calls() -> np.ndarray:
    return moves("SPY25C400")


def test_puts_rise_when_calls_fall(calls):
    puts = moves("SPY25P400")
    assert np.corrcoef(calls, puts)[0, 1] < -0.8
    fell = calls < np.quantile(calls, 0.2)
    assert (calls[fell] < 0).all()
    assert (puts[fell] > 0).all()


def test_all_calls_of_an_underlying_follow_its_one_walk_and_another_underlying_has_its_own(calls):
    assert np.corrcoef(calls, moves("SPY25C420"))[0, 1] > 0.8
    assert abs(np.corrcoef(calls, moves("QQQ25C350"))[0, 1]) < 0.5


def test_a_call_costs_less_and_a_put_more_the_higher_the_strike():
    strikes = range(380, 450, 10)
    prices = {kind: [float(np.median(middle(ticks(symbol=f"SPY25{kind}{strike}")))) for strike in strikes] for kind in "CP"}
    assert prices["C"] == sorted(prices["C"], reverse=True)
    assert prices["P"] == sorted(prices["P"])


@pytest.mark.parametrize("symbol", ["SPY25C400", "ESZ25C5000", "QQQ25P350", "TSLA26C240"])
def test_candles_of_minutes_join_and_have_a_body_and_shadows(symbol):
    batch = ticks(symbol=symbol, rows=20_000)
    last, minute = batch["last_price"].to_numpy(), minutes(batch)
    candles = [(prices[0], prices.max(), prices.min(), prices[-1]) for one in np.unique(minute) for prices in [last[minute == one]]]
    assert len(candles) == 390
    jumps = [abs(after[0] / before[3] - 1) for before, after in pairwise(candles)]
    assert np.median(jumps) < 0.02
    assert max(jumps) < 0.1
    assert sum(close > opening for opening, _, _, close in candles) in range(120, 270)
    assert sum(high > max(opening, close) and low < min(opening, close) for opening, high, low, close in candles) > 200
    assert all(low < high < 1.5 * low for _, high, low, _ in candles)


def test_a_day_moves_about_as_much_as_its_volatility_says():
    swings = []
    for day in DAYS:
        prices = middle(ticks(day, "SPY26C350", 300))
        swings.append(prices[-30:].mean() - prices[:30].mean())
    one = SERIES["SPY26C350"]
    expected = one.spot * one.volatility / np.sqrt(option_ticks.TRADING_DAYS)
    assert 0.5 * expected < np.std(swings) < 2 * expected


def test_more_is_traded_after_the_opening_and_before_the_close_than_at_noon():
    batch = ticks(rows=30_000)
    minute, volume = minutes(batch), batch["volume"].to_numpy()
    opening, noon, closing = (volume[(minute >= start) & (minute < start + 30)].sum() for start in (0, 180, 360))
    rows = [int(((minute >= start) & (minute < start + 30)).sum()) for start in (0, 180, 360)]
    assert opening > 1.5 * noon
    assert closing > 1.3 * noon
    assert rows[0] > rows[2] > rows[1]


@pytest.mark.parametrize("rows", [1, 100, 10_000])
def test_a_days_volume_follows_the_series_and_not_the_number_of_ticks(rows):
    expected = option_ticks.DAILY_VOLUME * SERIES["SPY25C400"].weight
    totals = [pc.sum(ticks(day, rows=rows)["volume"]).as_py() for day in DAYS[:12]]
    assert 0.7 * expected < np.mean(totals) < 1.4 * expected


def test_a_wider_spread_goes_with_smaller_sizes():
    batch = ticks(rows=20_000)
    spread = (batch["ask_price"].to_numpy() - batch["bid_price"].to_numpy()) / middle(batch)
    size = batch["bid_size"].to_numpy()
    wide, narrow = spread > np.quantile(spread, 0.9), spread < np.quantile(spread, 0.1)
    assert size[wide].mean() < 0.9 * size[narrow].mean()


# Recipes.


@pytest.mark.parametrize(("rows", "seed"), [(2, 7), (1, 8), (17, 1), (71, 1)])
def test_a_recipe_tells_seeds_and_row_counts_apart(rows, seed):
    assert recipe(rows, seed) != recipe(1, 7)
    assert recipe(1, 17) != recipe(71, 1)


def test_the_recipes_of_days_are_one_entry_of_a_summary():
    entry = recipes({DAY: 5, DAY - timedelta(days=1): 6}, 7)
    assert list(entry) == [RECIPES_PROPERTY]
    assert all(isinstance(value, str) and day.isoformat() in value for value in entry.values() for day in (DAY, DAY - timedelta(days=1)))
    assert recipes({DAY: 5, DAY - timedelta(days=1): 6}, 7) == recipes({DAY - timedelta(days=1): 6, DAY: 5}, 7)
