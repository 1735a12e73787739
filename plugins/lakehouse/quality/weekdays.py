"""A day's rows, files and bytes against the median of the same weekday: what no fixed threshold can say of a table that grows."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import date, timedelta

from lakehouse.quality.manifests import Figures
from lakehouse.quality.results import MANIFESTS, Measured

# Fewer days say nothing; older ones say what the table once was.
FEWEST, MOST = 3, 8


def like_weekday(partitions: Mapping[str, Figures] | None, what: str, *, today: date, left_out: Collection[date] = ()) -> Measured:
    """By how many percent the newest finished day differs from the median of up to eight days of its weekday before it.

    The tested day is no part of the median, nor are days that are marked as incidents.

    Args:
        partitions: figures by day, as `ManifestFacts.partitions`.
        what: `rows`, `files` or `bytes`.
        today: not finished yet, so never the tested day.
        left_out: days that were no ordinary ones.
    """
    if partitions is None:
        return _skipped("the manifests do not tell the figures of a day")
    days = {}
    for name, figures in partitions.items():
        with suppress(ValueError):  # A null, or a partition that is no day.
            days[date.fromisoformat(name)] = float(getattr(figures, what))
    tested = max((day for day in days if day < today), default=None)
    if tested is None:
        return _skipped("no finished day yet")
    same = [day for day in sorted(days, reverse=True) if day < tested and (tested - day) % timedelta(days=7) == timedelta()]
    usual = [days[day] for day in same if day not in left_out][:MOST]
    if len(usual) < FEWEST:
        return _skipped(f"{tested:%A} {tested} has {len(usual)} earlier ones to compare with, {FEWEST} are wanted")
    median = statistics.median(usual)
    off = abs(days[tested] - median) / median * 100 if median else (0.0 if days[tested] == median else 100.0)
    return Measured(round(off, 3), MANIFESTS, tested.isoformat(), f"{what} of {tested:%A} {tested} are {days[tested]:g}, usual {median:g}")


def _skipped(why: str) -> Measured:
    return Measured(None, MANIFESTS, detail=why, skipped=True)
