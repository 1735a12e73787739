"""Prices for the charts: the underlyings of the ticks, and seeded walks of them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_FILE = Path(__file__).resolve().parent.parent / "underlyings.csv"
_SEED = 7
_TRADING_DAYS = 252


class Underlying(NamedTuple):
    """What options are traded on; `volatility` is that of a year."""

    name: str
    spot: float
    volatility: float


def underlyings() -> list[Underlying]:
    """Those of `underlyings.csv`."""
    with _FILE.open(newline="") as file:
        return [Underlying(row["underlying"], float(row["spot"]), float(row["volatility"])) for row in csv.DictReader(file)]


def walk(market: Underlying, number: int, steps: int, steps_per_day: int = 78) -> Floats:
    """A path of prices from the spot on: a seeded random walk, as the ticks follow one."""
    rng = np.random.default_rng([_SEED, number, steps])
    moves = rng.normal(0, market.volatility / np.sqrt(_TRADING_DAYS * steps_per_day), steps) * rng.lognormal(0, 0.3, steps)
    path: Floats = market.spot * np.exp(moves.cumsum())
    return path


def candles(market: Underlying, number: int, count: int) -> Floats:
    """Rows of opening, highest, lowest and closing price and volume, one a day."""
    path = walk(market, number, count * 78).reshape(count, 78)
    rng = np.random.default_rng([_SEED, number, count, 1])
    spread = path.max(axis=1) - path.min(axis=1)
    volume = 1e6 * rng.lognormal(0, 0.25, count) * (0.5 + spread / spread.mean())
    return np.column_stack([path[:, 0], path.max(axis=1), path.min(axis=1), path[:, -1], volume])


def smile(market: Underlying, strikes: Floats, years: float) -> Floats:
    """Implied volatility by strike: lowest above the money, steeper for near expiries."""
    distance = np.log(strikes / market.spot) / (market.volatility * np.sqrt(years))
    curve: Floats = market.volatility * (1 - 0.10 * distance / (1 + years) + 0.055 * distance**2 / (1 + 2 * years)) + 0.01 / (0.3 + years)
    return curve
