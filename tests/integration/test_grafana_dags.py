"""The DAGs of the dashboards with a Grafana: the test server, whose panels ask the stack's real Prometheus and OpenSearch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import requests

from include.assets import GRAFANA_FOLDER
from lakehouse.dashboards.objects import Key
from lakehouse.dashboards.record import Memory
from lakehouse.objects import ObjectStore
from stack.airflow_api import AirflowApi
from stack.installation import Installation
from tests.grafana import engines
from tests.grafana.lucene import OpenSearchAccess
from tests.grafana.server import GrafanaServer
from tests.integration.airflow_runs import run_to_end

pytestmark = pytest.mark.integration

OVERVIEW = "lakehouse-overview"
PREFIX = "dashboards/grafana"


@pytest.fixture(scope="module")
def grafana(stack: Installation, api: AirflowApi, store: ObjectStore, pipeline: dict[str, Any]) -> Iterator[GrafanaServer]:
    """An empty Grafana, and the connection to it in Airflow's own database, as a person would add it in the UI."""
    password = stack.secrets["OPENSEARCH_READER_PASSWORD"]
    logs = OpenSearchAccess(
        f"https://127.0.0.1:{stack.ports['opensearch']}", "log_reader", password, str(stack.etc / "opensearch" / "ca.pem")
    )
    ask = partial(engines.run, prometheus=f"http://127.0.0.1:{stack.ports['prometheus']}", opensearch=logs)
    with GrafanaServer("13.2.1", query=ask) as server:
        extra = json.dumps({"public_url": server.url, "alert_addresses": "oncall@example.org"})
        connection = {"conn_type": "grafana", "host": server.url, "password": server.token(), "extra": extra}
        api.call("POST", "/connections", json={"connection_id": "lakehouse_grafana", **connection})
        try:
            yield server
        finally:
            api.call("DELETE", "/connections/lakehouse_grafana")
            for entry in list(store.list(f"{PREFIX}/")):
                store.delete(entry.key)


def by_hand(server: GrafanaServer, method: str, path: str, document: Any = None) -> Any:
    response = requests.request(method, server.url + path, json=document, auth=server.user("kim", "Admin"), timeout=30)
    assert response.ok, response.text
    return response.json()


def title(server: GrafanaServer) -> str:
    return str(by_hand(server, "GET", f"/api/dashboards/uid/{OVERVIEW}")["dashboard"]["title"])


def state_of(api: AirflowApi, run_id: str, task: str) -> str:
    return str(api.call("GET", f"/dags/sync_dashboards/dagRuns/{run_id}/taskInstances/{task}")["state"])


def test_without_a_connection_grafana_is_skipped_and_everything_else_goes_on(api: AirflowApi, pipeline: dict[str, Any]) -> None:
    run = api.runs("sync_dashboards", 1)[0]
    assert run["state"] == "success"
    states = [state_of(api, run["dag_run_id"], task) for task in ("superset", "grafana", "prune_grafana")]
    assert states == ["success", "skipped", "skipped"]


def test_boards_and_alerts_are_made_every_panel_has_data_and_a_second_run_writes_nothing(api: AirflowApi, grafana: GrafanaServer) -> None:
    run = run_to_end(api, "sync_dashboards")
    found = api.xcom("sync_dashboards", run.run_id, "grafana")
    assert run.state == "success"
    assert found["written"] is True
    assert {board["name"]: board["charts_failed"] for board in found["dashboards"]} == {
        "Lakehouse Overview": 0,
        "Data Quality": 0,
        "Performance": 0,
        "Logs": 0,
        "SeaweedFS": 0,
        "alert rules Lakehouse": 0,
        "data sources": 0,
    }
    (mark,) = by_hand(grafana, "GET", "/api/annotations?tags=lakehouse-deploy")
    assert "sync_dashboards" in mark["text"]
    assert run.run_id in mark["text"] or "/dags/sync_dashboards/" in mark["text"]

    before = len(grafana.writes)
    run = run_to_end(api, "sync_dashboards")
    assert api.xcom("sync_dashboards", run.run_id, "grafana")["rows"] == 0
    assert grafana.writes[before:] == []


def test_drift_is_reported_with_its_author_turned_into_a_patch_reverted_and_comes_back_from_the_backup(
    api: AirflowApi, store: ObjectStore, grafana: GrafanaServer
) -> None:
    there = by_hand(grafana, "GET", f"/api/dashboards/uid/{OVERVIEW}")
    board = {**there["dashboard"], "title": "Overview, by hand"}
    by_hand(grafana, "POST", "/api/dashboards/db", {"dashboard": board, "folderUid": there["meta"]["folderUid"]})

    run = run_to_end(api, "dashboard_drift", {"then": "accept"})
    found = api.xcom("dashboard_drift", run.run_id, "grafana")
    assert "title: Lakehouse Overview → Overview, by hand | kim" in found["drift"]
    patch = store.read(found["patch"]).decode()
    path = next(path for path in (GRAFANA_FOLDER / "dashboards").rglob("*.json") if json.loads(path.read_text())["uid"] == OVERVIEW)
    assert f"b/include/dashboards/grafana/{path.relative_to(GRAFANA_FOLDER).as_posix()}" in patch
    assert [line.strip() for line in patch.splitlines() if line.startswith(("-", "+"))][2:] == [
        '-  "title": "Lakehouse Overview",',
        '+  "title": "Overview, by hand",',
    ]

    run = run_to_end(api, "dashboard_drift", {"then": "revert"})
    assert title(grafana) == "Lakehouse Overview"
    backup = api.xcom("dashboard_drift", run.run_id, "grafana")["backup"]
    run = run_to_end(api, "sync_dashboards", {"restore": backup})
    assert (run.state, state_of(api, run.run_id, "superset")) == ("success", "skipped")
    assert title(grafana) == "Overview, by hand"


@pytest.mark.fault(19)
def test_a_board_in_no_file_is_removed_from_grafana_when_a_person_approves(
    api: AirflowApi, store: ObjectStore, grafana: GrafanaServer
) -> None:
    run_to_end(api, "sync_dashboards")  # makes the folder, and the record of what is ours
    board = {"uid": "once-ours", "title": "Once ours", "panels": [], "schemaVersion": 42}
    by_hand(grafana, "POST", "/api/dashboards/db", {"dashboard": board, "folderUid": "lakehouse"})
    # As if a file had once said this.
    ours, key = Memory(store, PREFIX), Key("dashboards", "once-ours")
    record = ours.record()
    there = by_hand(grafana, "GET", "/api/dashboards/uid/once-ours")["dashboard"]
    content = {name: value for name, value in there.items() if name not in ("id", "version")} | {"folderUid": "lakehouse"}
    entry = replace(next(iter(record.applied.values())), name="Once ours", content=content, version="", said=content)
    ours.write_record(replace(record, applied={**record.applied, key: entry}))

    run = run_to_end(api, "sync_dashboards", {"prune": True}, answer="Approve")
    assert "Once ours" in run.asked["approve_prune"]["body"]
    assert api.xcom("sync_dashboards", run.run_id, "prune_grafana")["removed"] == [str(key)]
    assert api.xcom("sync_dashboards", run.run_id, "prune_superset")["removed"] == []
    assert requests.get(f"{grafana.url}/api/dashboards/uid/once-ours", auth=grafana.user("kim", "Admin"), timeout=10).status_code == 404
