"""The on-call page is for the night when services are down: it says which, and stays plain text."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi.core_api.security import get_user

from lakehouse_provider.pages import on_call, runbooks
from lakehouse_provider.pages.app import app, show_on_call
from lakehouse_provider.pages.on_call import Cell, Page, Section


@pytest.fixture
def nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    for conn_id, conn_type in (("lakehouse_trino", "trino"), ("lakehouse_ops", "postgres")):
        fields: dict[str, Any] = {"conn_type": conn_type, "host": "127.0.0.1", "port": 1, "login": "x"}
        extra = (
            {"extra": {"catalog": "hive_prod", "protocol": "http"}}
            if conn_type == "trino"
            else {"schema": "x", "password": "hunter22-hunter22"}
        )
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields | extra))
    manager = SimpleNamespace(get_authorized_dag_ids=lambda **_: {"ship_logs"})
    monkeypatch.setattr(on_call, "get_auth_manager", lambda: manager)
    monkeypatch.setattr(on_call, "SECONDS", 3)


@pytest.mark.fault(27)
def test_each_section_says_what_is_down_and_the_page_is_there(nothing_answers: None) -> None:
    page = on_call.collect(SimpleNamespace())  # type: ignore[arg-type]
    errors = {section.anchor: section.error for section in page.sections}
    assert errors["incidents"].startswith("TransientError: PostgreSQL 127.0.0.1:1/x does not answer")
    for anchor in ("levels", "checks", "refused", "shipments"):
        assert "127.0.0.1" in errors[anchor] or errors[anchor].startswith("no answer within 3 seconds"), anchor
    assert "hunter22" not in json.dumps(errors)
    assert page.summary.tone == "bad"
    assert "cannot be read: Open incidents" in page.summary.text


def test_a_row_of_the_lake_stays_text(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "<script>alert(1)</script>"
    section = Section("incidents", "Open incidents", ("A",), [[Cell(hostile, 'https://x.test/"><script>')]])
    monkeypatch.setattr(on_call, "collect", lambda _: Page("now", Cell("fine"), [section]))
    answer = show_on_call(SimpleNamespace(), None)  # type: ignore[arg-type]
    text = bytes(answer.body).decode()
    assert "<script" not in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_every_route_asks_for_the_login_and_none_writes() -> None:
    routes = [route for route in app.routes if hasattr(route, "dependant")]
    assert len(routes) == 3
    for route in routes:
        assert route.methods == {"GET"}  # type: ignore[attr-defined]
        assert get_user in [one.call for one in _flat(route.dependant)], route.path  # type: ignore[attr-defined]


def test_a_runbook_is_found_by_its_name_alone() -> None:
    assert "ship_logs" in runbooks.names()
    assert 'id="first-look"' in str(runbooks.render("ship_logs"))
    assert runbooks.render("../../README") is None
    assert runbooks.render("no_such") is None


def _flat(dependant: Any) -> list[Any]:
    return [one for child in dependant.dependencies for one in (child, *_flat(child))]
