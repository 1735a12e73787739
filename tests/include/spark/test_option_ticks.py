from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.spark.option_ticks import recipe, split_rows, ticks_of_symbol

DAY = date(2026, 11, 20)


def ticks(day: date = DAY, symbol: str = "SPY25C400", rows: int = 500, seed: int = 7):
    return ticks_of_symbol(day, symbol, "CBOE", 52.3, 0.02, 0.1, rows, seed)


@given(rows=st.integers(0, 10**9), weights=st.lists(st.floats(0.01, 1000), min_size=1, max_size=30))
def test_rows_are_shared_out_exactly_and_in_proportion(rows, weights):
    parts = split_rows(rows, weights)
    assert sum(parts) == rows
    assert len(parts) == len(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert part >= 0
        assert abs(part - rows * weight / sum(weights)) <= 1 + rows * 1e-9


def test_the_same_day_symbol_and_seed_give_the_same_ticks_and_any_other_gives_others():
    assert ticks().equals(ticks())
    for other in ({"day": DAY + timedelta(days=1)}, {"symbol": "SPY25P380"}, {"seed": 8}):
        assert not ticks(**other)["bid_price"].equals(ticks()["bid_price"])


@settings(max_examples=40, deadline=None)
@given(
    day=st.dates(date(2023, 1, 1), date(2030, 12, 31)),
    start=st.floats(0.01, 5000),
    volatility=st.floats(0.001, 0.5),
    rows=st.integers(1, 300),
    seed=st.integers(0, 2**31),
)
def test_ticks_of_any_day_make_sense(day, start, volatility, rows, seed):
    batch = ticks_of_symbol(day, "X", None, start, volatility, 0.1, rows, seed)
    assert batch.num_rows == rows
    bid, ask, last = (batch[name] for name in ("bid_price", "ask_price", "last_price"))
    assert pc.all(pc.less_equal(bid, last)).as_py()
    assert pc.all(pc.less_equal(last, ask)).as_py()
    assert pc.min(bid).as_py() >= 0.01
    assert pc.max(ask).as_py() < 1e6
    assert pc.min(batch["bid_size"]).as_py() >= 1
    assert pc.min(batch["volume"]).as_py() >= 0
    moments = batch["timestamp"].to_pylist()
    opens = datetime(day.year, day.month, day.day, 13, 30, tzinfo=UTC)
    assert moments == sorted(moments)
    assert opens <= moments[0]
    assert moments[-1] <= opens + timedelta(hours=6.5)
    assert set(batch["exchange"].to_pylist()) == {None}


def test_prices_are_whole_cents():
    for name in ("bid_price", "ask_price", "last_price"):
        assert all(price == round(price, 2) for price in ticks()[name].to_pylist())


def test_a_day_opens_where_the_walk_has_led_and_not_at_its_start():
    openings = {round(ticks(DAY + timedelta(days=back))["last_price"][0].as_py(), 1) for back in range(10)}
    assert len(openings) > 5


@pytest.mark.parametrize(("rows", "seed"), [(2, 7), (1, 8)])
def test_a_recipe_tells_seeds_and_row_counts_apart(rows, seed):
    assert recipe(rows, seed) != recipe(1, 7)
