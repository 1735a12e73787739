"""The range that a Grafana board shows, and the intervals that Grafana reckons from it.

Sources, in grafana/grafana: `packages/grafana-data/src/datetime/rangeutil.ts` (0aff354e, `roundInterval`, `calculateInterval`) and
`pkg/promlib/models/query.go` (`$__rate_interval`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "M": 2_592_000_000, "y": 31_536_000_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwMy])?$")
_OF_PROMETHEUS = re.compile(r"(?=\d)(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$")
_RELATIVE = re.compile(r"now(?:-(\d+)([smhdwMy]))?(?:/[smhdwMy])?$")
_ROUNDED = (
    (10, 1), (15, 10), (35, 20), (75, 50), (150, 100), (350, 200), (750, 500), (1500, 1000), (3500, 2000), (7500, 5000),
    (12_500, 10_000), (17_500, 15_000), (25_000, 20_000), (45_000, 30_000), (90_000, 60_000), (210_000, 120_000), (450_000, 300_000),
    (750_000, 600_000), (1_050_000, 900_000), (1_500_000, 1_200_000), (2_700_000, 1_800_000), (5_400_000, 3_600_000),
    (9_000_000, 7_200_000), (16_200_000, 10_800_000), (32_400_000, 21_600_000), (86_400_000, 43_200_000), (604_800_000, 86_400_000),
    (1_814_400_000, 604_800_000), (3_628_800_000, 2_592_000_000),
)  # fmt: skip


@dataclass(frozen=True)
class Times:
    """The range that a board shows, in milliseconds since 1970, and how fine.

    Attributes:
        points: how many points a panel asks for; a panel's own `maxDataPoints` wins.
        scrape: the data source's scrape interval (`timeInterval` of its settings), in milliseconds.
        interval: `$__interval` itself, in milliseconds; left out, it follows from the range and the points.
    """

    start: int
    end: int
    points: int = 1000
    scrape: int = 15_000
    interval: int | None = None

    @classmethod
    def of(cls, dashboard: Mapping[str, Any], now: dt.datetime, **settings: Any) -> Times:
        """The range that a board opens with; six hours where it does not say, or not in a way that is read here."""
        told = dashboard.get("time")
        told = told if isinstance(told, dict) else {}
        end = int(now.timestamp() * 1000)
        start, until = _moment(told.get("from"), end, end - 6 * 3_600_000), _moment(told.get("to"), end, end)
        return cls(start, until, **settings) if start < until else cls(end - 6 * 3_600_000, end, **settings)

    def step(self, panel: Mapping[str, Any], lowest: int) -> tuple[int, int]:
        """Interval in milliseconds, and points, that a panel asks for."""
        points = panel.get("maxDataPoints")
        points = int(points) if isinstance(points, int | float) and points >= 1 else self.points
        if self.interval is not None:
            return max(self.interval, 1), points
        asked = (self.end - self.start) / points
        rounded = next((to for below, to in _ROUNDED if asked < below), 31_536_000_000)
        return max(rounded, milliseconds(panel.get("interval")) or lowest, 1), points


def milliseconds(text: Any) -> int | None:
    """A duration of Grafana's (`15s`, `>1m`, `500ms`); None for what is none."""
    found = _DURATION.match(text.strip().lstrip(">").strip()) if isinstance(text, str) else None
    return None if found is None else int(min(float(found[1]), 1e12) * _UNITS[found[2] or "s"])


def builtins(times: Times, interval: int, board: str = "") -> dict[str, str]:
    """Grafana's own variables, by name."""
    span = max(times.end - times.start, 0)
    rate = max(interval + times.scrape, 4 * times.scrape)
    return {
        "__interval": short(interval),
        "__interval_ms": str(interval),
        "__rate_interval": short(rate),
        "__rate_interval_ms": str(rate),
        "__range": f"{max(round(span / 1000), 1)}s",
        "__range_s": str(max(round(span / 1000), 1)),
        "__range_ms": str(span),
        "__from": str(times.start),
        "__to": str(times.end),
        "__searchFilter": "",
        "__dashboard": board,
        "timeFilter": f"time >= {times.start}ms and time <= {times.end}ms",
    }


def short(duration: int) -> str:
    """Milliseconds as Prometheus and OpenSearch both read them: in the largest unit that is whole."""
    for unit in ("d", "h", "m", "s"):
        if duration >= _UNITS[unit] and duration % _UNITS[unit] == 0:
            return f"{duration // _UNITS[unit]}{unit}"
    return f"{duration}ms"


def _moment(told: Any, now: int, otherwise: int) -> int:
    if not isinstance(told, str):
        return otherwise
    found = _RELATIVE.match(told)
    if found:
        return now - int(min(float(found[1] or 0), 1e6)) * _UNITS[found[2] or "s"]
    try:
        moment = dt.datetime.fromisoformat(told)
    except ValueError:
        return int(told) if told.isdigit() and len(told) < 15 else otherwise
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def prometheus_milliseconds(told: Any) -> int | None:
    """A duration of Prometheus's (`1h30m`); None for what is none."""
    if told == "0":
        return 0
    found = _OF_PROMETHEUS.match(told) if isinstance(told, str) and len(told) < 40 else None
    if not found:
        return None
    sizes = (31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1000, 1)
    return sum(int(part.rstrip("ywdhms")) * size for part, size in zip(found.groups(), sizes, strict=True) if part)
