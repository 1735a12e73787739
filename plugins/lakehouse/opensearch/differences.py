"""Objects of OpenSearch as they were sent and as the server gives them back, brought to one form and compared field by field.

The server nests settings and turns numbers into text, and adds fields of its own: those named here are no difference, any other is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Flat = dict[str, str]

_ABSENT, _LISTED = "absent", "listed"
_MAX_TEXT = 200
_OF_THE_SECURITY_PLUGIN = {"hash", "reserved", "hidden", "static"}
_OF_ISM = {"policy_id", "last_updated_time", "schema_version", "user"}
_EMPTY = {"", "[]", "{}", "null"}


def differences(wanted: Flat, live: Flat) -> tuple[str, ...]:
    """The fields that differ, each as `field: live -> wanted`."""
    paths = sorted(path for path in wanted.keys() | live.keys() if wanted.get(path) != live.get(path))
    return tuple(f"{path}: {_short(live.get(path, _ABSENT))} -> {_short(wanted.get(path, _ABSENT))}" for path in paths)


def index_template(body: Mapping[str, Any]) -> Flat:
    """A composable template; settings are known with and without `index.`."""
    prefix, found = "template.settings.", {}
    for path, text in _flat(body).items():
        rest = path.removeprefix(prefix)
        nested = path.startswith(prefix) and not rest.startswith("index.")
        found[f"{prefix}index.{rest}" if nested else path] = text
    return _without(found, lambda text: text in _EMPTY)


def ism_policy(body: Mapping[str, Any]) -> Flat:
    """A policy; empty objects count, because `{"delete": {}}` is an action."""
    policy = {key: value for key, value in body["policy"].items() if key not in _OF_ISM}
    templates = policy.get("ism_template") or []
    templates = [templates] if isinstance(templates, Mapping) else templates
    policy["ism_template"] = [{key: value for key, value in one.items() if key not in _OF_ISM} for one in templates]
    return _without(_flat(policy), lambda text: text == "null")


def security_object(body: Mapping[str, Any]) -> Flat:
    """A role, a mapping or a user; a missing list and an empty one are the same, and lists have no order."""
    plain = {key: value for key, value in body.items() if key not in _OF_THE_SECURITY_PLUGIN}
    return _without(_flat(_opened(plain)), lambda text: text in _EMPTY)


def _opened(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _query(inner) if key == "dls" else _opened(inner) for key, inner in value.items()}
    if isinstance(value, list):
        nested = any(isinstance(inner, Mapping) for inner in value)
        return [_opened(inner) for inner in value] if nested else dict.fromkeys(map(_text, value), _LISTED)
    return value


def _query(text: Any) -> Any:
    """Document-level security is JSON in text: spaces and the order of keys are no difference."""
    try:
        return f"query {json.dumps(json.loads(text), sort_keys=True)}"
    except (TypeError, ValueError):  # None, or somebody's text that is no JSON: a difference by itself
        return text


def _flat(value: Any, path: str = "") -> Flat:
    if isinstance(value, Mapping) and value:
        parts = [_flat(inner, f"{path}.{key}" if path else str(key)) for key, inner in value.items()]
    elif isinstance(value, list) and any(isinstance(inner, Mapping) for inner in value):
        parts = [_flat(inner, f"{path}[{number}]") for number, inner in enumerate(value)]
    else:
        return {path: _text(value)}
    return {place: text for part in parts for place, text in part.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"[{', '.join(map(_text, value))}]" if isinstance(value, list) else json.dumps(value)


def _without(found: Flat, unimportant: Callable[[str], bool]) -> Flat:
    return {path: text for path, text in found.items() if not unimportant(text)}


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"
