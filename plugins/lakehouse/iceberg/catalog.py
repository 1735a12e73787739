"""The catalog of a lakehouse, as PyIceberg speaks to it."""

from __future__ import annotations

from typing import Any

import requests
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.rest import RestCatalog

# PyIceberg's REST client waits for ever on a server that accepts a connection and never answers (seconds: connect, read).
TIMEOUT = (5, 60)


def open_catalog(name: str, **properties: Any) -> Catalog:
    """A PyIceberg catalog with a time limit on every call.

    Args:
        name: what the catalog is called in every engine, such as `hive_prod`.
        properties: PyIceberg's own properties (`uri`, `warehouse`, `credential`, `s3.endpoint`, …).
    """
    if properties.get("type") == "hive":
        from lakehouse.iceberg.hive import GuardedHiveCatalog

        return GuardedHiveCatalog(name, **properties)
    catalog = load_catalog(name, **properties)
    if isinstance(catalog, RestCatalog):
        for prefix in ("http://", "https://"):
            adapter = catalog._session.get_adapter(prefix)
            catalog._session.mount(prefix, _with_timeout(adapter))
    return catalog


def _with_timeout(adapter: requests.adapters.BaseAdapter) -> requests.adapters.BaseAdapter:
    send = adapter.send

    def send_in_time(*args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or TIMEOUT
        return send(*args, **kwargs)

    adapter.send = send_in_time  # type: ignore[method-assign]
    return adapter
