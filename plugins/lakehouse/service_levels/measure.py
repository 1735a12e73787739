"""Measures the service levels of a file; what cannot be measured says why, and is not counted as met."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import yaml

from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.verify import charts_of, run_chart
from lakehouse.exceptions import ConfigurationError, LakehouseError
from lakehouse.opensearch.client import OpenSearchClient
from lakehouse.quality.scan import Cursor

_RUNS = 5


@dataclass(frozen=True)
class ServiceLevel:
    """One line of the file: `measured` must stay below `target`, or above it when `above` is true."""

    name: str
    description: str
    kind: str
    target: float
    unit: str
    above: bool = False
    severity: str = "warning"
    options: Mapping[str, Any] | None = None

    def met(self, measured: float) -> bool:
        """Whether the measured value keeps the level."""
        return measured > self.target if self.above else measured < self.target


@dataclass(frozen=True)
class Measurement:
    """A level's measured value; None, with the reason in `detail`, when it could not be measured."""

    name: str
    target: float
    measured: float | None
    unit: str
    met: bool | None
    detail: str

    def as_row(self, run_id: str, measured_at: datetime) -> dict[str, Any]:
        """The row of `ops_db.service_level_events`."""
        return asdict(self) | {"run_id": run_id, "measured_at": measured_at}


@dataclass(frozen=True)
class Services:
    """What is measured against."""

    cursor: Cursor
    superset: SupersetClient
    opensearch: OpenSearchClient
    memory_pid: int | None = None
    disk_path: Path = Path("/")


def read_levels(path: Path) -> list[ServiceLevel]:
    """The levels of a file.

    Raises:
        ConfigurationError: an entry has an unknown key or kind.
    """
    levels = []
    for entry in yaml.safe_load(path.read_text())["service_levels"]:
        try:
            level = ServiceLevel(**entry)
        except TypeError as error:
            raise ConfigurationError(f"{path}: {entry.get('name')}: {error}") from error
        if level.kind not in _MEASURES:
            raise ConfigurationError(f"{path}: {level.name}: kind {level.kind!r} is not one of {', '.join(_MEASURES)}")
        levels.append(level)
    return levels


def measure(levels: list[ServiceLevel], services: Services) -> list[Measurement]:
    """Measure each level; a service that fails leaves that level unmeasured and the others are still measured."""
    results = []
    for level in levels:
        try:
            value, detail = _MEASURES[level.kind](services, dict(level.options or {}))
            measured, met = round(value, 3), level.met(value)
        except Exception as error:  # noqa: BLE001  # each client has errors of its own, and none may hide the other levels
            measured, met, detail = None, None, f"not measured: {error}"
        results.append(Measurement(level.name, level.target, measured, level.unit, met, detail))
    return results


def _timed(act: Callable[[], Any]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def _median(act: Callable[[], Any]) -> float:
    act()  # warm
    return statistics.median(_timed(act) for _ in range(_RUNS))


def _trino_query(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    def run() -> None:
        services.cursor.execute(options["query"])
        services.cursor.fetchone()

    return _median(run), f"median of {_RUNS}, warm"


def _charts(services: Services, slug: str) -> list[tuple[int, str]]:
    return [(chart["id"], chart["slice_name"]) for chart in charts_of(services.superset, slug)]


def _draw(services: Services, chart_id: int, name: str) -> None:
    """Run a chart; an error that came quickly is no good timing."""
    result = run_chart(services.superset, chart_id, name)
    if result.error or not result.rows:
        raise LakehouseError(f"chart {name}: {result.error or 'no rows'}")


def _superset_chart(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    charts = _charts(services, options["dashboard"])
    timings = {name: _timed(partial(_draw, services, chart_id, name)) for chart_id, name in charts}
    if not timings:
        raise LakehouseError(f"board {options['dashboard']} has no chart")
    slowest = max(timings, key=lambda name: timings[name])
    chart_id = next(number for number, name in charts if name == slowest)
    seconds = _median(partial(_draw, services, chart_id, slowest))
    return seconds, f"slowest of {len(timings)} charts, median of {_RUNS}, cache bypassed: {slowest}"


def _superset_dashboard(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    charts = _charts(services, options["dashboard"])

    def draw() -> None:
        with ThreadPoolExecutor(max_workers=max(1, len(charts))) as pool:
            list(pool.map(lambda chart: _draw(services, *chart), charts))

    return _median(draw), f"{len(charts)} charts at once, median of {_RUNS}, cache bypassed"


def _log_search(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    index = options.get("index", "logs-*")
    body: dict[str, Any] = {
        "size": 50,
        "query": {"bool": {"filter": [{"term": {"level": "ERROR"}}, {"range": {"event_time": {"gte": "now-1h"}}}]}},
        "sort": [{"event_time": "desc"}],
    }
    if by := options.get("by"):
        body["aggs"] = {"by": {"terms": {"field": by}}}
    seconds = _median(lambda: services.opensearch.request("POST", f"/{index}/_search?request_cache=false", json=body))
    return seconds, f"errors of the last hour{f' by {by}' if by else ''}, median of {_RUNS}, warm"


def _disk_free(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    path = Path(options.get("path") or services.disk_path)
    return shutil.disk_usage(path).free / 1e9, "free where the stack keeps its state"


def _stack_memory(services: Services, _: dict[str, Any]) -> tuple[float, str]:
    if services.memory_pid is None:
        raise LakehouseError("the stack's process tree is not on this machine")
    return proportional_memory(services.memory_pid) / 1e9, "proportional set size over the stack's process tree, all of its services"


def proportional_memory(root: int) -> int:
    """Bytes of memory of a process and its descendants; shared pages count once (Linux's proportional set size)."""
    process = psutil.Process(root)
    total = 0
    for member in [process, *process.children(recursive=True)]:
        with suppress(psutil.Error):  # It ended meanwhile.
            total += member.memory_full_info().pss
    return total


_MEASURES: dict[str, Callable[[Services, dict[str, Any]], tuple[float, str]]] = {
    "trino_query": _trino_query,
    "superset_chart": _superset_chart,
    "superset_dashboard": _superset_dashboard,
    "log_search": _log_search,
    "disk_free": _disk_free,
    "stack_memory": _stack_memory,
}
