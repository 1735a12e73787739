"""A Grafana query run against the real Prometheus or OpenSearch, in the form in which Grafana's own plugins send it.

Prometheus as in grafana/grafana, `pkg/promlib/models/query.go` and `pkg/promlib/querydata/request.go`; OpenSearch as in
`tests.grafana.lucene`. The queries come with their variables filled in, as the browser sends them (`lakehouse.dashboards.grafana.queries`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests

from tests.grafana.lucene import OpenSearchAccess, ask

TIMEOUT = 30
# What Prometheus takes, and Grafana's plugin keeps to (`safeResolution` in `pkg/promlib/intervalv2`).
MOST_POINTS = 11_000


@dataclass(frozen=True)
class Answer:
    """What came of a query.

    Attributes:
        frames: data frames as `POST /api/ds/query` has them in JSON.
        points: values in them, of frames without numbers the rows; null and NaN are none.
        found: what the engine found to answer with: series of Prometheus, documents of OpenSearch (10,000 at most).
        seconds: how long the engine took, transport included.
        error: the engine's refusal, or empty.
    """

    frames: tuple[dict[str, Any], ...]
    points: int
    found: int
    seconds: float
    error: str = ""


def run(query: Mapping[str, Any], start: datetime, end: datetime, *, prometheus: str, opensearch: OpenSearchAccess) -> Answer:
    """Ask the engine that the query's data source names.

    Raises:
        ValueError: the data source is of neither type.
    """
    kind = query["datasource"]["type"]
    began = time.perf_counter()
    try:
        if kind == "prometheus":
            frames = _prometheus(query, start, end, prometheus)
            found = len(frames)
        elif kind == "grafana-opensearch-datasource":
            frames, found = ask(query, start, end, opensearch)
        else:
            raise ValueError(f"a data source of type {kind!r} is not known here")
    except (requests.RequestException, EngineError) as error:
        return Answer((), 0, 0, time.perf_counter() - began, str(error))
    return Answer(tuple(frames), sum(map(_points, frames)), found, time.perf_counter() - began)


class EngineError(Exception):
    """An engine refused a query."""


def _prometheus(query: Mapping[str, Any], start: datetime, end: datetime, url: str) -> list[dict[str, Any]]:
    frames = []
    # A query that says neither is a range, as old boards have it.
    if query.get("range") or not query.get("instant"):
        step = max(query.get("intervalMs", 15_000) / 1000, (end - start).total_seconds() / MOST_POINTS)
        # Aligned to the step, so that a refresh moves no point.
        first, last = (math.floor(moment.timestamp() / step) * step for moment in (start, end))
        data = _api(url, "query_range", {"query": query["expr"], "start": str(first), "end": str(last), "step": str(step)})
        frames += [_frame(query, series["metric"], series["values"]) for series in data["result"]]
    if query.get("instant"):
        data = _api(url, "query", {"query": query["expr"], "time": str(end.timestamp())})
        if data["resultType"] == "scalar":
            frames.append(_frame(query, {}, [data["result"]]))
        else:
            frames += [_frame(query, series["metric"], [series["value"]]) for series in data["result"]]
    return frames


def _api(url: str, path: str, form: Mapping[str, str]) -> dict[str, Any]:
    answer = requests.post(f"{url}/api/v1/{path}", data=form, timeout=TIMEOUT).json()
    if answer["status"] != "success":
        raise EngineError(f"{answer['errorType']}: {answer['error']}")
    data: dict[str, Any] = answer["data"]
    return data


def _frame(query: Mapping[str, Any], labels: Mapping[str, str], values: list[list[Any]]) -> dict[str, Any]:
    numbers = [_number(text) for _, text in values]
    return {
        "schema": {
            "refId": query.get("refId", "A"),
            "meta": {"type": "timeseries-multi" if query.get("range") else "numeric-multi"},
            "fields": [
                {"name": "Time", "type": "time", "typeInfo": {"frame": "time.Time"}},
                {"name": labels.get("__name__", "Value"), "type": "number", "typeInfo": {"frame": "float64"}, "labels": dict(labels)},
            ],
        },
        "data": {"values": [[round(float(moment) * 1000) for moment, _ in values], numbers]},
    }


def _number(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _points(frame: Mapping[str, Any]) -> int:
    fields, columns = frame["schema"]["fields"], frame["data"]["values"]
    numbers = [column for field, column in zip(fields, columns, strict=True) if field["type"] == "number"]
    if not numbers:
        return len(columns[0]) if columns else 0
    return sum(value is not None for column in numbers for value in column)
