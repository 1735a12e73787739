"""Annotations, and queries through Grafana."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from tests.grafana.conftest import Target
from tests.grafana.rules import proves


@dataclass
class _Answer:
    frames: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None


def _query(target: Target, *queries: dict[str, Any], start: str = "now-5m", end: str = "now") -> Any:
    return target.call("POST", "/api/ds/query", {"from": start, "to": end, "queries": list(queries)})


def _prometheus(target: Target) -> dict[str, str]:
    uid = f"{target.prefix}-prometheus"
    url = "http://127.0.0.1:9090" if target.server else target.setting("GRAFANA_PROMETHEUS_URL")
    source = {"uid": uid, "name": uid, "type": "prometheus", "access": "proxy", "url": url}
    target.make("POST", "/api/datasources", source, remove=f"/api/datasources/uid/{uid}")
    return {"uid": uid, "type": "prometheus"}


@proves("annotations.create", "annotations.list_all", "annotations.delete")
def test_an_annotation_is_made_found_by_its_tags_and_deleted(target: Target) -> None:
    now = int(time.time() * 1000)
    sent: dict[str, Any] = {
        "time": now - 1000,
        "timeEnd": now,
        "tags": ["lakehouse-deploy", target.prefix],
        "text": f'<a href="https://example.org">{now}</a>',
    }
    made = target.make("POST", "/api/annotations", sent)
    assert made["message"] == "Annotation added"
    [found] = target.session.get(f"{target.url}/api/annotations?tags=lakehouse-deploy&tags={target.prefix}", timeout=30).json()
    assert {key: found[key] for key in ("id", "time", "timeEnd", "text")} == {"id": made["id"]} | {
        key: sent[key] for key in ("time", "timeEnd", "text")
    }
    assert set(found["tags"]) == set(sent["tags"])
    assert target.get("/api/annotations", tags=f"{target.prefix}-other") == []
    assert target.make("DELETE", f"/api/annotations/{made['id']}", None)["message"] == "Annotation deleted"
    assert target.get("/api/annotations", tags=target.prefix) == []


@proves("annotations.create")
def test_an_annotation_needs_a_text(target: Target) -> None:
    assert target.call("POST", "/api/annotations", {"tags": [target.prefix]}).status_code == 400


@proves("ds_query.run", "ds_query.moment")
@pytest.mark.parametrize("start", ["now-5m", str(int((time.time() - 300) * 1000))])
def test_each_query_has_its_answer(target: Target, start: str) -> None:
    source = _prometheus(target)
    one, two = ({"refId": ref, "datasource": source, "expr": "vector(1)", "instant": True, "range": False} for ref in ("one", "two"))
    end = "now" if start.startswith("now") else str(int(time.time() * 1000))
    answer = _query(target, one, two, start=start, end=end)
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert results.keys() == {"one", "two"}
    for result in results.values():
        [frame] = result["frames"]
        assert [field["type"] for field in frame["schema"]["fields"]] == ["time", "number"]
        assert [len(values) for values in frame["data"]["values"]] == [1, 1]
        assert "error" not in result


@proves("ds_query.run")
def test_a_query_that_fails_is_told_beside_one_that_does_not(target: Target) -> None:
    source = _prometheus(target)
    if target.server:

        def run(query: Mapping[str, Any], start: datetime, end: datetime) -> _Answer:
            return _Answer(error="parse error") if query["expr"] == "up{" else _Answer(frames=[{"schema": {}, "data": {"values": []}}])

        target.server.state.query = run
    good, bad = {"refId": "good", "datasource": source, "expr": "vector(1)"}, {"refId": "bad", "datasource": source, "expr": "up{"}
    answer = _query(target, good, bad)
    if target.server:
        target.server.state.query = None
    assert answer.status_code == 400
    results = answer.json()["results"]
    assert results["bad"]["error"]
    assert "error" not in results["good"]


@proves("ds_query.check_queries")
def test_a_call_without_queries_is_refused(target: Target) -> None:
    answer = _query(target)
    assert answer.status_code == 400
    assert answer.json()["messageId"] == "query.noQueries"


@proves("ds_query.data_source")
def test_a_query_needs_a_data_source_that_is_there(target: Target) -> None:
    nothing = {"refId": "A", "expr": "up", "datasource": {"uid": f"{target.prefix}-nothing", "type": "prometheus"}}
    assert _query(target, nothing).status_code == 404
    answer = _query(target, {"refId": "A", "expr": "up"})
    assert answer.status_code == 400
    assert answer.json()["messageId"] == "query.invalidDatasourceId"
