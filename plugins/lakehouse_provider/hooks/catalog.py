"""The Iceberg catalog, on the connection type of Airflow's own Iceberg provider."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from lakehouse.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from pyiceberg.catalog import Catalog


class LakehouseCatalogHook(BaseHook):
    """A PyIceberg catalog with time limits, whose object store is that of an S3 connection.

    Args:
        conn_id: connection of type `iceberg`; its extra `catalog_name` is the name in every engine.
        s3_conn_id: connection of type `aws` with the extra `endpoint_url`.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "lakehouse_catalog"
    conn_type = "iceberg"
    hook_name = "Iceberg"

    def __init__(self, conn_id: str = default_conn_name, s3_conn_id: str = "lakehouse_s3") -> None:
        super().__init__()
        self.conn_id = conn_id
        self.s3_conn_id = s3_conn_id

    def get_conn(self) -> Catalog:
        """The PyIceberg catalog."""
        return self.catalog

    @cached_property
    def catalog(self) -> Catalog:
        """The PyIceberg catalog, opened once.

        Raises:
            TransientError: it does not answer.
            ServiceError: it refuses the connection's credentials.
        """
        from lakehouse.iceberg.catalog import open_catalog

        connection = self.get_connection(self.conn_id)
        store = self.get_connection(self.s3_conn_id)
        # What is left of the extras are PyIceberg's own properties.
        extras = dict(connection.extra_dejson)
        extras.pop("public_url", None)
        name = extras.pop("catalog_name", "hive_prod")
        if extras.get("type", "rest") == "rest" and connection.login:
            extras["credential"] = f"{connection.login}:{connection.password}"
        properties = extras | {
            "s3.endpoint": _endpoint(store),
            "s3.region": store.extra_dejson.get("region_name", "us-east-1"),
            "s3.access-key-id": store.login,
            "s3.secret-access-key": store.password,
            "s3.path-style-access": "true",
        }
        with told(connection):
            return open_catalog(name, uri=connection.host, **properties)

    def test_connection(self) -> tuple[bool, str]:
        """Lists the namespaces."""
        try:
            return True, f"{len(self.catalog.list_namespaces())} namespaces"
        except Exception as error:  # noqa: BLE001  # the form shows whatever it was
            return False, str(error)


@contextmanager
def told(connection: Connection) -> Iterator[None]:
    """PyIceberg's errors as ours, with the catalog's address and connection; not for commits, whose outcome may be unknown.

    Raises:
        TransientError: the catalog does not answer, or is not well.
        ServiceError: it refuses the connection's credentials or the call, or its certificate is not trusted.
    """
    import requests
    from pyiceberg.exceptions import RESTError, ServerError, ServiceUnavailableError, TooManyRequestsError

    from lakehouse.exceptions import ServiceError, TransientError

    where = f"the Iceberg catalog at {connection.host}"
    try:
        yield
    except (ServerError, ServiceUnavailableError, TooManyRequestsError) as error:
        raise TransientError(f"{where} is not well: {error}: look at its log") from error
    except RESTError as error:
        raise ServiceError(f"{where} refuses: {error}: mend connection {connection.conn_id}", target=where) from error
    except requests.exceptions.SSLError as error:
        raise ServiceError(
            f"{where} has a certificate that is not trusted: {error}: mend that, or the authorities", target=where
        ) from error
    except OSError as error:
        raise TransientError(f"{where} does not answer: {error}: is it running? Connection {connection.conn_id}") from error


def _endpoint(store: Connection) -> str:
    endpoint = store.extra_dejson.get("endpoint_url")
    if not endpoint:
        raise ConfigurationError(f"connection {store.conn_id} has no extra `endpoint_url`: the client would go to the real AWS")
    return str(endpoint)
