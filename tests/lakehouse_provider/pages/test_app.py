"""Who is signed out and comes by a link is led to the login and back; `tests/integration/test_on_call.py` has the pages themselves."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from lakehouse_provider.links import airflow_url
from lakehouse_provider.pages.app import app


@pytest.fixture
def client() -> TestClient:
    """As Airflow mounts it."""
    airflow = FastAPI()
    airflow.mount("/lakehouse", app)
    return TestClient(airflow, follow_redirects=False)


@pytest.mark.parametrize("path", ["/lakehouse/on-call", "/lakehouse/runbooks", "/lakehouse/runbooks/ship_logs"])
def test_a_person_is_led_to_the_login_and_back_and_a_program_is_refused(client: TestClient, path: str) -> None:
    led = client.get(path, headers={"Accept": "text/html,application/xhtml+xml"})
    assert led.status_code == 307
    address = urlsplit(led.headers["location"])
    assert led.headers["location"].startswith(f"{airflow_url()}/api/v2/auth/login?next=")
    assert parse_qs(address.query)["next"] == [f"{airflow_url()}{path}"]
    refused = client.get(path, headers={"Accept": "application/json"})
    assert (refused.status_code, refused.json()) == (401, {"detail": "Not authenticated"})
