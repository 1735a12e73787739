from __future__ import annotations

import json
import logging
from unittest.mock import create_autospec

import pytest

from lakehouse import metrics
from lakehouse.metrics import Figure
from lakehouse_provider.hooks import pushgateway
from lakehouse_provider.hooks.pushgateway import PushgatewayHook

FIGURES = [Figure("lakehouse_test_rows", "Rows.", {}, 1)]


@pytest.fixture
def pushed(monkeypatch):
    push = create_autospec(metrics.push, return_value=True)
    monkeypatch.setattr(metrics, "push", push)
    return push


def connect(monkeypatch: pytest.MonkeyPatch, **fields) -> None:
    connection = {"conn_type": "http", "host": "http://127.0.0.1", "port": 9091} | fields
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE_PUSHGATEWAY", json.dumps(connection))


@pytest.mark.parametrize(
    ("fields", "url", "options"),
    [
        ({"extra": {"public_url": "http://localhost:9091"}}, "http://127.0.0.1:9091", {"auth": None, "verify": True}),
        (
            {"host": "https://gateway.example.org", "port": None, "login": "me", "password": "it", "extra": {"ca_certs": "/ca.pem"}},
            "https://gateway.example.org",
            {"auth": ("me", "it"), "verify": "/ca.pem"},
        ),
    ],
    ids=["the native stack's", "one behind TLS and a password"],
)
def test_figures_go_where_the_connection_says(monkeypatch, pushed, fields, url, options):
    connect(monkeypatch, **fields)
    assert PushgatewayHook().push("ship_logs", {"target": "logs-*"}, FIGURES)
    pushed.assert_called_once_with(url, "ship_logs", {"target": "logs-*"}, FIGURES, **options)


def test_without_the_connection_there_is_one_line_for_who_looks_closely_and_nothing_else(pushed, caplog):
    with caplog.at_level(logging.DEBUG, logger=pushgateway.__name__):
        assert PushgatewayHook("no_such_gateway").push("ship_logs", {}, FIGURES) is False
    pushed.assert_not_called()
    assert [(record.levelname, record.getMessage()) for record in caplog.records if record.name == pushgateway.__name__] == [
        ("DEBUG", "there is no connection no_such_gateway, so the figures of ship_logs go nowhere")
    ]
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_a_misspelt_extra_is_a_warning_because_the_task_has_done_its_work(monkeypatch, pushed, caplog):
    connect(monkeypatch, extra={"ca_cert": "/ca.pem"})
    assert PushgatewayHook().push("ship_logs", {}, FIGURES) is False
    pushed.assert_not_called()
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "unknown extras ['ca_cert']" in warning
