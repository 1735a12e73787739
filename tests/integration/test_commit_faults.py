"""Appends while the real REST catalog, behind a proxy, loses answers, fails or hangs; writers that are frozen or killed at their commit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from lakehouse.iceberg import catalog as catalogs
from lakehouse.iceberg.append import Input, append_once
from lakehouse.iceberg.catalog import open_catalog
from stack.airflow_api import polling
from stack.installation import Installation
from stack.report import query
from tests.fault_proxy import Answer, FaultProxy

pytestmark = pytest.mark.integration

# Reads [catalog properties, table, name] and appends one row.
WRITER = """
import json, sys
import pyarrow as pa
from lakehouse.iceberg.append import Input, append_once
from lakehouse.iceberg.catalog import open_catalog
properties, table, name = json.load(sys.stdin)
catalog = open_catalog("hive_prod", **properties)
print(append_once(catalog, table, [Input(name, name, pa.table({"writer": [name]}))], ledger=None).rows)
"""


@pytest.fixture
def proxy(catalog: Catalog) -> Iterator[FaultProxy]:
    with FaultProxy(catalog.properties["uri"]) as between:
        yield between


@pytest.fixture
def properties(catalog: Catalog, proxy: FaultProxy) -> dict[str, str]:
    """Of the catalog behind the proxy."""
    return {**catalog.properties, "uri": proxy.url}


@pytest.fixture
def table(catalog: Catalog, fresh_name: str) -> str:
    """An empty table with one column of text, `writer`."""
    catalog.create_namespace_if_not_exists("test_db")
    catalog.create_table(f"test_db.{fresh_name}", schema=pa.schema([("writer", pa.string())]))
    return f"test_db.{fresh_name}"


@pytest.fixture
def commit(table: str) -> str:
    """The path of the table's commits."""
    return f"/namespaces/test_db/tables/{table.partition('.')[2]}$"


@pytest.fixture
def writers(properties: dict[str, str], table: str) -> Iterator[Any]:
    """Starts a writer in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdin is not None
        process.stdin.write(json.dumps([properties, table, name]))
        process.stdin.close()
        return process

    yield start
    for process in started:
        process.kill()
        process.stdout.close()  # type: ignore[union-attr]
        process.wait()


def _append(catalog: Catalog, table: str, name: str) -> int:
    return append_once(catalog, table, [Input(name, name, pa.table({"writer": [name]}))], ledger=None).rows


def _written(stack: Installation, table: str) -> list[str]:
    return [writer for (writer,) in query(stack, f"SELECT writer FROM {table} ORDER BY writer")]


@pytest.mark.fault(1)
@pytest.mark.parametrize(
    "fault",
    [{"drop": True}, {"answer": lambda _: Answer(502)}, {"answer": lambda _: Answer(200, body=b"<html>")}],
    ids=["no answer", "502 from a proxy on the way", "an answer that is no JSON"],
)
def test_a_commit_whose_answer_is_lost_counts_once(
    stack: Installation, proxy: FaultProxy, properties: dict[str, str], table: str, commit: str, fault: dict[str, Any]
) -> None:
    lost = proxy.add("POST", commit, **fault)
    _append(open_catalog("hive_prod", **properties), table, "once")
    assert lost.seen == 1, "the commit was not made again"
    assert _written(stack, table) == ["once"]
    assert _append(open_catalog("hive_prod", **properties), table, "once") == 0


@pytest.mark.fault(2)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_commit_that_did_not_go_through_is_made_again(
    stack: Installation, proxy: FaultProxy, properties: dict[str, str], table: str, commit: str, status: int
) -> None:
    failing = proxy.add("POST", commit, status=status, times=2)
    assert _append(open_catalog("hive_prod", **properties), table, "once") == 1
    assert failing.seen == 3
    assert _written(stack, table) == ["once"]
    # The same data file: nothing is left behind.
    assert query(stack, f'SELECT count(DISTINCT "$path") FROM {table}') == [[1]]


@pytest.mark.fault(4)
def test_a_catalog_that_takes_calls_and_answers_nothing_is_waited_for(
    stack: Installation, proxy: FaultProxy, properties: dict[str, str], table: str, commit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogs, "TIMEOUT", (1, 1))
    answered: list[None] = []
    hanging = proxy.add("POST", commit, delay=3, times=2, after=lambda: answered.append(None))
    assert _append(open_catalog("hive_prod", **properties), table, "patient") in (0, 1)
    with polling(30, "the calls that hung were not passed on") as ticks:  # they reach the catalog after the client gave them up
        for _ in ticks:
            if len(answered) == min(hanging.seen, 2):
                break
    assert hanging.seen >= 2, "the client waited for more than its time limit"
    assert _written(stack, table) == ["patient"]


@pytest.mark.fault(3)
def test_four_writers_of_ten_appends_each_lose_nothing(catalog: Catalog, stack: Installation, table: str) -> None:
    def write(writer: int) -> int:
        return sum(_append(catalog, table, f"{writer}-{number}") for number in range(10))

    with ThreadPoolExecutor(4) as pool:
        acknowledged = sum(pool.map(write, range(4)))
    assert acknowledged == 40
    assert query(stack, f"SELECT count(*), count(DISTINCT writer) FROM {table}") == [[40, 40]]


@pytest.mark.fault(3)
def test_a_writer_frozen_at_its_commit_wipes_nothing_out(
    catalog: Catalog, stack: Installation, proxy: FaultProxy, table: str, commit: str, writers: Any
) -> None:
    at_commit, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        at_commit.set()
        assert go_on.wait(60)

    proxy.add("POST", commit, before=hold)
    process = writers("frozen")
    assert at_commit.wait(60)
    process.send_signal(signal.SIGSTOP)
    acknowledged = [name for name in ("first", "second", "third") if _append(catalog, table, name)]
    assert acknowledged == ["first", "second", "third"]
    go_on.set()
    process.send_signal(signal.SIGCONT)
    assert process.stdout.read() == "1\n"
    assert _written(stack, table) == ["first", "frozen", "second", "third"]


@pytest.mark.fault(3)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_writer_killed_at_its_commit_is_repeated_without_doubling(
    catalog: Catalog, stack: Installation, proxy: FaultProxy, table: str, commit: str, writers: Any, when: str
) -> None:
    started: list[subprocess.Popen[str]] = []
    fault = {when: lambda: started[0].kill()} | ({"status": 503} if when == "before" else {})
    proxy.add("POST", commit, **fault)
    started.append(writers("killed"))
    assert started[0].wait(60) == -signal.SIGKILL
    assert _append(catalog, table, "killed") == (1 if when == "before" else 0)
    assert _written(stack, table) == ["killed"]
