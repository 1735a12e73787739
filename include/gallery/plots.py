"""Plots of totals, as Vega-Lite specifications (vega.github.io/vega-lite); values from the table are data there, never markup."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

from include.gallery.figures import Totals

Spec = dict[str, Any]

# More days than this are shown as months.
_DAYS = 92


def by_day(totals: Totals) -> Spec:
    """Images of each day and tag, or of each month where there are many days."""
    months = len({day for day, _ in totals.days}) > _DAYS
    bars: Counter[tuple[str, str]] = Counter()
    for (day, tag), images in totals.days.items():
        bars[_name(day, months=months), tag or "no tag"] += images
    rows = [{"day": day, "tag": tag, "images": images} for (day, tag), images in sorted(bars.items())]
    axis = {"labelOverlap": "greedy", "labelAngle": 0 if len(rows) < 12 else -45}
    x = {"field": "day", "type": "ordinal", "title": "month (UTC)" if months else "day (UTC)", "axis": axis}
    return _bars(rows, x, _IMAGES, color={"field": "tag", "type": "nominal", "title": None})


def sizes(totals: Totals) -> Spec:
    """Images by the power of two that their size reaches."""
    known = sorted(power for power in totals.sizes if power is not None)
    powers = range(known[0], known[-1] + 1) if known else range(0)
    rows = [{"power": power, "from": _binary(power), "images": totals.sizes.get(power, 0)} for power in powers]
    x = {"field": "from", "type": "ordinal", "sort": {"field": "power"}, "title": "from this size to twice as much"}
    return _bars(rows, x, _IMAGES)


def counted(title: str, counts: Counter[str | None]) -> Spec:
    """Images by a value, the twenty most frequent ones."""
    rows = [{"value": value or "none", "images": images} for value, images in counts.most_common(20)]
    return _bars(rows, _IMAGES, {"field": "value", "type": "nominal", "sort": "-x", "title": title})


def dimensions(points: list[dict[str, Any]]) -> Spec:
    """Width against height."""
    fields = [{"field": name, "type": "nominal"} for name in ("mime_type", "tag")]
    axes = {
        axis: {"field": name, "type": "quantitative", "title": f"{name}, pixels", "scale": {"zero": False}}
        for axis, name in (("x", "width"), ("y", "height"))
    }
    color = {"field": "tag", "type": "nominal", "title": None}
    tooltip = [{"field": "width"}, {"field": "height"}, *fields]
    return {"data": {"values": points}, "mark": {"type": "circle", "opacity": 0.5}, "encoding": axes | {"color": color, "tooltip": tooltip}}


_IMAGES: Spec = {"field": "images", "type": "quantitative", "title": "images", "axis": {"tickMinStep": 1}}


def _bars(rows: list[dict[str, Any]], x: Spec, y: Spec, **more: Spec) -> Spec:
    return {"data": {"values": rows}, "mark": {"type": "bar", "tooltip": True}, "encoding": {"x": x, "y": y} | more}


def _binary(power: int) -> str:
    return f"{2 ** (power % 10)} {('bytes', 'KiB', 'MiB', 'GiB')[min(power // 10, 3)]}"


def _name(day: date | None, *, months: bool) -> str:
    if day is None:
        return "no day"
    return f"{day:%Y-%m}" if months else day.isoformat()
