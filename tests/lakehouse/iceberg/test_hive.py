"""The Hive catalog against a small real Thrift server that speaks the metastore's protocol."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hive_metastore import ThriftHiveMetastore
from hive_metastore.ttypes import (
    Database,
    InvalidOperationException,
    LockResponse,
    LockState,
    MetaException,
    NoSuchLockException,
    NoSuchObjectException,
    ShowLocksResponse,
    ShowLocksResponseElement,
)
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException, NoSuchTableError, ServerError
from pyiceberg.table import Table
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport, TTransportException

from lakehouse.exceptions import ConfigurationError
from lakehouse.iceberg import hive
from lakehouse.iceberg.append import Input, append_once
from lakehouse.iceberg.catalog import open_catalog

ROWS = pa.table({"number": [1, 2, 3]})
# More than any kernel gives out.
DEAD_PID = 2**22 + 1


class Metastore:
    """The part of a metastore that commits need. `before` maps a call's name to what happens first, and `after` to what happens then."""

    def __init__(self) -> None:
        self.tables: dict[str, Any] = {}
        self.locks: dict[int, ShowLocksResponseElement] = {}
        self.calls: list[str] = []
        self.before: dict[str, Callable[[], None]] = {}
        self.after: dict[str, Callable[[], None]] = {}
        self._mutex = threading.Lock()
        self._ids = iter(range(1, 1_000_000))

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or not callable(found):
            return found

        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            self.before.get(name, lambda: None)()
            with self._mutex:
                answer = found(*arguments)
            self.after.get(name, lambda: None)()
            return answer

        return call

    def get_all_databases(self) -> list[str]:
        return ["db"]

    def get_database(self, name: str) -> Database:
        return Database(name=name, locationUri="", parameters={})

    def create_table(self, table: Any) -> None:
        self.tables[table.tableName] = table

    def get_table(self, _database: str, tbl_name: str) -> Any:
        if tbl_name not in self.tables:
            raise NoSuchObjectException("no such table")
        return self.tables[tbl_name]

    def alter_table_with_environment_context(self, _database: str, tbl_name: str, table: Any, _context: Any) -> None:
        self.tables[tbl_name] = table

    def lock(self, request: Any) -> LockResponse:
        number = next(self._ids)
        state = LockState.WAITING if self.locks else LockState.ACQUIRED
        self.locks[number] = ShowLocksResponseElement(lockid=number, agentInfo=request.agentInfo, user=request.user)
        return LockResponse(number, state)

    def check_lock(self, request: Any) -> LockResponse:
        if request.lockid not in self.locks:
            raise NoSuchLockException("it was reaped")
        return LockResponse(request.lockid, LockState.ACQUIRED if min(self.locks) == request.lockid else LockState.WAITING)

    def heartbeat(self, request: Any) -> None:
        if request.lockid not in self.locks:
            raise NoSuchLockException("it was reaped")

    def unlock(self, request: Any) -> None:
        if self.locks.pop(request.lockid, None) is None:
            raise NoSuchLockException("it was reaped")

    def show_locks(self, request: Any) -> ShowLocksResponse:
        assert (request.dbname, request.tablename) == ("db", "t")
        return ShowLocksResponse(list(self.locks.values()))


@pytest.fixture
def metastore() -> Metastore:
    return Metastore()


@pytest.fixture
def address(metastore: Metastore) -> Iterator[str]:
    """Where the metastore listens."""
    processor = ThriftHiveMetastore.Processor(metastore)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(connection: socket.socket) -> None:
            handle = TSocket()
            handle.setHandle(connection)
            protocol = TBinaryProtocol(TBufferedTransport(handle))
            with connection, suppress(TTransportException, EOFError, OSError):
                while True:
                    processor.process(protocol, protocol)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"thrift://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def catalog(address: str, tmp_path: Path) -> Any:
    return _open(address, tmp_path)


@pytest.fixture
def table(catalog: Any) -> Table:
    made: Table = catalog.create_table("db.t", schema=ROWS.schema, properties={"commit.retry.num-retries": "0"})
    return made


def _open(address: str, folder: Path, **properties: str) -> Any:
    short = {"lock-check-min-wait-time": "0.01", "lock-check-max-wait-time": "0.05", "lock-check-retries": "10"}
    return open_catalog("unit", type="hive", uri=address, warehouse=f"file://{folder}/warehouse", **(short | properties))


def _rows(catalog: Any) -> int:
    return int(catalog.load_table("db.t").scan().to_arrow().num_rows)


def _hang_up() -> None:
    """Thrift's own server drops the connection without an answer on this error."""
    raise TTransportException(message="the cable was pulled")


@pytest.mark.fault(4)
def test_a_metastore_that_never_answers_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        catalog = _open(f"thrift://127.0.0.1:{silent.getsockname()[1]}", tmp_path, **{hive.ANSWER_TIMEOUT: "0.3"})
        started = time.monotonic()
        with pytest.raises(ConnectionError, match=r"Hive metastore at thrift://127\.0\.0\.1:\d+: read timeout"):
            catalog.list_namespaces()
        assert time.monotonic() - started < 3


def test_a_metastore_that_is_not_there_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionError, match=rf"{port}: Could not connect to any of .*Connection refused"):
        _open(f"thrift://127.0.0.1:{port}", tmp_path).load_table("db.t")


def test_something_else_on_that_port_is_a_connection_error(tmp_path: Path) -> None:
    def answer() -> None:
        connection = listener.accept()[0]
        with connection:
            connection.recv(1)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ConnectionError, match="Hive metastore at"):
            _open(f"thrift://127.0.0.1:{listener.getsockname()[1]}", tmp_path).list_namespaces()
        thread.join()


def test_a_metastore_without_its_database_is_a_server_error(catalog: Any, metastore: Metastore) -> None:
    def broken() -> None:
        raise MetaException("PostgreSQL is gone")

    metastore.before["get_all_databases"] = broken
    with pytest.raises(ServerError, match="PostgreSQL is gone"):
        catalog.list_namespaces()


def test_what_pyiceberg_raises_itself_stays(catalog: Any) -> None:
    with pytest.raises(NoSuchTableError):
        catalog.load_table("db.nothing")


def test_kerberos_is_refused_aloud(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"hive\.kerberos-authentication"):
        _open("thrift://localhost:1", tmp_path, **{"hive.kerberos-authentication": "true"})


def test_a_commit_leaves_no_lock_and_no_thread(table: Table, catalog: Any, metastore: Metastore) -> None:
    table.append(ROWS)
    assert _rows(catalog) == 3
    assert metastore.locks == {}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hive-lock") and not thread._done.is_set()]
    assert metastore.calls.index("check_lock") == metastore.calls.index("alter_table_with_environment_context") - 1


def test_threads_share_a_catalog(catalog: Any, metastore: Metastore) -> None:
    metastore.before["get_all_databases"] = lambda: time.sleep(0.02)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: catalog.list_namespaces(), range(40))) == [[("db",)]] * 40


@pytest.mark.fault(3)
def test_a_lock_is_heartbeated_while_it_is_held(address: str, metastore: Metastore, table: Table, tmp_path: Path) -> None:
    table = _open(address, tmp_path, **{hive.HEARTBEAT_INTERVAL: "0.05"}).load_table("db.t")
    metastore.before["get_table"] = lambda: time.sleep(0.5)
    table.append(ROWS)
    assert metastore.calls.count("heartbeat") >= 3


@pytest.mark.fault(3)
def test_a_lock_that_was_taken_away_stops_the_commit(table: Table, catalog: Any, metastore: Metastore) -> None:
    """What a writer finds that was frozen longer than its lock lives."""
    metastore.after["get_table"] = metastore.locks.clear
    with pytest.raises(CommitFailedException, match="took lock 1 away; nothing was committed"):
        table.append(ROWS)
    assert "alter_table_with_environment_context" not in metastore.calls
    assert _rows(catalog) == 0


@pytest.mark.fault(1)
def test_a_commit_whose_answer_was_lost_is_unknown_and_its_rows_are_there_once(table: Table, catalog: Any, metastore: Metastore) -> None:
    def once() -> None:
        metastore.after.clear()
        _hang_up()

    metastore.after["alter_table_with_environment_context"] = once
    with pytest.raises(CommitStateUnknownException, match=r"did not tell whether it altered db\.t: TSocket read 0 bytes"):
        table.append(ROWS)
    metastore.locks.clear()
    metastore.after["alter_table_with_environment_context"] = once
    # The lock that this leaves behind would be released in some seconds; nobody needs it here.
    assert append_once(catalog, "db.t", [Input("sum", "file", ROWS)], ledger=None).rows == 0
    assert _rows(catalog) == 6


@pytest.mark.parametrize("call", ["lock", "check_lock", "unlock"])
def test_an_answer_about_the_lock_that_was_lost_costs_no_rows(table: Table, catalog: Any, metastore: Metastore, call: str) -> None:
    def once() -> None:
        metastore.after.clear()
        metastore.locks.clear()
        _hang_up()

    metastore.after[call] = once
    assert append_once(catalog, "db.t", [Input("sum", "file", ROWS)], ledger=None).rows in (0, 3)
    assert _rows(catalog) == 3


@pytest.mark.fault(3)
def test_a_dead_processs_lock_is_released_and_a_living_ones_is_not(
    table: Table, catalog: Any, metastore: Metastore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hive, "_GRACE", 0.0)
    stranger = ShowLocksResponseElement(lockid=0, agentInfo="Iceberg-1234", user="spark")
    metastore.locks[0] = stranger
    with pytest.raises(CommitFailedException):
        table.append(ROWS)
    assert metastore.locks == {0: stranger}
    metastore.locks[0] = ShowLocksResponseElement(lockid=0, agentInfo=f"lakehouse/{socket.gethostname()}/{DEAD_PID}/1/token", user="me")
    with caplog.at_level(logging.WARNING):
        table.append(ROWS)
    assert "releasing lock 0 on db.t: its holder lakehouse/" in caplog.text
    assert _rows(catalog) == 3
    assert metastore.locks == {}


def test_whose_lock_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    here, me = socket.gethostname(), os.getpid()
    started = hive._started(me)
    monkeypatch.setattr(hive, "_live_tokens", {"held"})
    stale = {
        f"lakehouse/{here}/{DEAD_PID}/1/held": True,
        f"lakehouse/{here}/{me}/1/held": True,  # Another process had this number before.
        f"lakehouse/{here}/{me}/{started}/forgotten": True,
        f"lakehouse/{here}/{me}/{started}/held": False,
        f"lakehouse/{here}/{os.getppid()}/{hive._started(os.getppid())}/theirs": False,
        f"lakehouse/elsewhere/{DEAD_PID}/1/held": False,
        "Iceberg-8f3a": False,
        "": False,
    }
    assert {name: hive._is_stale(name) for name in stale} == stale
    assert hive._is_stale(None) is False


def test_a_killed_process_is_dead_before_its_parent_has_noticed() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert hive._started(child.pid) is not None
    child.kill()
    deadline = time.monotonic() + 5
    while hive._started(child.pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.wait()


def test_a_metastore_that_refuses_is_taken_at_its_word(table: Table, metastore: Metastore) -> None:
    def refuse() -> None:
        raise InvalidOperationException("it was dropped")

    metastore.before["alter_table_with_environment_context"] = refuse
    with pytest.raises(InvalidOperationException):
        table.append(ROWS)
    assert metastore.locks == {}
