"""How a time is taken: the median of five, after one that warms up."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

RUNS = 5


def timed(act: Callable[[], Any]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def median(act: Callable[[], Any]) -> float:
    """Median seconds of five runs, warm."""
    act()
    return statistics.median(timed(act) for _ in range(RUNS))
