"""What people see when a service is down, a password is wrong, or an identity reaches for more than it may."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from typing import Any

import pytest
import requests

from stack.airflow_api import AirflowApi, polling
from stack.installation import REPO, Installation
from tests.conftest import run_stack
from tests.integration.test_pipeline import _wait

pytestmark = pytest.mark.integration

STOPPED = ("trino", "opensearch", "superset", "prometheus")
PLANTED = "Planted0Secret9Value"


@pytest.mark.fault(22)
def test_preflight_names_each_stopped_service_with_its_reason_and_what_to_do(
    stack: Installation, api: AirflowApi, pipeline: dict[str, Any]
) -> None:
    for service in STOPPED:
        run_stack("stop", service)
    try:
        status = run_stack("status", check=False)
        run_id = api.trigger("preflight")
        assert _wait(api, "preflight", run_id) == "failed"
        failures = {line.split(":")[0]: line for line in api.failures("preflight", run_id)}
    finally:
        run_stack("up")
    assert status.returncode == 1
    assert set(failures) == {f"preflight.{service}" for service in STOPPED}
    for service in STOPPED:
        assert f"{service} (" in status.stdout
        assert "does not answer" in failures[f"preflight.{service}"], failures
        assert "check that it runs" in failures[f"preflight.{service}"], failures


@pytest.mark.fault(22)
def test_preflight_names_the_object_store(stack: Installation, api: AirflowApi, pipeline: dict[str, Any]) -> None:
    run_stack("stop", "seaweedfs")
    try:
        run_id = api.trigger("preflight")
        assert _wait(api, "preflight", run_id) == "failed"
        failures = " ".join(api.failures("preflight", run_id))
    finally:
        run_stack("up")
    assert "preflight.object_store: TransientError" in failures
    assert "the store does not answer" in failures
    assert "preflight.catalog: TransientError: the Iceberg catalog at " in failures


@pytest.mark.fault(22)
def test_without_its_database_airflow_is_named_before_any_pipeline_starts(stack: Installation, pipeline: dict[str, Any]) -> None:
    run_stack("stop", "postgres")
    try:
        status = run_stack("status", check=False)
    finally:
        run_stack("up")
    assert status.returncode == 1
    assert "postgres (PostgreSQL): its process is stopped" in status.stdout
    assert "make logs SERVICE=postgres" in status.stdout


@pytest.mark.fault(23)
def test_a_wrong_password_fails_at_once_and_is_found_nowhere(stack: Installation, api: AirflowApi, pipeline: dict[str, Any]) -> None:
    connection = api.call("GET", "/connections/lakehouse_superset")
    body = {"connection_id": "lakehouse_superset", "conn_type": "superset", "password": PLANTED}
    api.call("PATCH", "/connections/lakehouse_superset?update_mask=password", json=body)
    try:
        run_id = api.trigger("preflight")
        assert _wait(api, "preflight", run_id) == "failed"
    finally:
        body["password"] = stack.secrets["SUPERSET_ADMIN_PASSWORD"]
        api.call("PATCH", "/connections/lakehouse_superset?update_mask=password", json=body)
    assert connection["host"]
    failures = api.failures("preflight", run_id)
    assert [line.split(":")[0] for line in failures] == ["preflight.superset"]
    assert "401" in failures[0]
    assert "check user, password" in failures[0]
    assert _places_of(stack, api, {"PLANTED": PLANTED}) == []


@pytest.mark.fault(23)
def test_no_secret_of_the_installation_is_in_a_log_a_command_line_a_rendered_field_or_an_xcom(
    stack: Installation, api: AirflowApi, pipeline: dict[str, Any]
) -> None:
    assert _places_of(stack, api, stack.secrets) == []


def _places_of(stack: Installation, api: AirflowApi, secrets: dict[str, str]) -> list[str]:
    """Where any of the secrets can be read."""
    # Access keys are names, like user names; what signs a request is the secret key.
    wanted = {name: value for name, value in secrets.items() if not name.endswith("ACCESS_KEY")}
    texts = {str(path.relative_to(stack.state)): path.read_text(errors="replace") for path in stack.logs.rglob("*") if path.is_file()}
    for line in subprocess.run(["ps", "-eww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout.splitlines():
        texts[f"command line {line[:60]}"] = line
    for dag_id in api.dags():
        for run in api.runs(dag_id, limit=50):
            path = f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}"
            texts[f"tasks of {path}"] = str(api.call("GET", f"{path}/taskInstances?limit=100"))
            for entry in api.call("GET", f"{path}/taskInstances/~/xcomEntries?limit=100")["xcom_entries"]:
                place = f"{path}/taskInstances/{entry['task_id']}/xcomEntries/{entry['key']}"
                texts[f"xcom {place}"] = str(api.call("GET", f"{place}?map_index={entry['map_index']}")["value"])
    assert "days" in "".join(text for place, text in texts.items() if place.startswith("xcom") and "/plan/" in place)
    return [f"{name} in {place}" for place, text in texts.items() for name, value in wanted.items() if value in text]


def test_a_crashed_service_is_restarted(stack: Installation) -> None:
    def process_id() -> int:
        control = REPO / "var" / "venvs" / "stack" / "bin" / "supervisorctl"
        command = [str(control), "-c", str(stack.etc / "supervisor" / "supervisord.conf"), "pid", "valkey"]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    first = process_id()
    os.kill(first, signal.SIGKILL)
    with polling(30, "valkey did not come back") as ticks:
        for _ in ticks:
            if process_id() not in (0, first):
                return


def test_a_port_that_is_taken_is_reported_with_its_owner_before_anything_starts() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 8080 + 20_000))
        listener.listen()
        result = subprocess.run(
            ["var/venvs/stack/bin/python", "-m", "stack", "--state=var/test/elsewhere", "--port-offset=20000", "up"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert f"28080 (trino) is held by pid {os.getpid()}" in result.stdout
    assert "PORT_OFFSET" in result.stdout
    assert "starting" not in result.stdout


@pytest.mark.parametrize(
    ("user", "secret", "method", "path"),
    [
        ("log_shipper", "SHIPPER", "PUT", "/other/_doc/1"),
        ("log_shipper", "SHIPPER", "DELETE", "/logs-2026.01.01"),
        ("log_reader", "READER", "PUT", "/logs-2026.01.01/_doc/1"),
        ("log_retention", "RETENTION", "PUT", "/logs-2026.01.01/_doc/1"),
        ("log_retention", "RETENTION", "PUT", "/_index_template/logs"),
    ],
)
def test_an_identity_of_opensearch_may_not_do_more_than_it_needs(
    stack: Installation, user: str, secret: str, method: str, path: str
) -> None:
    url = f"https://127.0.0.1:{stack.ports['opensearch']}{path}"
    auth = (user, stack.secrets[f"OPENSEARCH_{secret}_PASSWORD"])
    body = {"index_patterns": ["logs-*"]} if "template" in path else {"level": "ERROR"}
    response = requests.request(method, url, json=body, auth=auth, verify=str(stack.etc / "opensearch" / "ca.pem"), timeout=30)
    assert response.status_code == 403


def test_the_viewer_of_superset_may_not_import(stack: Installation) -> None:
    from lakehouse.dashboards.superset.assets import Assets
    from lakehouse.dashboards.superset.client import SupersetClient
    from lakehouse.exceptions import ServiceError

    viewer = SupersetClient(f"http://127.0.0.1:{stack.ports['superset']}", "viewer", stack.secrets["SUPERSET_VIEWER_PASSWORD"])
    with pytest.raises(ServiceError) as error:
        Assets(viewer, {}).write({})
    assert error.value.status in (403, 404)
