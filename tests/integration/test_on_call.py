"""What on-call gets when a run of the real scheduler fails, and what ends it: one mail, one incident."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from lakehouse.incidents.store import IncidentStore
from lakehouse_provider.hooks.incidents import IncidentsHook
from stack.airflow_api import AirflowApi, polling
from stack.installation import Installation
from tests.integration.airflow_runs import run_to_end

pytestmark = pytest.mark.integration
NOBODYS = 999_999_999
DAG_ID = "table_maintenance"


@pytest.fixture
def store(connections: dict[str, Any]) -> Iterator[IncidentStore]:
    with IncidentsHook().store() as opened:
        yield opened


def mails(stack: Installation, words: str) -> list[Any]:
    """The mails of the stack's mailbox whose subject has the words."""
    found = [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in (stack.data / "mailbox" / "new").iterdir()
    ]
    return [mail for mail in found if words in str(mail["Subject"])]


def test_a_failed_run_is_one_mail_and_its_next_success_ends_it(
    stack: Installation, api: AirflowApi, pipeline: dict[str, Any], store: IncidentStore
) -> None:
    for left in [one for one in store.open() if one.key == DAG_ID]:
        store.close(left.incident_id, "the test", "", datetime.now(UTC))
    before = len(mails(stack, DAG_ID))
    failed = run_to_end(api, DAG_ID, {"nonsense": 1})
    assert failed.state == "failed"
    [incident] = [one for one in store.open() if one.key == DAG_ID]
    assert (incident.error_type, incident.run_id) == ("ConfigurationError", failed.run_id)
    assert incident.task_id
    assert "unknown params ['nonsense']" in incident.cause
    assert incident.told_at is not None
    assert run_to_end(api, DAG_ID, {"nonsense": 2}).state == "failed"
    with polling(60, "the second failure was not folded into the incident") as ticks:
        for _ in ticks:
            if store.incident(incident.incident_id).times == 2:
                break

    taken = run_to_end(api, "act_on_incident", {"incident": incident.incident_id, "note": "a test"})
    assert taken.state == "success"
    found = store.incident(incident.incident_id)
    assert (found.acknowledged_by, found.note, found.closed_at) == ("admin", "a test", None)
    assert run_to_end(api, "act_on_incident", {"incident": NOBODYS}).state == "failed"
    assert not [one for one in store.open() if one.key == "act_on_incident"], "a mistyped number wakes nobody up"

    assert run_to_end(api, DAG_ID).state == "success"
    with polling(60, "the success did not close the incident") as ticks:
        for _ in ticks:
            if store.incident(incident.incident_id).closed_at:
                break
    assert store.incident(incident.incident_id).closed_by == f"success of {DAG_ID}"
    [mail] = mails(stack, DAG_ID)[before:]
    assert mail["To"] == "on-call@lakehouse.test"
    body = mail.get_body().get_content()
    assert "unknown params" in body
    assert re.search(rf'href="http://[^"]+/lakehouse/runbooks/{DAG_ID}#configuration"', body)
    assert re.search(rf'href="http://[^"]+/tasks/{incident.task_id}', body)


def test_the_page_shows_the_pipeline_to_who_is_signed_in_and_nothing_to_others(
    stack: Installation, api: AirflowApi, pipeline: dict[str, Any]
) -> None:
    address = f"{api.base}/lakehouse/on-call"
    token = str(api._session.headers["Authorization"]).removeprefix("Bearer ")
    assert requests.get(address, timeout=30).status_code == 401
    page = requests.get(address, cookies={"_token": token}, timeout=30)
    assert page.status_code == 200
    assert 'class="error"' not in page.text
    for words in ("quality_and_service_levels", "trino_million_rows", "logs_db.raw_logs", "/lakehouse/runbooks/ship_logs"):
        assert words in page.text, words
    for path in ("runbooks", "runbooks/ship_logs"):
        assert requests.get(f"{api.base}/lakehouse/{path}", timeout=30).status_code == 401
        assert requests.get(f"{api.base}/lakehouse/{path}", cookies={"_token": token}, timeout=30).status_code == 200
    views = [view for plugin in api.call("GET", "/plugins")["plugins"] for view in plugin["external_views"]]
    assert {"name": "On call", "href": f"http://localhost:{stack.ports['airflow']}/lakehouse/on-call"}.items() <= views[0].items()


def test_every_task_links_its_runbook(api: AirflowApi, pipeline: dict[str, Any]) -> None:
    for dag_id in ("daily_option_summary", "preflight", "ship_logs"):
        run_id = api.runs(dag_id, 1)[0]["dag_run_id"]
        for task in api.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100")["task_instances"]:
            path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/links?map_index={task['map_index']}"
            links = api.call("GET", path)["extra_links"]
            assert str(links["Runbook"]).endswith(f"/lakehouse/runbooks/{dag_id}"), task["task_id"]
