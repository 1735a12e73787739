"""The Hive metastore as PyIceberg's catalog, with locks that hold and calls that end.

PyIceberg 0.12 takes the metastore's lock for a commit (iceberg-python #405, #701), but neither heartbeats it nor looks at it again: a
writer that sleeps longer than the lock lives wipes out what others were told is committed. A killed writer's lock blocks all others
(iceberg-python #3121, iceberg #2301), a frozen metastore hangs its clients for ever, and threads share one connection. Iceberg's Java
client heartbeats (iceberg #5036), checks before it alters (#6648) and tells its own locks by `agentInfo` (#6451); so does this one.

What cannot be closed with metastore 3.1.3: the millisecond between the check and the alter. Later ones compare and alter in one
transaction (HIVE-26882).
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Any
from urllib.parse import urlparse
from uuid import uuid4

import psutil
from hive_metastore.ThriftHiveMetastore import Client
from hive_metastore.ttypes import (
    CheckLockRequest,
    HeartbeatRequest,
    InvalidOperationException,
    LockRequest,
    LockResponse,
    LockState,
    MetaException,
    NoSuchLockException,
    ShowLocksRequest,
    UnlockRequest,
)
from pyiceberg.catalog import URI
from pyiceberg.catalog.hive import HIVE_KERBEROS_AUTH, HiveCatalog, _HiveClient
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException, ServerError
from pyiceberg.utils.properties import property_as_bool, property_as_float
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TProtocol import TProtocolException
from thrift.Thrift import TApplicationException
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport, TTransportException

from lakehouse.exceptions import ConfigurationError

log = logging.getLogger(__name__)

# Properties of ours, in seconds, and their defaults: how long a connection, an answer, the next heartbeat may take.
CONNECT_TIMEOUT, ANSWER_TIMEOUT, HEARTBEAT_INTERVAL = "hive.connect-timeout", "hive.answer-timeout", "hive.heartbeat-interval"
DEFAULTS = {CONNECT_TIMEOUT: 5.0, ANSWER_TIMEOUT: 60.0, HEARTBEAT_INTERVAL: 5.0}
# A lock whose holder is gone is left alone this long: the holder's last call may still be under way in the metastore.
_GRACE = 5.0
_OURS = "lakehouse"
# Tokens of the locks that this process holds or waits for; another lock of this process was left behind.
_live_tokens: set[str] = set()


class GuardedHiveCatalog(HiveCatalog):
    """A Hive catalog whose commits lose nothing, safe to share between threads.

    A dead or silent metastore raises `ConnectionError`, one with troubles of its own `ServerError`; a commit whose outcome it did not tell
    raises `CommitStateUnknownException`, and one that lost its lock `CommitFailedException`.
    """

    @staticmethod
    def _create_hive_client(properties: dict[str, str]) -> _HiveClient:
        if property_as_bool(properties, HIVE_KERBEROS_AUTH, False):  # noqa: FBT003  # PyIceberg's signature
            raise ConfigurationError(f"the Hive catalog cannot sign in by Kerberos: remove the property {HIVE_KERBEROS_AUTH}")
        seconds = {name: property_as_float(properties, name, default) or default for name, default in DEFAULTS.items()}
        return _Connections(properties[URI].split(",")[0], properties.get("ugi"), seconds)


class _Connections(threading.local, _HiveClient):
    """PyIceberg's helper, which opens a connection for each `with`, once per thread, and its errors in PyIceberg's terms."""

    def __init__(self, uri: str, ugi: str | None, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        super().__init__(uri, ugi)

    def _init_thrift_transport(self) -> TBufferedTransport:
        address = urlparse(self._uri)
        return TBufferedTransport(_TimedSocket(address.hostname, address.port, self._seconds))

    def _client(self) -> Client:
        client = _GuardedClient(TBinaryProtocol(self._transport), self, self._seconds[HEARTBEAT_INTERVAL])
        if self._ugi:
            client.set_ugi(*self._ugi)
        return client

    def __enter__(self) -> Client:
        try:
            return super().__enter__()
        except Exception as error:
            raise _translated(error, self._uri) from error

    def __exit__(self, exctype: type[BaseException] | None, excinst: BaseException | None, exctb: TracebackType | None) -> None:
        super().__exit__(exctype, excinst, exctb)
        if isinstance(excinst, Exception) and (translated := _translated(excinst, self._uri)) is not excinst:
            raise translated from excinst


class _TimedSocket(TSocket):
    """A socket that gives up; after an error it is closed, so that no later call takes a late answer for its own."""

    def __init__(self, host: str | None, port: int | None, seconds: dict[str, float]) -> None:
        super().__init__(host, port)
        self._seconds = seconds

    def open(self) -> None:
        self.setTimeout(self._seconds[CONNECT_TIMEOUT] * 1000)
        super().open()
        self.setTimeout(self._seconds[ANSWER_TIMEOUT] * 1000)

    def read(self, sz: int) -> Any:
        if self.handle is None:
            raise TTransportException(TTransportException.NOT_OPEN, "the connection was given up")
        try:
            return super().read(sz)
        except TTransportException:
            self.close()
            raise


class _GuardedClient(Client):
    """The calls of one connection; those around a commit's lock are guarded."""

    def __init__(self, protocol: TBinaryProtocol, connections: _Connections, heartbeat: float) -> None:
        super().__init__(protocol)
        self._connections = connections
        self._heartbeat_interval = heartbeat
        self._held: _HeldLock | None = None
        self._looked = 0.0
        self._stale_since: dict[int, float] = {}

    def lock(self, rqst: LockRequest) -> LockResponse:
        """Ask for the lock, under a name that tells whose it is, and keep it alive."""
        token = uuid4().hex[:8]
        rqst.agentInfo = "/".join((_OURS, socket.gethostname(), str(os.getpid()), str(_started(os.getpid())), token))
        _live_tokens.add(token)
        try:
            response: LockResponse = super().lock(rqst)
        except BaseException:
            _live_tokens.discard(token)
            raise
        table = rqst.component[0]
        self._held = _HeldLock(response.lockid, token, f"{table.dbname}.{table.tablename}", self._connections, self._heartbeat_interval)
        self._held.start()
        return response

    def check_lock(self, rqst: CheckLockRequest) -> LockResponse:
        """The lock's state; while it waits, the locks that dead processes of ours left in its way are released."""
        try:
            response: LockResponse = super().check_lock(rqst)
        except NoSuchLockException as error:
            raise CommitFailedException(f"the metastore took lock {rqst.lockid} away; nothing was committed") from error
        if response.state == LockState.WAITING and self._held is not None and time.monotonic() - self._looked > 1:
            self._looked = time.monotonic()
            self._release_stale(self._held.table)
        return response

    def alter_table_with_environment_context(self, dbname: str, tbl_name: str, new_tbl: Any, environment_context: Any) -> None:
        """Alter the table if its lock is still ours.

        Raises:
            CommitFailedException: it is not; nothing was committed.
            CommitStateUnknownException: the metastore did not tell what became of it.
        """
        if self._held is None:  # A rename takes no lock.
            super().alter_table_with_environment_context(dbname, tbl_name, new_tbl, environment_context)
            return
        if self.check_lock(CheckLockRequest(lockid=self._held.lock_id)).state != LockState.ACQUIRED:
            raise CommitFailedException(f"lock {self._held.lock_id} on {self._held.table} is no longer held; nothing was committed")
        try:
            super().alter_table_with_environment_context(dbname, tbl_name, new_tbl, environment_context)
        except InvalidOperationException:  # Refused, and rolled back.
            raise
        except Exception as error:
            unknown = f"the metastore did not tell whether it altered {self._held.table}: {_text(error)}"
            raise CommitStateUnknownException(unknown) from error

    def unlock(self, rqst: UnlockRequest) -> None:
        """Give the lock back. What was committed stays so if this fails: the next commit, or the metastore, releases the lock."""
        held, self._held = self._held, None
        if held is not None:
            held.let_go()
        try:
            super().unlock(rqst)
        except Exception as error:  # noqa: BLE001  # it must not hide the outcome of the commit
            log.warning("lock %s was not given back: %s", rqst.lockid, _text(error))

    def _release_stale(self, table: str) -> None:
        database, name = table.lower().split(".")
        for lock in self.show_locks(ShowLocksRequest(dbname=database, tablename=name)).locks or []:
            if not _is_stale(lock.agentInfo):
                continue
            since = self._stale_since.setdefault(lock.lockid, time.monotonic())
            if time.monotonic() - since >= _GRACE:
                log.warning("releasing lock %s on %s: its holder %s is gone", lock.lockid, table, lock.agentInfo)
                with suppress(NoSuchLockException):  # Someone else was quicker.
                    super().unlock(UnlockRequest(lockid=lock.lockid))


class _HeldLock(threading.Thread):
    """Heartbeats a lock over connections of its own until it is let go; short commits never open one."""

    def __init__(self, lock_id: int, token: str, table: str, connections: _Connections, interval: float) -> None:
        super().__init__(name=f"hive-lock-{lock_id}", daemon=True)
        self.lock_id, self.table = lock_id, table
        self._token, self._connections, self._interval = token, connections, interval
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(self._interval):
            try:
                with self._connections as client:
                    client.heartbeat(HeartbeatRequest(lockid=self.lock_id))
            except NoSuchLockException:
                return  # The check before the alter will say so.
            except (OSError, ServerError) as error:
                log.warning("no heartbeat of lock %s on %s: %s", self.lock_id, self.table, error)

    def let_go(self) -> None:
        """Stop, without waiting for a heartbeat that is under way."""
        self._done.set()
        _live_tokens.discard(self._token)


def _is_stale(agent_info: str | None) -> bool:
    """Whether the lock is one of ours, and its process has ended or forgotten it."""
    match (agent_info or "").split("/"):
        case [ours, host, pid, started, token] if (ours, host) == (_OURS, socket.gethostname()):
            now = _started(int(pid))
            # The kernel's own idea of when it booted, from which the time is computed, may move by a second.
            alive = now is not None and abs(now - int(started)) <= 2
            return not alive or (int(pid) == os.getpid() and token not in _live_tokens)
    return False


def _started(pid: int) -> int | None:
    """When a process started, in seconds since 1970; None when it has ended."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time())
    except psutil.NoSuchProcess:
        return None


def _translated(error: Exception, uri: str) -> Exception:
    """The error as callers of other catalogs know it; itself when it is no error of the connection or the server."""
    if isinstance(error, (TTransportException, TProtocolException, EOFError)):
        return ConnectionError(f"Hive metastore at {uri}: {_text(error)}")
    if isinstance(error, (MetaException, TApplicationException)):
        return ServerError(f"Hive metastore at {uri}: {_text(error)}")
    return error


def _text(error: Exception) -> str:
    inner = getattr(error, "inner", None)
    return f"{getattr(error, 'message', None) or error}" + (f" ({inner})" if inner else "")
