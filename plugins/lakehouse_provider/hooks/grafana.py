"""Grafana: the connection type `grafana`, its client, and what its files need from other connections."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from lakehouse_provider.hooks.extras import base_url, public_url, read_extras
from lakehouse_provider.links import airflow_url

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from lakehouse.dashboards.grafana.client import GrafanaClient

_DEFAULTS = {"ca_certs": None, "alert_addresses": ""}


class GrafanaHook(BaseHook):
    """Grafana's HTTP API as a service account.

    Args:
        conn_id: connection of type `grafana`; host is the server's address, password the service account's token (or, with a login, that
            user's password); extras `public_url`, `ca_certs` and `alert_addresses`.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "lakehouse_grafana"
    conn_type = "grafana"
    hook_name = "Grafana"

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = conn_id

    def get_conn(self) -> GrafanaClient:
        """The client."""
        return self.client

    @cached_property
    def client(self) -> GrafanaClient:
        """The client, with the token in its headers."""
        from lakehouse.dashboards.grafana.client import GrafanaClient

        connection = self.get_connection(self.conn_id)
        verify = read_extras(connection, **_DEFAULTS)["ca_certs"] or True
        return GrafanaClient(
            base_url(connection, "https"),
            connection.password or "",
            user=connection.login or "",
            verify=verify,
            public_url=public_url(connection),
        )

    def check(self) -> str:
        """Which Grafana it is and who we are there, after the version, the token and its rights were proved.

        Raises:
            LakehouseError: one of them will not do.
        """
        self.client.require_version()
        # Only an admin may see all of it, and what cannot be seen would be taken for missing.
        self.client.request("GET", "/api/datasources")
        self.client.request("GET", "/api/v1/provisioning/policies")
        return f"Grafana {self.client.version}, as {self.client.login}"

    def test_connection(self) -> tuple[bool, str]:
        """As `check`, for the form."""
        try:
            return True, self.check()
        except Exception as error:  # noqa: BLE001  # the form shows whatever it was
            return False, str(error)


def variables(grafana: str, prometheus: str, opensearch: str, slack: str, superset: str) -> dict[str, str]:
    """What `${NAME}` stands for in Grafana's files, from the connections of these names; empty where there is no such connection."""
    airflow = airflow_url() or "http://localhost:8080"  # Airflow's own default
    said = dict.fromkeys(
        ("PROMETHEUS_URL", "OPENSEARCH_URL", "OPENSEARCH_USER", "OPENSEARCH_PASSWORD", "OPENSEARCH_CA", "SLACK_WEBHOOK_URL"), ""
    )
    said |= {
        "AIRFLOW_URL": airflow,
        "SUPERSET_URL": airflow,
        "ALERT_ADDRESSES": str(read_extras(BaseHook.get_connection(grafana), **_DEFAULTS)["alert_addresses"]),
    }
    if connection := _connection(superset):
        said["SUPERSET_URL"] = public_url(connection) or base_url(connection, "http")
    if connection := _connection(prometheus):
        said["PROMETHEUS_URL"] = base_url(connection, "http")
    if connection := _connection(opensearch):
        said |= {
            "OPENSEARCH_URL": base_url(connection, "https"),
            "OPENSEARCH_USER": connection.login or "",
            "OPENSEARCH_PASSWORD": connection.password or "",
        }
        # Grafana wants the certificates themselves; without one of our own, those that Python trusts.
        said["OPENSEARCH_CA"] = Path(connection.extra_dejson.get("ca_certs") or certifi.where()).read_text()
    if connection := _connection(slack):
        said["SLACK_WEBHOOK_URL"] = _webhook(connection)
    return said


def _connection(conn_id: str) -> Connection | None:
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None


def _webhook(connection: Connection) -> str:
    """The address of an incoming webhook, which Airflow's Slack provider takes whole as the password, or split in host and password."""
    token = connection.password or ""
    if "://" in token:
        return token
    root = base_url(connection, connection.schema or "https") if connection.host else ""
    return f"{root.rstrip('/')}/{token.lstrip('/')}" if root and token else ""
