"""The second catalog: the pipeline on the Hive metastore, and writers that are frozen or killed while they hold its lock.

The installation lies in `var/test-hive`, beside that of the other integration tests. It is left running between runs of pytest.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psutil
import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from lakehouse.exceptions import TransientError
from lakehouse.iceberg import hive
from lakehouse.iceberg.append import Input, append_once
from lakehouse.iceberg.catalog import open_catalog
from stack.installation import REPO, Installation
from stack.report import query

# Collected here as well: with this module's fixtures they run on the metastore.
from tests.integration.test_roundtrip import (
    test_rows_of_pyiceberg_are_read_equal_by_trino_and_spark,
    test_rows_of_spark_are_read_equal_by_trino_and_pyiceberg,
    test_rows_of_trino_are_read_equal_by_spark_and_pyiceberg,
)

__all__ = [
    "test_rows_of_pyiceberg_are_read_equal_by_trino_and_spark",
    "test_rows_of_spark_are_read_equal_by_trino_and_pyiceberg",
    "test_rows_of_trino_are_read_equal_by_spark_and_pyiceberg",
]

pytestmark = pytest.mark.hive

STATE = REPO / "var" / "test-hive"
# As in the Makefile. The tests' own ports lie below 32768: above, the kernel gives them to any outgoing connection.
PORT_OFFSET = 6_000
ROWS = 2_000

# Reads [catalog properties, table, checksum, signal]; stops or kills itself once, with the lock held and the new metadata written.
VICTIM = """
import json, os, signal, sys
import pyarrow as pa
from lakehouse.iceberg.append import Input, append_once
from lakehouse.iceberg.catalog import open_catalog
properties, table, checksum, name = json.load(sys.stdin)
catalog = open_catalog("hive_prod", **properties)
write = catalog._write_metadata
def stop(*args, **kwargs):
    catalog._write_metadata = write
    write(*args, **kwargs)
    print("holds the lock", flush=True)
    os.kill(os.getpid(), getattr(signal, name))
catalog._write_metadata = stop
print(append_once(catalog, table, [Input(checksum, checksum, pa.table({"writer": [checksum]}))], ledger=None).rows)
"""


def _stack_tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    python = REPO / "var" / "venvs" / "stack" / "bin" / "python"
    where = (f"--state={STATE}", f"--port-offset={PORT_OFFSET}", "--catalog=hive")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    result = subprocess.run([python, "-m", "stack", *where, *arguments], cwd=REPO, capture_output=True, text=True, env=environment)
    if result.returncode != 0:
        pytest.fail(f"stack {' '.join(arguments)} ended with {result.returncode}:\n{result.stdout[-4000:]}{result.stderr[-2000:]}")
    return result


@pytest.fixture(scope="session")
def hive_stack() -> Installation:
    """The tests' installation with the Hive metastore, running."""
    _stack_tool("up")
    return Installation(STATE, PORT_OFFSET)


@pytest.fixture
def stack(hive_stack: Installation) -> Installation:
    """What tests of another module run on here."""
    return hive_stack


@pytest.fixture(scope="session")
def properties(hive_stack: Installation) -> dict[str, str]:
    """What PyIceberg is opened with."""
    connections = json.loads((hive_stack.etc / "connections.json").read_text())
    catalog, store = connections["lakehouse_catalog"], connections["lakehouse_s3"]
    return catalog["extra"] | {
        "uri": catalog["host"],
        "s3.endpoint": store["extra"]["endpoint_url"],
        "s3.region": "us-east-1",
        "s3.access-key-id": store["login"],
        "s3.secret-access-key": store["password"],
        "s3.path-style-access": "true",
    }


@pytest.fixture
def catalog(properties: dict[str, str]) -> Catalog:
    return open_catalog("hive_prod", **properties)


@pytest.fixture
def table(catalog: Catalog, fresh_name: str) -> str:
    """An empty table with one column of text, `writer`."""
    catalog.create_namespace_if_not_exists("test_db")
    catalog.create_table(f"test_db.{fresh_name}", schema=pa.schema([("writer", pa.string())]))
    return f"test_db.{fresh_name}"


@pytest.fixture
def victim(properties: dict[str, str], table: str) -> Iterator[Any]:
    """Starts a writer that gets a signal while it holds the lock."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", VICTIM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([properties, table, "victim", name]))
        process.stdin.close()
        assert process.stdout.readline() == "holds the lock\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.stdout.close()  # type: ignore[union-attr]
        process.wait()


def _append(catalog: Catalog, table: str, name: str) -> int:
    return append_once(catalog, table, [Input(name, name, pa.table({"writer": [name]}))], ledger=None).rows


def _writers(catalog: Catalog, table: str) -> list[str]:
    return sorted(catalog.load_table(table).scan().to_arrow()["writer"].to_pylist())


@contextmanager
def _frozen_metastore(stack: Installation) -> Iterator[None]:
    port = stack.ports["metastore"]
    listening = (entry for entry in psutil.net_connections("tcp") if entry.status == psutil.CONN_LISTEN)
    pid = next(entry.pid for entry in listening if entry.laddr.port == port)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.fault(3)
def test_four_writers_of_ten_appends_each_lose_nothing(catalog: Catalog, hive_stack: Installation, table: str) -> None:
    def write(writer: int) -> int:
        return sum(_append(catalog, table, f"{writer}-{number}") for number in range(10))

    with ThreadPoolExecutor(4) as pool:
        acknowledged = sum(pool.map(write, range(4)))
    assert acknowledged == 40
    assert query(hive_stack, f"SELECT count(*), count(DISTINCT writer) FROM {table}") == [[40, 40]]


@pytest.mark.fault(3)
def test_a_writer_frozen_longer_than_its_lock_lives_wipes_nothing_out(catalog: Catalog, table: str, victim: Any) -> None:
    process = victim("SIGSTOP")
    acknowledged = [name for name in ("first", "second", "third") if _append(catalog, table, name)]
    assert acknowledged == ["first", "second", "third"]
    process.send_signal(signal.SIGCONT)
    assert process.stdout.read() == "1\n"
    assert _writers(catalog, table) == ["first", "second", "third", "victim"]


@pytest.mark.fault(3)
def test_after_a_writer_was_killed_with_the_lock_held_the_next_one_commits_within_a_minute(
    catalog: Catalog, table: str, victim: Any, caplog: pytest.LogCaptureFixture
) -> None:
    victim("SIGKILL")
    started = time.monotonic()
    assert _append(catalog, table, "next") == 1
    # We release it; the metastore itself would take half a minute.
    assert time.monotonic() - started < 20
    assert "its holder lakehouse/" in caplog.text
    assert _append(catalog, table, "victim") == 1
    assert _writers(catalog, table) == ["next", "victim"]


@pytest.mark.fault(4)
def test_a_frozen_metastore_is_given_up_and_an_append_waits_for_it(
    hive_stack: Installation, properties: dict[str, str], table: str
) -> None:
    catalog = open_catalog("hive_prod", **properties, **{hive.ANSWER_TIMEOUT: "2"})
    rows: list[int] = []
    writer = threading.Thread(target=lambda: rows.append(_append(catalog, table, "patient")))
    with _frozen_metastore(hive_stack):
        with pytest.raises(ConnectionError, match="read timeout"):
            catalog.list_namespaces()
        writer.start()
        time.sleep(5)
    writer.join()
    assert rows == [1]
    assert _writers(catalog, table) == ["patient"]


@pytest.mark.fault(22)
def test_preflight_names_a_stopped_metastore(hive_stack: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    from lakehouse_provider.operators.preflight import CHECKS

    for conn_id, fields in json.loads((hive_stack.etc / "connections.json").read_text()).items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
    assert "made with 3 rows by PyIceberg" in CHECKS["catalog"]()
    _stack_tool("stop", "metastore")
    try:
        with pytest.raises(TransientError, match=r"does not answer: Hive metastore at thrift://.*Connection refused.*: is it running"):
            CHECKS["catalog"]()
    finally:
        _stack_tool("start", "metastore")


def test_the_pipeline_is_good_on_the_hive_metastore(hive_stack: Installation) -> None:
    _stack_tool("run", f"--rows={ROWS}")
    report = json.loads((STATE / "run-report.json").read_text())
    assert {dag["state"] for dag in report["dags"]} <= {"success", "not run"}
    assert report["checks"]["failed"] == 0
    assert report["tables"]["option_ticks_db.bronze_option_ticks"]["rows"] == ROWS + 29 * 10_000
    assert report["documents"]["logs-*"] == report["tables"]["logs_db.raw_logs"]["rows"] > 0
    places = query(hive_stack, 'SELECT DISTINCT "$path" FROM logs_db.raw_logs')
    assert all(path.startswith("s3://lakehouse/warehouse/logs_db.db/raw_logs/") for (path,) in places)
