"""Keys and types of an object, held against Superset's own import schemas."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from lakehouse.dashboards.findings import Finding
from lakehouse.dashboards.superset.bundle import Document
from lakehouse.dashboards.superset.import_schemas import SCHEMAS, TEXT_TOO

# What marshmallow's `Boolean` takes besides true and false.
_BOOLEANS = {"t", "true", "y", "yes", "on", "1", "f", "false", "n", "no", "off", "0"}
_PLAIN = {"str": str, "dict": dict}


def check_keys(document: Document, *, opened: bool) -> Iterator[Finding]:
    """Unknown keys, missing keys, and values that the import refuses.

    Args:
        opened: `query_context` may be a mapping, because whoever imports the file makes text of it.
    """
    if document.kind in SCHEMAS:
        yield from _mapping(document, document.kind, document.data, (), opened=opened)


def _mapping(document: Document, schema: str, values: dict[str, Any], place: tuple[Any, ...], *, opened: bool) -> Iterator[Finding]:
    fields = SCHEMAS[schema]
    for key in values:
        if key not in fields:
            message = f"`{key}` is no key of {_called(schema)}: Superset 6.1 refuses the import (Unknown field)"
            yield document.finding("unknown-key", message, *place, key)
    for key, kind in fields.items():
        if key not in values:
            if kind.rstrip("?").endswith("*"):
                yield document.finding("missing-key", f"{_called(schema)} needs `{key}`", *place)
            continue
        value = values[key]
        if value is None:
            if not kind.endswith("?"):
                yield document.finding("wrong-type", f"`{key}` may be left out, but not be null", *place, key)
            continue
        kind = kind.rstrip("?*")
        if (schema, key) in TEXT_TOO and isinstance(value, str):
            continue
        if key == "query_context" and opened and isinstance(value, dict):
            continue
        if kind in SCHEMAS and isinstance(value, dict):
            yield from _mapping(document, kind, value, (*place, key), opened=opened)
        elif kind.startswith("[") and isinstance(value, list):
            yield from _list(document, kind[1:-1], value, (*place, key), opened=opened)
        elif wrong := _wrong(kind, value):
            rule = "uuid" if kind == "uuid" else "wrong-type"
            yield document.finding(rule, f"`{key}` is {_short(value)}: {wrong}", *place, key)


def _list(document: Document, kind: str, values: list[Any], place: tuple[Any, ...], *, opened: bool) -> Iterator[Finding]:
    for i, value in enumerate(values):
        if kind in SCHEMAS and isinstance(value, dict):
            yield from _mapping(document, kind, value, (*place, i), opened=opened)
        elif kind in SCHEMAS or not isinstance(value, str):
            wanted = "a mapping" if kind in SCHEMAS else "text"
            yield document.finding("wrong-type", f"entry {i + 1} of `{place[-1]}` is {_short(value)}: {wanted} is wanted", *place, i)


def _wrong(kind: str, value: Any) -> str:
    """What the import would say against a value that is not null; nothing when it takes it."""
    if kind in _PLAIN:
        return (
            "" if isinstance(value, _PLAIN[kind]) else "text is wanted, so put quotes around it" if kind == "str" else "a mapping is wanted"
        )
    if kind == "bool":
        return "" if isinstance(value, bool) or str(value).lower() in _BOOLEANS else "true or false is wanted"
    if kind == "int":
        return "" if _is_number(value) else "a whole number is wanted"
    if kind == "uuid":
        return "" if is_uuid(value) else "a UUID is wanted"
    if kind == "json":
        return _wrong_json(value)
    return "" if kind == "any" else "a list is wanted" if kind.startswith("[") else "a mapping is wanted"


def _wrong_json(value: Any) -> str:
    if not isinstance(value, str):
        return "JSON as text is wanted"
    try:
        json.loads(value)
    except ValueError as error:
        return f"it is not JSON: {error}"
    except RecursionError:
        return "it is nested too deep"
    return ""


def is_uuid(value: Any) -> bool:
    """Whether Superset reads it as a UUID."""
    try:
        uuid.UUID(str(value))
    except ValueError:
        return False
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    try:
        int(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _called(schema: str) -> str:
    return {"extra": "a database's `extra`", "ssh_tunnel": "an `ssh_tunnel`", "queries": "a query"}.get(schema, f"a {schema.rstrip('s')}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
