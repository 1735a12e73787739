"""A canvas for charts, drawn at twice its size, so that lines are smooth once it is made smaller."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from include.sample_data.images.market import Floats

_SCALE = 2
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 18, 50, 38


class Theme(NamedTuple):
    """Colours of a chart."""

    back: str
    grid: str
    text: str
    up: str
    down: str
    line: str
    fill: str


DARK = Theme("#131722", "#2a2e39", "#b2b5be", "#26a69a", "#ef5350", "#4c9aff", "#1d3557")
LIGHT = Theme("#ffffff", "#e6e9ee", "#4a4f5a", "#089981", "#f23645", "#2962ff", "#d6e2ff")
NAVY = Theme("#0b1f33", "#17324d", "#c9d6e4", "#7bd88f", "#ff7b72", "#ffb454", "#4b3b1f")
PAPER = Theme("#fdf6e3", "#e8dfc6", "#586e75", "#2aa198", "#cb4b16", "#6c71c4", "#dcd7ee")
THEMES = (DARK, LIGHT, NAVY, PAPER)


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which is there on every machine."""
    return ImageFont.load_default(size)


class Canvas:
    """A chart's frame: title, axes and grid; places are given in the units of the axes."""

    def __init__(self, size: tuple[int, int], theme: Theme, title: str, subtitle: str) -> None:
        self.theme = theme
        self.image = Image.new("RGB", (size[0] * _SCALE, size[1] * _SCALE), theme.back)
        self.draw = ImageDraw.Draw(self.image)
        width, height = self.image.size
        self.left, self.right = _LEFT * _SCALE, width - _RIGHT * _SCALE
        self.top, self.bottom = _TOP * _SCALE, height - _BOTTOM * _SCALE
        self.draw.text((14 * _SCALE, 10 * _SCALE), title, fill=theme.text, font=font(23 * _SCALE), stroke_width=1, stroke_fill=theme.text)
        self.draw.text((width - 14 * _SCALE, 17 * _SCALE), subtitle, fill=theme.text, font=font(14 * _SCALE), anchor="ra")

    def axes(self, across: tuple[float, float], up: tuple[float, float]) -> None:
        """Set the ranges of both axes."""
        self._across, self._up = across, up

    def x(self, value: float) -> float:
        """Pixel of a value of the axis that goes across."""
        low, high = self._across
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Pixel of a value of the axis that goes up."""
        low, high = self._up
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def grid(self, across: list[tuple[float, str]], form: str = "{:,.0f}", lines: int = 5) -> None:
        """Lines of the grid with what they mean; those that go across are spread evenly over round values."""
        low, high = self._up
        step = _round_step((high - low) / lines)
        for value in np.arange(np.ceil(low / step) * step, high + step / 100, step):
            self.draw.line((self.left, self.y(value), self.right, self.y(value)), fill=self.theme.grid, width=_SCALE)
            self._label((self.left - 7 * _SCALE, self.y(value)), form.format(value), "rm")
        for value, text in across:
            self.draw.line((self.x(value), self.top, self.x(value), self.bottom), fill=self.theme.grid, width=_SCALE)
            self._label((self.x(value), self.bottom + 8 * _SCALE), text, "ma")

    def ticks(self, across: list[tuple[float, str]], up: list[tuple[float, str]]) -> None:
        """What values of the axes mean, without a grid."""
        for value, text in across:
            self._label((self.x(value), self.bottom + 8 * _SCALE), text, "ma")
        for value, text in up:
            self._label((self.left - 7 * _SCALE, self.y(value)), text, "rm")

    def line(self, across: Floats, up: Floats, colour: str, width: int = 2) -> None:
        """A line through these points."""
        self.draw.line([(self.x(a), self.y(b)) for a, b in zip(across, up, strict=True)], fill=colour, width=width * _SCALE, joint="curve")

    def area(self, across: Floats, up: Floats, colour: str) -> None:
        """The area between these points and the lower edge."""
        points = [(self.x(a), self.y(b)) for a, b in zip(across, up, strict=True)]
        self.draw.polygon([(points[0][0], self.bottom), *points, (points[-1][0], self.bottom)], fill=colour)

    def bar(self, left: float, right: float, low: float, high: float, colour: str) -> None:
        """A bar between these values, at least a pixel high."""
        bottom, top = self.y(low), self.y(high)
        self.draw.rectangle((self.x(left), top, self.x(right), max(bottom, top + _SCALE)), fill=colour)

    def dots(self, across: Floats, up: Floats, colour: str) -> None:
        """A dot at each of these points."""
        for a, b in zip(across, up, strict=True):
            self.draw.circle((self.x(a), self.y(b)), 4 * _SCALE, fill=colour, outline=self.theme.back, width=_SCALE)

    def legend(self, entries: list[tuple[str, str]]) -> None:
        """Names with their colours, in the upper right corner of the frame."""
        for number, (name, colour) in enumerate(entries):
            y = self.top + (10 + 20 * number) * _SCALE
            self.draw.rectangle((self.right - 84 * _SCALE, y - 4 * _SCALE, self.right - 68 * _SCALE, y + 4 * _SCALE), fill=colour)
            self._label((self.right - 62 * _SCALE, y), name, "lm")

    def finish(self) -> Image.Image:
        """The chart at its size."""
        self.draw.line((self.left, self.bottom, self.right, self.bottom), fill=self.theme.text, width=_SCALE)
        return self.image.reduce(_SCALE)

    def _label(self, place: tuple[float, float], text: str, anchor: str) -> None:
        self.draw.text(place, text, fill=self.theme.text, font=font(13 * _SCALE), anchor=anchor)


def _round_step(step: float) -> float:
    power = 10.0 ** np.floor(np.log10(step))
    return float(next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step))
