"""OpenSearch, on the connection type of Airflow's own OpenSearch provider, with TLS on and verified."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from lakehouse_provider.hooks.extras import base_url, read_extras

if TYPE_CHECKING:
    from lakehouse.opensearch.client import OpenSearchClient

log = logging.getLogger(__name__)


class LakehouseOpenSearchHook(BaseHook):
    """The provider's own hook neither verifies TLS by default nor has a bulk that counts.

    Args:
        conn_id: connection of type `opensearch`; extras `ca_certs` (path of the authority's certificate), `use_ssl` and
            `verify_certs`, both true unless the connection says otherwise.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "lakehouse_opensearch"
    conn_type = "opensearch"
    hook_name = "OpenSearch"

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = conn_id

    def get_conn(self) -> OpenSearchClient:
        """The client."""
        return self.client

    @cached_property
    def client(self) -> OpenSearchClient:
        """The client, opened once."""
        from lakehouse.opensearch.client import OpenSearchClient

        connection = self.get_connection(self.conn_id)
        extras = read_extras(connection, ca_certs=None, use_ssl=True, verify_certs=True)
        verify: bool | str = extras["ca_certs"] or True
        if not extras["use_ssl"] or not extras["verify_certs"]:
            log.warning("connection %s switches TLS or its verification off", self.conn_id)
            verify = False
        url = base_url(connection, "https" if extras["use_ssl"] else "http")
        auth = (connection.login, connection.password or "") if connection.login else None
        return OpenSearchClient("OpenSearch", url, auth=auth, verify=verify)

    def test_connection(self) -> tuple[bool, str]:
        """Asks the node for its version."""
        try:
            return True, f"OpenSearch {self.client.version()}"
        except Exception as error:  # noqa: BLE001  # the form shows whatever it was
            return False, str(error)
