"""What the test server offers beside Grafana's rules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.fault_proxy import FaultProxy
from tests.grafana.server import GrafanaServer

_FOLDER = {"uid": "one", "title": "One"}


@pytest.fixture
def server() -> Iterator[GrafanaServer]:
    with GrafanaServer("13.2.1") as server:
        yield server


def _bearer(server: GrafanaServer, role: str = "Admin") -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token(role)}"}


def test_calls_and_changes_are_counted(server: GrafanaServer) -> None:
    for document in (_FOLDER, _FOLDER):
        requests.post(server.url + "/api/folders", json=document, headers=_bearer(server), timeout=10)
    requests.get(server.url + "/api/folders/one?x=1", auth=server.user("kim"), timeout=10)
    requests.post(server.url + "/api/ds/query", json={}, headers=_bearer(server), timeout=10)
    requests.get(server.url + "/api/nothing", timeout=10)
    assert [(call.method, call.path, call.status, call.login) for call in server.requests] == [
        ("POST", "/api/folders", 200, "sa-1-lakehouse-admin"),
        ("POST", "/api/folders", 412, "sa-1-lakehouse-admin"),
        ("GET", "/api/folders/one", 200, "kim"),
        ("POST", "/api/ds/query", 400, "sa-1-lakehouse-admin"),
        ("GET", "/api/nothing", 404, ""),
    ]
    assert [call.path for call in server.writes] == ["/api/folders"]


def test_a_role_has_one_token_and_a_user_one_password(server: GrafanaServer) -> None:
    assert server.token() == server.token("Admin") != server.token("Viewer")
    assert server.token() != server.token(expired=True)
    assert server.user("kim") == server.user("kim")


def test_calls_go_wrong_through_the_fault_proxy(server: GrafanaServer) -> None:
    with FaultProxy(server.url) as proxy:
        proxy.add("POST", "/api/folders", status=503)
        answers = [
            requests.post(proxy.url + "/api/folders", json=_FOLDER, headers=_bearer(server), timeout=10).status_code for _ in range(2)
        ]
    assert answers == [503, 200]
    assert len(server.requests) == 1


def test_health_may_hide_the_version() -> None:
    with GrafanaServer("12.4.0", hide_version=True) as server:
        assert requests.get(server.url + "/api/health", timeout=10).json() == {"database": "ok"}
        settings = requests.get(server.url + "/api/frontend/settings", headers=_bearer(server), timeout=10).json()
    assert settings["buildInfo"]["version"] == "12.4.0"


@pytest.mark.parametrize(
    ("kind", "document", "path"),
    [
        ("folder", _FOLDER, "/api/folders/one"),
        (
            "contact_point",
            {"uid": "one", "name": "One", "type": "email", "settings": {"addresses": "a@b.org"}},
            "/api/v1/provisioning/contact-points",
        ),
        ("mute_timing", {"name": "one", "time_intervals": []}, "/api/v1/provisioning/mute-timings/one"),
        ("policies", {"receiver": "empty", "routes": [{"receiver": "empty"}]}, "/api/v1/provisioning/policies"),
    ],
)
def test_objects_come_from_files(server: GrafanaServer, kind: str, document: dict[str, object], path: str) -> None:
    server.provision(kind, document)
    answer = requests.get(server.url + path, headers=_bearer(server), timeout=10)
    assert answer.status_code == 200
    assert kind == "folder" or '"provenance": "file"' in answer.text


def test_what_cannot_be_provisioned_is_refused(server: GrafanaServer) -> None:
    with pytest.raises(ValueError, match="pigeon cannot be provisioned"):
        server.provision("pigeon", {})
