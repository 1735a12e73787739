"""A small folder of Grafana's files, and a sync of it with the test server."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from lakehouse.dashboards.grafana.client import GrafanaClient
from lakehouse.dashboards.grafana.target import GrafanaTarget
from lakehouse.dashboards.plan import Plan
from lakehouse.dashboards.record import Memory
from lakehouse.dashboards.sync import Sync
from tests.fault_proxy import FaultProxy
from tests.grafana.server import GrafanaServer
from tests.lakehouse.dashboards.services import DictStore

SLACK = "https://hooks.slack.example/services/T0/B0/s3cret-hook"
PASSWORD = 'p4ss"word\\'
VARIABLES = {
    "PROMETHEUS_URL": "http://127.0.0.1:9090",
    "OPENSEARCH_PASSWORD": PASSWORD,
    "SLACK_WEBHOOK_URL": SLACK,
    "ALERT_ADDRESSES": "oncall@example.org",
}


def panel(number: int, title: str, expr: str = "up") -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "t-prometheus"}
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "description": f"What {title} says",
        "datasource": source,
        "gridPos": {"h": 8, "w": 12, "x": 0, "y": 8 * number},
        "fieldConfig": {"defaults": {"unit": "short"}, "overrides": []},
        "targets": [{"refId": "A", "datasource": source, "expr": expr}],
    }


def board(uid: str, title: str, *panels: dict[str, Any]) -> dict[str, Any]:
    return {"uid": uid, "title": title, "tags": ["lakehouse"], "schemaVersion": 42, "panels": list(panels), "templating": {"list": []}}


def rule(uid: str, title: str) -> dict[str, Any]:
    threshold = {"refId": "B", "type": "threshold", "expression": "A", "datasource": {"type": "__expr__", "uid": "__expr__"}}
    query = {"refId": "A", "expr": "up", "instant": True}
    window = {"from": 600, "to": 0}
    return {
        "uid": uid,
        "title": title,
        "condition": "B",
        "for": "5m",
        "noDataState": "NoData",
        "execErrState": "Error",
        "labels": {"team": "t"},
        "annotations": {"summary": title},
        "data": [
            {"refId": "A", "datasourceUid": "t-prometheus", "relativeTimeRange": window, "model": query},
            {"refId": "B", "datasourceUid": "__expr__", "relativeTimeRange": window, "model": threshold},
        ],
    }


FILES: dict[str, dict[str, Any]] = {
    "folders/t.json": {"uid": "t", "title": "T", "permissions": [{"role": "Editor", "permission": 2}, {"role": "Viewer", "permission": 1}]},
    "data_sources/prometheus.json": {
        "uid": "t-prometheus",
        "name": "T Prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": "${PROMETHEUS_URL}",
        "basicAuth": True,
        "basicAuthUser": "u",
        "secureJsonData": {"basicAuthPassword": "${OPENSEARCH_PASSWORD}"},
        "jsonData": {"timeInterval": "15s"},
    },
    "library_panels/shared.json": {"uid": "t-shared", "name": "Shared", "kind": 1, "folderUid": "t", "model": panel(9, "Shared")},
    "dashboards/t/one.json": board("t-one", "One", panel(1, "first"), panel(2, "second")),
    "dashboards/t/two.json": board(
        "t-two", "Two", {"id": 1, "gridPos": {"h": 8, "w": 12, "x": 0, "y": 0}, "libraryPanel": {"uid": "t-shared", "name": "Shared"}}
    ),
    "mute_timings/nights.json": {"name": "t nights", "time_intervals": [{"times": [{"start_time": "02:00", "end_time": "03:00"}]}]},
    "contact_points/email.json": {
        "uid": "t-email",
        "name": "T on-call",
        "type": "email",
        "settings": {"addresses": "${ALERT_ADDRESSES}"},
        "disableResolveMessage": False,
    },
    "contact_points/slack.json": {
        "uid": "t-slack",
        "name": "T on-call",
        "type": "slack",
        "settings": {"url": "${SLACK_WEBHOOK_URL}"},
        "disableResolveMessage": False,
    },
    "notification_policies/t.json": {
        "receiver": "T on-call",
        "object_matchers": [["team", "=", "t"]],
        "group_by": ["alertname"],
        "group_wait": "30s",
        "mute_time_intervals": ["t nights"],
    },
    "rule_groups/t.json": {"folderUid": "t", "title": "t rules", "interval": 60, "rules": [rule("t-r1", "Rule one")]},
}


@dataclass
class Grafana:
    """A folder of files, a Grafana, and the sync between them; `proxy` is where the sync's calls go wrong."""

    root: Path
    server: GrafanaServer
    proxy: FaultProxy
    store: DictStore = field(default_factory=DictStore)
    variables: dict[str, str] = field(default_factory=lambda: dict(VARIABLES))

    def put(self, path: str, document: Any) -> None:
        """Write a file."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(json.dumps(document, indent=2) + "\n")

    def read(self, path: str) -> Any:
        """A file."""
        return json.loads((self.root / path).read_text())

    def remove(self, path: str) -> None:
        """Take a file out of the folder."""
        (self.root / path).unlink()

    @property
    def memory(self) -> Memory:
        return Memory(self.store, "grafana")

    @property
    def client(self) -> GrafanaClient:
        return GrafanaClient(self.proxy.url, self.server.token())

    def target(self) -> GrafanaTarget:
        return GrafanaTarget(self.client, self.root, self.variables, "from a test")

    def sync(self, **options: Any) -> Sync:
        return Sync(self.target(), self.memory, **options)

    def plan(self) -> Plan:
        return self.sync().plan()

    def apply(self, **options: Any) -> Any:
        """Apply; what was written, in the order of writing."""
        before = len(self.server.writes)
        self.sync().apply(**options)
        return [f"{call.method} {call.path}" for call in self.server.writes[before:]]

    def by_hand(self, method: str, path: str, document: Any = None) -> Any:
        """What the admin does in Grafana's pages, as Kim."""
        user, editable = self.server.user("kim", "Admin"), {"X-Disable-Provenance": "true"}  # as the pages save
        response = requests.request(method, self.server.url + path, json=document, auth=user, headers=editable, timeout=10)
        assert response.ok, response.text
        return response.json() if response.content else None

    def edit_board(self, uid: str, **changes: Any) -> None:
        """Save a board by hand."""
        there = self.by_hand("GET", f"/api/dashboards/uid/{uid}")
        body = {"dashboard": {**there["dashboard"], **changes}, "folderUid": there["meta"]["folderUid"], "overwrite": False}
        self.by_hand("POST", "/api/dashboards/db", body)
