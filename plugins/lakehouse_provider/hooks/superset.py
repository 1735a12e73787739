"""Superset: the connection type `superset` and its client."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from lakehouse_provider.hooks.extras import base_url, public_url, read_extras

if TYPE_CHECKING:
    from lakehouse.dashboards.superset.client import SupersetClient


class SupersetHook(BaseHook):
    """A signed-in session with Superset's REST API.

    Args:
        conn_id: connection of type `superset`; host is the server's address, login and password those of a database user; extras
            `public_url` (what browsers reach) and `ca_certs`.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "lakehouse_superset"
    conn_type = "superset"
    hook_name = "Superset"

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = conn_id

    def get_conn(self) -> SupersetClient:
        """The client."""
        return self.client

    @cached_property
    def client(self) -> SupersetClient:
        """The client; it signs in at its first call."""
        from lakehouse.dashboards.superset.client import SupersetClient

        connection = self.get_connection(self.conn_id)
        verify = read_extras(connection, ca_certs=None)["ca_certs"] or True
        url = base_url(connection, "http")
        return SupersetClient(url, connection.login or "", connection.password or "", verify=verify, public_url=public_url(connection))

    def test_connection(self) -> tuple[bool, str]:
        """Signs in."""
        try:
            return True, f"signed in as {self.client.me()}"
        except Exception as error:  # noqa: BLE001  # the form shows whatever it was
            return False, str(error)
