"""JSON objects in columns of text, opened into a document's fields as far as an index can take them.

An object is opened when it has at most 8,000 characters, 50 keys (all levels together) and 5 levels, no key that is empty or has a
blank part between dots, no two keys that an index reads as one path or as a path below a value (`a` and `a.b`), and plain values for
the fields that the template maps to plain types. Anything else (no JSON, no object, a lone surrogate, NaN) is kept as text, whole up
to the same 8,000 characters.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import orjson

MAX_CHARACTERS = 8_000
MAX_KEYS = 50
MAX_DEPTH = 5
_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
_PLAIN = frozenset((str, int, float, bool, type(None)))
# orjson reads an integer of more than 64 bits as a float, and its digits would be lost.
_LONG_NUMBER = re.compile(r"\d{19}")


def open_object(text: str | None, leaves: frozenset[str] = frozenset()) -> dict[str, Any] | None:
    """The object, or None where it must stay text.

    Args:
        leaves: keys that the index maps to a plain type, such as keyword.
    """
    if text is None or len(text) > MAX_CHARACTERS:
        return None
    try:
        fields = orjson.loads(text)
        if type(fields) is not dict or len(fields) > MAX_KEYS:
            return None
        # Nearly every line is like this, and every step here is paid a million times.
        flat = _PLAIN.issuperset(map(type, fields.values())) and "." not in "".join(fields) and "" not in fields
        if flat and not any(type(value) is float and abs(value) >= 2**63 for value in fields.values()):
            return fields
        if _LONG_NUMBER.search(text):
            fields = json.loads(text)
        return fields if _fits(fields, leaves) else None
    except (ValueError, RecursionError):
        return None


def dump(value: Any) -> str:
    """JSON text on one line; times in ISO 8601 (UTC), bytes in base64, numbers that are not finite as null."""
    try:
        return orjson.dumps(value, default=_plain, option=_OPTIONS).decode()
    except orjson.JSONEncodeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))  # integers of more than 64 bits


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return orjson.Fragment(str(value)) if isinstance(value, Decimal) and value.is_finite() else str(value)


def _fits(fields: dict[str, Any], leaves: frozenset[str] = frozenset(), depth: int = MAX_DEPTH) -> bool:
    if _count_keys(fields) > MAX_KEYS:
        return False
    paths: list[tuple[str, ...]] = []
    for path, value in _walk(fields, ()):
        if "" in path or _is_deeper(value, depth - len(path)):
            return False
        if path[0] in leaves and (len(path) > 1 or not _is_plain(value)):
            return False
        # An index reads the objects of a list one by one, each under the list's path.
        if isinstance(value, list) and not all(_fits(one, depth=depth - len(path)) for one in value if isinstance(one, dict)):
            return False
        paths.append(path)
    paths.sort()
    return all(later[: len(earlier)] != earlier for earlier, later in pairwise(paths))


def _walk(value: dict[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value that is not an object with keys, with its path as an index reads it: a dot in a key begins another level."""
    for key, below in value.items():
        # Of a key with dots an index takes no part that is blank.
        path = (*above, *(part if part.strip() else "" for part in key.split("."))) if "." in key else (*above, key)
        if isinstance(below, dict) and below and len(path) <= MAX_DEPTH:
            yield from _walk(below, path)
        else:
            yield path, below


def _inner(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether there are more levels of objects and lists than that."""
    return levels < 0 or any(_is_deeper(one, levels - 1) for one in _inner(value))


def _count_keys(value: Any) -> int:
    return (len(value) if isinstance(value, dict) else 0) + sum(_count_keys(one) for one in _inner(value))


def _is_plain(value: Any) -> bool:
    return type(value) in _PLAIN or (isinstance(value, list) and _PLAIN.issuperset(map(type, value)))
