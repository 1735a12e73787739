from __future__ import annotations

import json
from typing import Any

import pytest

from lakehouse_provider.hooks.grafana import GrafanaHook, variables
from tests.grafana.server import GrafanaServer

NAMES = ("lakehouse_grafana", "lakehouse_prometheus", "lakehouse_opensearch_reader", "alerts_slack", "lakehouse_superset")


def connect(monkeypatch: pytest.MonkeyPatch, conn_id: str, **fields: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))


def test_what_stands_in_the_files_comes_from_the_connections(monkeypatch, tmp_path):
    authority = tmp_path / "ca.pem"
    authority.write_text("an authority")
    connect(
        monkeypatch, "lakehouse_grafana", conn_type="grafana", host="http://g", extra={"alert_addresses": "a@example.org;b@example.org"}
    )
    connect(monkeypatch, "lakehouse_prometheus", conn_type="http", host="http://prometheus", port=9090)
    reader = {"conn_type": "opensearch", "host": "logs", "port": 9200, "login": "reader", "password": 'p"w'}
    connect(monkeypatch, "lakehouse_opensearch_reader", **reader, extra={"ca_certs": str(authority)})
    connect(
        monkeypatch, "lakehouse_superset", conn_type="superset", host="http://s:8088", extra={"public_url": "https://boards.example.org/"}
    )
    said = variables(*NAMES)
    assert said["ALERT_ADDRESSES"] == "a@example.org;b@example.org"
    assert said["PROMETHEUS_URL"] == "http://prometheus:9090"
    assert [said[f"OPENSEARCH_{name}"] for name in ("URL", "USER", "PASSWORD", "CA")] == [
        "https://logs:9200",
        "reader",
        'p"w',
        "an authority",
    ]
    assert said["SUPERSET_URL"] == "https://boards.example.org"
    assert said["SLACK_WEBHOOK_URL"] == ""
    assert said["AIRFLOW_URL"].startswith("http")


def test_without_an_authority_of_our_own_grafana_gets_those_that_python_trusts(monkeypatch):
    connect(monkeypatch, "lakehouse_grafana", conn_type="grafana", host="http://g")
    connect(monkeypatch, "lakehouse_opensearch_reader", conn_type="opensearch", host="logs")
    assert "BEGIN CERTIFICATE" in variables(*NAMES)["OPENSEARCH_CA"]


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "https://hooks.slack.example/services/T/B/x"},
        {"host": "https://hooks.slack.example/services", "password": "/T/B/x"},
        {"host": "hooks.slack.example/services", "schema": "https", "password": "T/B/x"},
    ],
)
def test_a_slack_webhook_is_taken_whole_or_in_two_parts(monkeypatch, fields):
    connect(monkeypatch, "lakehouse_grafana", conn_type="grafana", host="http://g")
    connect(monkeypatch, "alerts_slack", conn_type="slackwebhook", **fields)
    assert variables(*NAMES)["SLACK_WEBHOOK_URL"] == "https://hooks.slack.example/services/T/B/x"


def test_the_form_proves_the_token_and_its_role(monkeypatch):
    with GrafanaServer("13.2.1") as server:
        answers = []
        for token in (server.token(), server.token("Editor"), "glsa_nobodys"):
            connect(monkeypatch, "lakehouse_grafana", conn_type="grafana", host=server.url, password=token)
            answers.append(GrafanaHook().test_connection())
    assert answers[0] == (True, "Grafana 13.2.1, as sa-1-lakehouse-admin")
    assert [works for works, _ in answers[1:]] == [False, False]
    assert "needs the role Admin" in answers[1][1]
    assert "the token of its connection is wrong" in answers[2][1]


def test_an_unknown_extra_is_refused(monkeypatch):
    connect(monkeypatch, "lakehouse_grafana", conn_type="grafana", host="http://g", extra={"alert_adresses": "a@b.c"})
    works, said = GrafanaHook().test_connection()
    assert (works, "unknown extras ['alert_adresses']" in said) == (False, True)
