"""Grafana: the connection type `grafana` and its client."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from lakehouse_provider.hooks.extras import base_url, read_extras

if TYPE_CHECKING:
    from lakehouse.http import HttpClient


class GrafanaHook(BaseHook):
    """Grafana's HTTP API as a service account.

    Args:
        conn_id: connection of type `grafana`; host is the server's address, password the service account's token; extras
            `public_url` and `ca_certs`.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "lakehouse_grafana"
    conn_type = "grafana"
    hook_name = "Grafana"

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = conn_id

    def get_conn(self) -> HttpClient:
        """The client."""
        return self.client

    @cached_property
    def client(self) -> HttpClient:
        """The client, with the token in its headers."""
        from lakehouse.http import HttpClient

        connection = self.get_connection(self.conn_id)
        verify = read_extras(connection, ca_certs=None)["ca_certs"] or True
        client = HttpClient("Grafana", base_url(connection, "https"), verify=verify)
        client.session.headers["Authorization"] = f"Bearer {connection.password}"
        return client

    def test_connection(self) -> tuple[bool, str]:
        """Asks for the server's version and the token's organisation."""
        try:
            version = self.client.request("GET", "/api/health").json()["version"]
            organisation = self.client.request("GET", "/api/org").json()["name"]
        except Exception as error:  # noqa: BLE001  # the form shows whatever it was
            return False, str(error)
        return True, f"Grafana {version}, organisation {organisation}"
