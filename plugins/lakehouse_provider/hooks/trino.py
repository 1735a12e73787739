"""Trino, through Airflow's own hook."""

from __future__ import annotations

from typing import Any


def trino_cursor(conn_id: str = "lakehouse_trino") -> Any:
    """A DB-API cursor on the connection's catalog."""
    from airflow.providers.trino.hooks.trino import TrinoHook

    return TrinoHook(conn_id).get_conn().cursor()  # type: ignore[no-untyped-call]
