"""Who may do what in Airflow: the roles of config/airflow/roles.json, asked of the real API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from stack.airflow_api import AirflowApi
from stack.installation import Installation

pytestmark = pytest.mark.integration
PASSWORD = "a-password-of-the-tests-0"
ROLES = {"Viewer": "viewer", "Lakehouse On Call": "on_call", "Lakehouse Approver": "approver"}


@pytest.fixture(scope="module")
def people(api: AirflowApi, pipeline: dict[str, Any]) -> Iterator[dict[str, requests.Session]]:
    """A signed-in person of each role, by its name."""
    users = f"{api.base}/auth/fab/v1/users"
    admin = {"Authorization": api._session.headers["Authorization"]}
    signed_in = {}
    for role, name in ROLES.items():
        requests.delete(f"{users}/t_{name}", headers=admin, timeout=30)
        body = {"username": f"t_{name}", "password": PASSWORD, "email": f"{name}@lakehouse.test", "first_name": name, "last_name": "test"}
        made = requests.post(users, json=body | {"roles": [{"name": role}]}, headers=admin, timeout=30)
        assert made.ok, made.text
        token = requests.post(f"{api.base}/auth/token", json={"username": f"t_{name}", "password": PASSWORD}, timeout=30).json()
        signed_in[role] = requests.Session()
        signed_in[role].headers["Authorization"] = f"Bearer {token['access_token']}"
    yield signed_in
    for name in ROLES.values():
        requests.delete(f"{users}/t_{name}", headers=admin, timeout=30)


@pytest.mark.parametrize(("role", "may"), [("Viewer", False), ("Lakehouse On Call", True), ("Lakehouse Approver", True)])
def test_who_may_trigger(api: AirflowApi, people: dict[str, requests.Session], role: str, may: object) -> None:
    body = {"conf": {"incident": 999_999_998}, "logical_date": None}
    answer = people[role].post(f"{api.base}/api/v2/dags/act_on_incident/dagRuns", json=body, timeout=30)
    assert (answer.status_code == 200) is may, answer.text


@pytest.mark.parametrize(("role", "refused"), [("Viewer", True), ("Lakehouse On Call", True), ("Lakehouse Approver", False)])
def test_who_may_answer_an_approval(api: AirflowApi, people: dict[str, requests.Session], role: str, refused: object) -> None:
    """What is pruned, and what is sent again, waits for an answer; 404 says that he was let in, and that nothing waits."""
    path = f"{api.base}/api/v2/dags/redrive_refused/dagRuns/no_such_run/taskInstances/approve/-1/hitlDetails"
    answer = people[role].patch(path, json={"chosen_options": ["Approve"], "params_input": {}}, timeout=30)
    assert (answer.status_code == 403) is refused, answer.text


@pytest.mark.parametrize("role", ROLES)
def test_everybody_sees_the_page_and_its_entry_and_nobody_the_connections(
    stack: Installation, api: AirflowApi, people: dict[str, requests.Session], role: str
) -> None:
    token = str(people[role].headers["Authorization"]).removeprefix("Bearer ")
    page = requests.get(f"{api.base}/lakehouse/on-call", cookies={"_token": token}, timeout=30)
    assert page.status_code == 200
    plugins = people[role].get(f"{api.base}/api/v2/plugins", timeout=30)
    assert "/lakehouse/on-call" in plugins.text
    assert people[role].get(f"{api.base}/api/v2/connections", timeout=30).status_code == 403
