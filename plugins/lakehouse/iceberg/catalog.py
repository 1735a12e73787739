"""The catalog of a lakehouse, as PyIceberg speaks to it."""

from __future__ import annotations

from typing import Any

from pyiceberg.catalog import Catalog, load_catalog  # noqa: TID251  # the one place
from pyiceberg.catalog.rest import RestCatalog
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

# PyIceberg's REST client waits for ever on a server that accepts a connection and never answers (seconds: connect, read).
TIMEOUT = (5, 60)


def open_catalog(name: str, **properties: Any) -> Catalog:
    """A PyIceberg catalog with a time limit on every call, the first one included.

    Args:
        name: what the catalog is called in every engine, such as `hive_prod`.
        properties: PyIceberg's own properties (`uri`, `warehouse`, `credential`, `s3.endpoint`, …).
    """
    # Without a type PyIceberg takes its own classes, by the address: those that hang, and lose rows.
    kind = properties.get("type") or ("hive" if str(properties.get("uri", "")).startswith("thrift:") else "rest")
    if kind == "hive":
        from lakehouse.iceberg.hive import GuardedHiveCatalog

        return GuardedHiveCatalog(name, **properties)
    return _TimedRestCatalog(name, **properties) if kind == "rest" else load_catalog(name, **properties)


class _TimedRestCatalog(RestCatalog):
    """A REST catalog whose sessions give up; they ask for a token and the server's settings as soon as they are made."""

    def _config_headers(self, session: Session) -> None:
        super()._config_headers(session)
        for prefix in ("http://", "https://"):
            session.mount(prefix, _TimedAdapter())


class _TimedAdapter(HTTPAdapter):
    def send(self, request: PreparedRequest, **options: Any) -> Response:  # type: ignore[override]  # options are passed on as they come
        options["timeout"] = options.get("timeout") or TIMEOUT
        return super().send(request, **options)
