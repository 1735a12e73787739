"""Trino that does not answer is an error of ours, which a retry can heal; what it says of a statement is not."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from trino.exceptions import TrinoQueryError

from lakehouse.exceptions import TransientError
from lakehouse_provider.hooks.trino import trino_cursor


def connect(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    extra = {"catalog": "hive_prod", "protocol": "http", "max_attempts": 1}
    fields = {"conn_type": "trino", "host": "127.0.0.1", "port": port, "login": "x", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE_TRINO", json.dumps(fields))


@pytest.mark.fault(27)
def test_a_trino_that_is_not_there_is_named_with_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, 1)
    with pytest.raises(TransientError, match=r"Trino at 127\.0\.0\.1:1 does not answer: .* connection lakehouse_trino$"):
        trino_cursor().execute("SELECT 1").fetchall()


@pytest.mark.fault(27)
@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [(503, "", TransientError), (200, "SERVER_STARTING_UP", TransientError), (200, "COLUMN_NOT_FOUND", TrinoQueryError)],
    ids=["away", "starting", "the statement is wrong"],
)
def test_only_what_waiting_heals_is_ours(monkeypatch: pytest.MonkeyPatch, status: int, name: str, kind: type[Exception]) -> None:
    wrong = {"message": f"so it says: {name}", "errorCode": 1, "errorName": name, "errorType": "USER_ERROR"}

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.dumps({"id": "1", "stats": {"state": "FAILED"}, "error": wrong}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connect(monkeypatch, server.server_port)
        with pytest.raises(kind) as caught:
            trino_cursor().execute("SELECT nothing").fetchall()
        server.shutdown()
    assert ("so it says" in str(caught.value)) == (status == 200)
