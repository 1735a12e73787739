"""Trino as the engine sees it: a cursor, and the quoting that every identifier and value passes which enters a statement."""

from __future__ import annotations

import math
from typing import Any, Protocol

from lakehouse.exceptions import ConfigurationError


class Cursor(Protocol):
    """The part of a DB-API cursor (PEP 249) that is used."""

    def execute(self, operation: str) -> Any:
        """Run a statement."""

    def fetchone(self) -> Any:
        """The next row."""

    def fetchall(self) -> Any:
        """The rows that are left."""

    @property
    def description(self) -> Any:
        """The columns of the last statement."""


def identifier(name: str) -> str:
    """A quoted identifier; quotes within it are doubled (SQL:2016, 5.2 <delimited identifier>)."""
    if not name or "\x00" in name:
        raise ConfigurationError(f"{name!r} cannot be a column or table name")
    return '"' + name.replace('"', '""') + '"'


def table(name: str) -> str:
    """A quoted `schema.table` or `catalog.schema.table`."""
    return ".".join(identifier(part) for part in name.split("."))


def literal(value: Any) -> str:
    """A literal of a string, number, boolean or null."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigurationError(f"{value} has no literal")
        # Without an exponent Trino reads a decimal, not a double.
        return repr(value) if "e" in repr(value) else f"{value!r}E0"
    text = str(value)
    if "\x00" in text:
        raise ConfigurationError("a value with a NUL character cannot be used in a statement")
    return "'" + text.replace("'", "''") + "'"
