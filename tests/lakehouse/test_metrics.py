from __future__ import annotations

import base64
import logging
import socket
import threading
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lakehouse import metrics
from lakehouse.metrics import Figure, label_text, push

ROWS = [
    Figure("lakehouse_test_rows", "Rows of the test.", {"outcome": "indexed"}, 9),
    Figure("lakehouse_test_rows", "Rows of the test.", {"outcome": "refused"}, 1.5),
]
ALONE = Figure("lakehouse_test_duration_seconds", "Time of the test.", {}, 0.25)


class Gateway:
    """Groups by their path, replaced by PUT as the real one does; `status` is its answer."""

    def __init__(self) -> None:
        self.status, self.text = 200, b""
        self.groups: dict[str, str] = {}
        self.headers: dict[str, str] = {}

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes):
        assert method == "PUT"
        self.headers = headers
        if self.status == 200:
            self.groups[path] = body.decode()
        return self.status, {"Location": "/elsewhere"}, self.text

    def samples(self, path: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        families = list(text_string_to_metric_families(self.groups[path]))
        assert {family.type for family in families} == {"gauge"}
        return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families for sample in family.samples}


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def url(gateway, serve) -> str:
    return serve(gateway.answer)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_figures_are_gauges_of_their_group_and_the_next_push_replaces_them(gateway, url):
    assert push(url, "ship_logs", {"target": "logs-*", "source_table": "logs_db.raw_logs"}, [*ROWS, ALONE])
    (path,) = gateway.groups
    assert path == "/metrics/job/ship_logs/source_table/logs_db.raw_logs/target/logs-%2A"
    assert gateway.samples(path) == {
        ("lakehouse_test_rows", (("outcome", "indexed"),)): 9,
        ("lakehouse_test_rows", (("outcome", "refused"),)): 1.5,
        ("lakehouse_test_duration_seconds", ()): 0.25,
    }
    assert "# HELP lakehouse_test_rows Rows of the test.\n" in gateway.groups[path]
    assert push(url, "ship_logs", {"target": "logs-*", "source_table": "logs_db.raw_logs"}, [ALONE])
    assert list(gateway.samples(path)) == [("lakehouse_test_duration_seconds", ())]


def test_a_group_whose_name_has_a_slash_is_sent_so_that_the_gateway_can_read_it(gateway, url):
    assert push(url, "job", {"place": "landing/logs"}, [ALONE])
    (path,) = gateway.groups
    assert base64.urlsafe_b64decode(path.removeprefix("/metrics/job/job/place@base64/")) == b"landing/logs"


def test_quotes_and_line_breaks_in_a_label_stay_in_it(gateway, url):
    text = 'a "quoted" \\ value\nlakehouse_forged 1'
    assert push(url, "job", {}, [Figure("lakehouse_test_rows", "Rows.", {"reason": text}, 1)])
    assert gateway.samples("/metrics/job/job") == {("lakehouse_test_rows", (("reason", text),)): 1}


def test_user_and_password_go_with_the_push(gateway, url):
    assert push(url, "job", {}, [ALONE], auth=("shipper", "hunter2"))
    assert gateway.headers["Authorization"] == "Basic " + base64.b64encode(b"shipper:hunter2").decode()


@pytest.mark.parametrize("status", [302, 400, 401, 503])
def test_a_refusal_is_one_warning_with_the_gateways_own_words(gateway, url, caplog, status):
    gateway.status, gateway.text = status, b"pushed metrics are\ninconsistent"
    assert push(url, "ship_logs", {}, [ALONE], auth=("shipper", "hunter2")) is False
    (warning,) = warnings(caplog)
    assert f"of ship_logs, nothing else is affected: it answered {status}: pushed metrics are inconsistent" in warning
    assert url in warning
    assert "hunter2" not in caplog.text


def test_a_gateway_that_is_not_there_is_one_warning(caplog):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        started = time.monotonic()
        assert push(f"http://127.0.0.1:{taken.getsockname()[1]}", "job", {"table": "x" * 300}, [ALONE]) is False
    assert time.monotonic() - started < 2
    (warning,) = warnings(caplog)
    assert warning.endswith("Connection refused")
    assert "\n" not in warning


@pytest.mark.parametrize("drips", [False, True], ids=["says nothing", "answers byte by byte"])
def test_a_gateway_that_does_not_finish_is_not_waited_for(monkeypatch, caplog, drips):
    monkeypatch.setattr(metrics, "SECONDS", 0.3)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hold() -> None:
            connection, _ = listener.accept()
            with connection:
                while not over.wait(0.05) and time.monotonic() < started + 5:
                    if drips:
                        connection.sendall(b"H")

        started = time.monotonic()
        holder = threading.Thread(target=hold)
        holder.start()
        assert push(f"http://127.0.0.1:{listener.getsockname()[1]}", "job", {}, [ALONE]) is False
        took = time.monotonic() - started
        over.set()
        holder.join()
        for thread in threading.enumerate():  # it ends with the connection, and must not outlive the test
            if thread.name == "push-figures":
                thread.join(5)
    assert took < 2
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize(
    "figures",
    [
        [Figure("lakehouse_test_rows", "Rows.", {"__name__": "x"}, 1)],
        [*ROWS, Figure("lakehouse_test_rows", "Rows.", {"other_label": "x"}, 1)],
        [Figure("lakehouse_test_rows", "Rows.", {}, "many")],  # type: ignore[arg-type]
        [Figure("lakehouse_test_rows", "Rows.", {"reason": "\ud800"}, 1)],
    ],
    ids=["a label that is Prometheus's own", "other labels under the same name", "no number", "half a character"],
)
def test_figures_that_make_no_sense_are_a_warning_and_nothing_is_sent(gateway, url, caplog, figures):
    assert push(url, "job", {}, figures) is False
    assert gateway.groups == {}
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [("logs-*", "logs-*"), ("two\nlines\x00", "two?lines?"), ("\ud800", "?"), ("한글", "한글"), ("x" * 300, "x" * 100), (7, "7")],
)
def test_a_labels_text_is_printable_and_short(value, text):
    assert label_text(value) == text
