"""Trino, through Airflow's own hook, with errors that say what a retry can heal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# What Trino itself says while it starts, stops or has no worker yet.
_PASSING = ("SERVER_STARTING_UP", "SERVER_SHUTTING_DOWN", "NO_NODES_AVAILABLE")


def trino_cursor(conn_id: str = "lakehouse_trino") -> Any:
    """A DB-API cursor on the connection's catalog.

    Its calls raise TransientError when Trino does not answer or is restarting; what Trino says of a statement stays Trino's own error.
    """
    from airflow.providers.trino.hooks.trino import TrinoHook

    hook = TrinoHook(conn_id)  # type: ignore[no-untyped-call]
    found = hook.get_connection(conn_id)
    return _Cursor(hook.get_conn().cursor(), f"Trino at {found.host}:{found.port}", conn_id)


class _Cursor:
    def __init__(self, cursor: Any, where: str, conn_id: str) -> None:
        self._cursor, self._where, self._conn_id = cursor, where, conn_id

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._cursor, name)
        return self._guarded(value) if name in ("execute", "fetchone", "fetchall", "fetchmany") else value

    def _guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        from requests import RequestException
        from trino.exceptions import Http502Error, Http503Error, Http504Error, TrinoConnectionError, TrinoQueryError

        from lakehouse.exceptions import TransientError

        def guarded(*arguments: Any, **options: Any) -> Any:
            try:
                answer = call(*arguments, **options)
            except (RequestException, TrinoConnectionError, Http502Error, Http503Error, Http504Error) as error:
                raise TransientError(
                    f"{self._where} does not answer: {error}: check that it runs, and connection {self._conn_id}"
                ) from error
            except TrinoQueryError as error:
                if error.error_name in _PASSING:
                    raise TransientError(f"{self._where} is not ready: {error.message}, connection {self._conn_id}") from error
                raise
            return self if answer is self._cursor else answer

        return guarded
