from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from lakehouse_provider.operators.preflight import CHECKS

WATCHDOG = {"labels": {"alertname": "Watchdog"}, "state": "firing"}


@pytest.fixture
def servers(monkeypatch):
    """Prometheus and its Alertmanager in one server; what it answers by path, to be changed by the test."""
    answers: dict[str, Any] = {
        "/api/v1/status/buildinfo": {"version": "2.42.0"},
        "/api/v1/targets": {"activeTargets": [{"labels": {"job": "trino"}, "health": "up"}]},
        "/api/v1/alerts": {"alerts": [WATCHDOG]},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            found = answers.get(path)
            self.send_response(404 if found is None else 200)
            self.end_headers()
            wanted = query == "filter=alertname%3D%22Watchdog%22"
            self.wfile.write(json.dumps((found if wanted else [1]) if path == "/api/v2/alerts" else {"data": found}).encode())

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE_PROMETHEUS", json.dumps({"conn_type": "http", "host": address}))
    answers["/api/v1/alertmanagers"] = {"activeAlertmanagers": [{"url": f"{address}/api/v2/alerts"}]}
    answers["/api/v2/alerts"] = [WATCHDOG]
    yield answers
    server.shutdown()
    server.server_close()


def test_prometheus_is_described_and_its_alerts_come_through(servers):
    assert CHECKS["prometheus"]() == "Prometheus 2.42.0, 1 targets; alerts come through"


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        ("/api/v1/alerts", {"alerts": [WATCHDOG | {"state": "pending"}]}, "its rule Watchdog does not fire"),
        ("/api/v1/alertmanagers", {"activeAlertmanagers": []}, "it has no Alertmanager"),
        ("/api/v2/alerts", [], "Watchdog is not at http://127.0.0.1"),
        ("/api/v2/alerts", None, "Alertmanager answered 404"),
    ],
    ids=["no rules", "no Alertmanager", "it has not arrived", "it refuses"],
)
def test_a_break_between_a_rule_and_alertmanager_is_said_and_fails_nothing(servers, path, answer, said):
    servers[path] = answer
    found = CHECKS["prometheus"]()
    assert f"; alerts reach nobody: {said}" in found
