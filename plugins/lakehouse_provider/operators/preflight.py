"""Is a service there, does it take our credentials, and do they reach no further than they should?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSkipException

from lakehouse.exceptions import ConfigurationError, ServiceError, TransientError, VerificationError
from lakehouse_provider.hooks.catalog import LakehouseCatalogHook, told
from lakehouse_provider.hooks.extras import base_url, public_url
from lakehouse_provider.hooks.grafana import GrafanaHook
from lakehouse_provider.hooks.object_store import ObjectStoreHook
from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook
from lakehouse_provider.hooks.superset import SupersetHook
from lakehouse_provider.hooks.trino import trino_cursor
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from lakehouse.http import HttpClient

PROBE_TABLE = "preflight_db.probe"
PROBE_ROWS = 3


class PreflightOperator(LakehouseOperator):
    """Checks one service; the error names the service, the reason and what to do.

    Args:
        service: object_store, catalog, trino, opensearch, superset, grafana, prometheus or ops_database.
        conn_id: the service's connection, where its page is linked from.
        optional: the installation may do without the service; the task is skipped when there is no such connection.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, service: str, conn_id: str, optional: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.service, self.conn_id, self.optional = service, conn_id, optional

    def execute(self, context: Context) -> str:
        """Returns one line about what was found."""
        try:
            connection = BaseHook.get_connection(self.conn_id)
        except AirflowNotFoundException:
            if self.optional:
                raise AirflowSkipException(f"there is no connection {self.conn_id}, so {self.service} is not used here") from None
            raise
        found = CHECKS[self.service]()
        self.log.info("%s: %s", self.service, found)
        self.show_result(context, public_url(connection))
        return found


def _object_store() -> str:

    store = ObjectStoreHook().store
    key, body = "preflight/probe", b"probe"
    store.put(key, body)
    if store.read(key) != body:
        raise VerificationError(f"s3://{store.bucket}/{key} reads back differently")
    readonly = ObjectStoreHook("lakehouse_s3_readonly").store
    try:
        readonly.put("preflight/must-not-be", body)
    except ServiceError as error:
        if error.status != 403:
            raise
    else:
        raise ConfigurationError("lakehouse_s3_readonly can write: give it a read-only identity")
    store.delete(key)
    return f"s3://{store.bucket} at {store.endpoint_url}: write, read and delete work; the read-only key cannot write"


def _catalog() -> str:
    """Leaves the probe table behind for Trino and Spark."""
    import pyarrow as pa
    from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError

    hook = LakehouseCatalogHook()
    with told(hook.get_connection(hook.conn_id)):
        catalog = hook.catalog
        namespaces = len(catalog.list_namespaces())
    with suppress(NamespaceAlreadyExistsError):
        catalog.create_namespace(PROBE_TABLE.split(".")[0])
    with suppress(NoSuchTableError):
        catalog.drop_table(PROBE_TABLE)
    rows = pa.table({"number": pa.array(range(PROBE_ROWS), pa.int64())})
    catalog.create_table(PROBE_TABLE, schema=rows.schema).append(rows)
    return f"{namespaces} namespaces; {PROBE_TABLE} made with {PROBE_ROWS} rows by PyIceberg"


def _trino() -> str:
    from trino.exceptions import Error as TrinoError
    from trino.exceptions import TrinoUserError

    connection = BaseHook.get_connection("lakehouse_trino")
    where = f"Trino at {connection.host}:{connection.port}"
    try:
        cursor = trino_cursor()
        version, rows = cursor.execute(f"SELECT node_version, (SELECT count(*) FROM {PROBE_TABLE}) FROM system.runtime.nodes").fetchone()  # noqa: S608
    except TrinoUserError as error:
        raise ServiceError(f"{where} refused the query: {error.message}: check catalog and rights of connection lakehouse_trino") from error
    except TrinoError as error:
        raise TransientError(f"{where} does not answer: {error}: check that it runs, and connection lakehouse_trino") from error
    if rows != PROBE_ROWS:
        raise VerificationError(f"{where} counts {rows} rows in {PROBE_TABLE}, PyIceberg wrote {PROBE_ROWS}: both must use one catalog")
    return f"Trino {version} sees the {rows} rows that PyIceberg wrote"


def _opensearch() -> str:

    client = LakehouseOpenSearchHook().client
    version = client.version()
    refused = client.request("PUT", "/not-ours", accept=(403,))
    if refused.status_code != 403:
        raise ConfigurationError("lakehouse_opensearch may make indices other than logs-*: limit its role")
    LakehouseOpenSearchHook("lakehouse_opensearch_admin").client.request("GET", "/_cat/templates?format=json")
    return f"OpenSearch {version} over verified TLS; the shipper is limited to logs-*"


def _superset() -> str:
    from lakehouse_provider.operators.superset import VIEWERS

    admin = SupersetHook().client
    admin.require_version()
    # Their roles are empty until the first sync: more than the password cannot be asked of them.
    others = ", ".join(SupersetHook(conn_id).client.log_in() for conn_id in VIEWERS.values())
    return f"Superset {admin.version()}; signed in as {admin.me()}; the passwords of {others} are right"


def _grafana() -> str:
    return GrafanaHook().check()


def _prometheus() -> str:
    from lakehouse.http import HttpClient

    client = HttpClient("Prometheus", base_url(BaseHook.get_connection("lakehouse_prometheus"), "http"))
    version = client.request("GET", "/api/v1/status/buildinfo").json()["data"]["version"]
    targets = client.request("GET", "/api/v1/targets").json()["data"]["activeTargets"]
    down = sorted(target["labels"]["job"] for target in targets if target["health"] == "down")
    said = f"Prometheus {version}, {len(targets)} targets" + (f"; not answering: {', '.join(down)}" if down else "")
    return f"{said}; {_alert_path(client)}"


def _alert_path(prometheus: HttpClient) -> str:
    """Whether alerts come through, by the one that always fires: Prometheus evaluates it, and each of its Alertmanagers must have it."""
    from lakehouse.http import HttpClient

    alerts = prometheus.request("GET", "/api/v1/alerts").json()["data"]["alerts"]
    if not any(alert["labels"].get("alertname") == "Watchdog" and alert["state"] == "firing" for alert in alerts):
        return "alerts reach nobody: its rule Watchdog does not fire, so the rules of include/prometheus are not loaded"
    managers = prometheus.request("GET", "/api/v1/alertmanagers").json()["data"]["activeAlertmanagers"]
    if not managers:
        return "alerts reach nobody: it has no Alertmanager"
    for manager in managers:
        try:
            there = HttpClient("Alertmanager", manager["url"]).request("GET", "?filter=alertname%3D%22Watchdog%22").json()
        except (TransientError, ServiceError) as error:
            return f"alerts reach nobody: {error}"
        if not there:
            return f"alerts reach nobody: Watchdog is not at {manager['url']}; it comes within a minute of a start"
    return "alerts come through"


def _ops_database() -> str:
    from lakehouse_provider.hooks.incidents import IncidentsHook

    with IncidentsHook().store() as store:
        return f"PostgreSQL has the incidents: {len(store.open())} open"


CHECKS: dict[str, Callable[[], str]] = {
    "object_store": _object_store,
    "catalog": _catalog,
    "trino": _trino,
    "opensearch": _opensearch,
    "superset": _superset,
    "grafana": _grafana,
    "prometheus": _prometheus,
    "ops_database": _ops_database,
}
