"""Charts of an option market, as analysts make them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from include.sample_data.images.canvas import DARK, THEMES, Canvas, Theme
from include.sample_data.images.market import Underlying, walk
from include.sample_data.images.market import candles as daily
from include.sample_data.images.market import smile as implied

_SIZES = ((720, 460), (640, 480), (800, 450), (600, 600))
_EXPIRIES = ((30, "30 days"), (90, "90 days"), (210, "210 days"))
# From cold to hot, evenly bright to the eye (after matplotlib's "viridis").
_HEAT = ("#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725")


def candles(market: Underlying, number: int) -> Image.Image:
    """Days as candlesticks, with the average of six days."""
    return _candles(market, number, shown=44, count=44, theme=_theme(number))


def growing(market: Underlying) -> list[Image.Image]:
    """Frames of an animation in which one candlestick comes after the other."""
    # The whole chart comes first, because a thumbnail shows the first frame.
    frames = [_candles(market, 20, shown=shown, count=30, theme=DARK).resize((480, 320)) for shown in (30, *range(8, 30, 2))]
    colours = frames[0].quantize(48)
    return [frame.quantize(palette=colours, dither=Image.Dither.NONE) for frame in frames]


def depth(market: Underlying, number: int) -> Image.Image:
    """Orders waiting on either side of the price, added up."""
    rng = np.random.default_rng([number, 2])
    theme = _theme(number + 2)
    canvas = Canvas(_size(number), theme, f"{market.name} order book", "depth, contracts")
    levels, tick = 60, market.spot * 0.0004
    distance = tick * np.arange(1, levels + 1)
    bids, asks = (np.cumsum(rng.gamma(1.2, 18, levels) * np.linspace(0.5, 1.6, levels)) for _ in range(2))
    highest = 1.12 * max(bids[-1], asks[-1])
    canvas.axes((market.spot - distance[-1], market.spot + distance[-1]), (0, highest))
    canvas.grid([(market.spot + place * distance[-1], f"{market.spot + place * distance[-1]:,.1f}") for place in (-0.8, -0.4, 0, 0.4, 0.8)])
    for across, up, colour in ((market.spot - distance[::-1], bids[::-1], theme.up), (market.spot + distance, asks, theme.down)):
        steps = np.repeat(across, 2)[1:], np.repeat(up, 2)[:-1] if across[0] > market.spot else np.repeat(up, 2)[1:]
        canvas.area(*steps, _mix(colour, theme.back, 0.35))
        canvas.line(*steps, colour)
    return canvas.finish()


def smile(market: Underlying, number: int) -> Image.Image:
    """Implied volatility by strike, for three expiries."""
    rng = np.random.default_rng([number, 3])
    theme = _theme(number + 4)
    canvas = Canvas(_size(number + 2), theme, f"{market.name} volatility smile", "implied, %")
    strikes = market.spot * np.linspace(0.82, 1.18, 60)
    curves = [100 * implied(market, strikes, days / 365) for days, _ in _EXPIRIES]
    lowest, highest = min(map(np.min, curves)), max(map(np.max, curves))
    margin = 0.12 * (highest - lowest)
    canvas.axes((strikes[0], strikes[-1]), (lowest - margin, highest + margin))
    canvas.grid([(market.spot * part, f"{market.spot * part:,.0f}") for part in (0.85, 0.925, 1, 1.075, 1.15)])
    colours = (theme.down, theme.line, theme.up)
    for curve, colour in zip(curves, colours, strict=True):
        canvas.line(strikes, curve, colour, width=3)
        canvas.dots(strikes[3::7], curve[3::7] + rng.normal(0, margin / 12, len(curve[3::7])), colour)
    canvas.legend([(name, colour) for (_, name), colour in zip(_EXPIRIES, colours, strict=True)])
    return canvas.finish()


def volume(market: Underlying, number: int) -> Image.Image:
    """Contracts traded in each quarter of an hour: many after the opening and before the close."""
    rng = np.random.default_rng([number, 4])
    theme = _theme(number + 6)
    canvas = Canvas(_size(number + 4), theme, f"{market.name} volume", "thousand contracts")
    hours = np.arange(9.5, 16, 0.25)
    busy = 1 + 2.2 * np.exp(-(hours - 9.5) / 0.7) + 1.6 * np.exp(-(15.75 - hours) / 0.5)
    calls, puts = (40 * busy * rng.lognormal(0, 0.22, len(hours)) * part for part in (1.0, 0.75))
    canvas.axes((9.5, 16), (0, 1.15 * (calls + puts).max()))
    canvas.grid([(hour, f"{hour}:00") for hour in range(10, 16)])
    for hour, call, put in zip(hours, calls, puts, strict=True):
        canvas.bar(hour + 0.03, hour + 0.22, 0, call, theme.up)
        canvas.bar(hour + 0.03, hour + 0.22, call, call + put, theme.down)
    canvas.legend([("calls", theme.up), ("puts", theme.down)])
    return canvas.finish()


def surface(market: Underlying, number: int) -> Image.Image:
    """Implied volatility by strike and expiry, as a heat map."""
    canvas = Canvas(_size(number + 6), _theme(number + 2), f"{market.name} volatility surface", "implied")
    rng = np.random.default_rng([number, 5])
    strikes, days = market.spot * np.linspace(0.8, 1.2, 17), np.geomspace(14, 365, 12)
    heat = np.array([implied(market, strikes, day / 365) for day in days])
    heat = heat + rng.normal(0, 0.01 * heat.std(), heat.shape)
    heat = (heat - heat.min()) / (heat.max() - heat.min())
    canvas.axes((-0.5, 16.5), (-0.5, 11.5))
    for row, column in np.ndindex(heat.shape):
        canvas.bar(column - 0.5, column + 0.5, row - 0.5, row + 0.5, _heat(float(heat[row, column]) ** 0.6))
    canvas.ticks(
        [(column, f"{strikes[column]:,.0f}") for column in (1, 4, 8, 12, 15)], [(row, f"{days[row]:.0f} d") for row in (0, 3, 6, 9, 11)]
    )
    return canvas.finish()


def intraday(market: Underlying, number: int) -> Image.Image:
    """The price of one session."""
    theme = _theme(number + 2)
    canvas = Canvas(_size(number), theme, f"{market.name} today", "last price")
    prices = walk(market, number + 40, 390, 390)
    hours = 9.5 + np.arange(390) / 60
    margin = 0.15 * (prices.max() - prices.min())
    canvas.axes((9.5, 16), (prices.min() - margin, prices.max() + margin))
    canvas.area(hours, prices, theme.fill)
    canvas.grid([(hour, f"{hour}:00") for hour in range(10, 16)], "{:,.1f}")
    canvas.line(hours, prices, theme.line)
    canvas.dots(hours[-1:], prices[-1:], theme.line)
    return canvas.finish()


def _candles(market: Underlying, number: int, *, shown: int, count: int, theme: Theme) -> Image.Image:
    canvas = Canvas(_size(number), theme, f"{market.name} daily", "USD")
    days = daily(market, number, count)
    lowest, highest = days[:, 2].min(), days[:, 1].max()
    margin = 0.08 * (highest - lowest)
    # The volume below the prices takes a fifth of the height.
    canvas.axes((-1, count), (lowest - 0.3 * (highest - lowest), highest + margin))
    canvas.grid([(day, f"day {day}") for day in range(4, count, 10)])
    unit = 0.2 * (highest - lowest) / days[:, 4].max()
    floor = lowest - 0.3 * (highest - lowest)
    for day, (opening, high, low, close, traded) in enumerate(days[:shown]):
        colour = theme.up if close >= opening else theme.down
        canvas.bar(day - 0.36, day + 0.36, floor, floor + traded * unit, _mix(colour, theme.back, 0.4))
        canvas.bar(day - 0.06, day + 0.06, low, high, colour)
        canvas.bar(day - 0.36, day + 0.36, min(opening, close), max(opening, close), colour)
    average = np.convolve(days[:shown, 3], np.ones(6) / 6, "valid")
    canvas.line(np.arange(5, 5 + len(average), dtype=np.float64), average, theme.line)
    return canvas.finish()


def _size(number: int) -> tuple[int, int]:
    return _SIZES[number // 2 % len(_SIZES)]


def _theme(number: int) -> Theme:
    return THEMES[number // 2 % len(THEMES)]


def _heat(value: float) -> str:
    place = min(value, 0.999) * (len(_HEAT) - 1)
    return _mix(_HEAT[int(place) + 1], _HEAT[int(place)], place % 1)


def _mix(colour: str, other: str, part: float) -> str:
    """`part` of one colour, and the rest of the other."""
    pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + bytes(round(one * part + two * (1 - part)) for one, two in pairs).hex()
