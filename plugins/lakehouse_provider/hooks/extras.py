"""Extras of a connection, read by name; an unknown one is refused, because a misspelt option would silently not apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakehouse.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection


def read_extras(connection: Connection, **defaults: Any) -> dict[str, Any]:
    """The extras named in `defaults`, with those defaults where the connection is silent.

    Raises:
        ConfigurationError: the connection has an extra of another name.
    """
    extras = connection.extra_dejson
    known = {*defaults, "public_url"}
    if unknown := sorted(extras.keys() - known):
        raise ConfigurationError(f"connection {connection.conn_id}: unknown extras {unknown}; known are {sorted(known)}")
    return {name: extras.get(name, default) for name, default in defaults.items()}


def public_url(connection: Connection) -> str:
    """The address that people's browsers reach, from the extra `public_url`, without a slash at the end; "" when there is none."""
    return str(connection.extra_dejson.get("public_url", "")).rstrip("/")


def base_url(connection: Connection, default_scheme: str) -> str:
    """`scheme://host:port` of a connection whose host may carry the scheme."""
    host = connection.host or ""
    if "://" not in host:
        host = f"{default_scheme}://{host}"
    return f"{host}:{connection.port}" if connection.port else host
