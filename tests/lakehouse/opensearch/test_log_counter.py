from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from lakehouse.opensearch.client import OpenSearchClient
from lakehouse.opensearch.log_counter import LogCounter, busiest

MINUTE = 60_000


@pytest.mark.parametrize(
    ("minutes", "most"),
    [
        ({}, 0),
        ({100: 7}, 7),
        ({100: 30, 109: 30}, 60),
        ({100: 30, 110: 30}, 30),
        ({100: 1, 105: 50, 114: 2, 115: 3}, 52),
    ],
    ids=["none", "one minute", "the first and the last of ten", "eleven minutes are too many", "the window with the most"],
)
def test_the_busiest_ten_minutes_may_begin_at_any_minute(minutes, most):
    assert busiest(minutes) == most


@pytest.fixture
def node() -> Iterator[tuple[list[Any], str]]:
    """A server that gives the answers one after another, and its address."""
    answers: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = answers.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield answers, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def scraped(url: str) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(LogCounter(OpenSearchClient("OpenSearch", url)))
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name.removeprefix("lakehouse_"): float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def answer(**more: Any) -> dict[str, Any]:
    levels = [{"key": "INFO", "doc_count": 90}, {"key": "ERROR", "doc_count": 2}]
    minutes = [{"key": 100 * MINUTE, "doc_count": 40}, {"key": 108 * MINUTE, "doc_count": 11}]
    found = {"recent": {"levels": {"buckets": levels}}, "errors": {"minutes": {"buckets": minutes}}}
    return {"_shards": {"failed": 0}, "timed_out": False, "aggregations": found} | more


def test_lines_are_counted_by_level_and_a_level_without_one_is_0(node):
    answers, url = node
    answers.append((200, answer()))
    assert scraped(url) == {
        "log_counter_up": 1,
        'logs_10m{level="INFO"}': 90,
        'logs_10m{level="WARN"}': 0,
        'logs_10m{level="ERROR"}': 2,
        "error_logs_busiest_10m": 51,
    }


def test_without_an_index_there_are_no_errors(node):
    answers, url = node
    answers.append((200, {"_shards": {"failed": 0}, "timed_out": False}))
    assert scraped(url)["error_logs_busiest_10m"] == 0


@pytest.mark.parametrize(
    "said",
    [(403, {"error": "no permissions"}), (200, answer(timed_out=True)), (200, answer(_shards={"failed": 1}))],
    ids=["refused", "took too long", "a shard is missing"],
)
def test_where_not_all_was_counted_nothing_is_told_but_that(node, said):
    answers, url = node
    answers.append(said)
    assert scraped(url) == {"log_counter_up": 0}
