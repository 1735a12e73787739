"""OpenSearch, on the connection type of Airflow's own OpenSearch provider, with TLS on and verified."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseHook

from lakehouse_provider.hooks.extras import base_url, public_url, read_extras

if TYPE_CHECKING:
    from lakehouse.opensearch.client import OpenSearchClient

log = logging.getLogger(__name__)


class LakehouseOpenSearchHook(BaseHook):
    """The provider's own hook neither verifies TLS by default nor has a bulk that counts.

    Args:
        conn_id: connection of type `opensearch`; extras `ca_certs` (path of the authority's certificate), `use_ssl` and
            `verify_certs`, both true unless the connection says otherwise, and `dashboards_url`, where people's browsers find
            OpenSearch Dashboards.
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
        extras = read_extras(connection, ca_certs=None, use_ssl=True, verify_certs=True, dashboards_url=None)
        verify: bool | str = extras["ca_certs"] or True
        if not extras["use_ssl"] or not extras["verify_certs"]:
            log.warning("connection %s switches TLS or its verification off", self.conn_id)
            verify = False
        url = base_url(connection, "https" if extras["use_ssl"] else "http")
        auth = (connection.login, connection.password or "") if connection.login else None
        return OpenSearchClient("OpenSearch", url, auth=auth, verify=verify)

    def url_of_shipped(self, pattern: str, snapshot_id: int) -> str:
        """The page with the documents that came with a snapshot: in OpenSearch Dashboards where there is one, else its answer."""
        from lakehouse.opensearch.target import SNAPSHOT_FIELD

        connection = self.get_connection(self.conn_id)
        dashboards = str(connection.extra_dejson.get("dashboards_url") or "").rstrip("/")
        if dashboards:
            # Discover of OpenSearch Dashboards 2.10 and later; its index pattern has its own title as id.
            query = quote(f"""(filters:!(),query:(language:kuery,query:'{SNAPSHOT_FIELD}: "{snapshot_id}"'))""", safe="():,!'")
            state = f"(discover:(columns:!(_source)),metadata:(indexPattern:'{pattern}',view:discover))"
            return f"{dashboards}/app/data-explorer/discover#?_g=(time:(from:now-30d,to:now))&_a={state}&_q={query}"
        node = public_url(connection)
        return f"{node}/{pattern}/_search?size=50&q={quote(f'{SNAPSHOT_FIELD}:{snapshot_id}')}" if node else ""

    def test_connection(self) -> tuple[bool, str]:
        """Asks the node for its version."""
        try:
            return True, f"OpenSearch {self.client.version()}"
        except Exception as error:  # noqa: BLE001  # the form shows whatever it was
            return False, str(error)
