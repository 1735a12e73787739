"""What would change: the desired objects against the live ones, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MAX_FIELDS = 20
# Stored as they were sent: a key that a file no longer has is a difference here, elsewhere it may be the server's own.
_EXACT = ("params", "query_context")


@dataclass(frozen=True)
class Change:
    """One object of the plan: `action` is create, change or unchanged; `fields` are the paths that differ."""

    kind: str
    name: str
    uuid: str
    action: str
    fields: tuple[str, ...] = ()


def plan(desired: Mapping[str, Mapping[str, Any]], live: Mapping[str, Mapping[str, Any]]) -> list[Change]:
    """Compare objects by file path, such as `charts/last_price.yaml`, each side's documents matched by their UUID.

    A live object may say more than its file: what the server adds (defaults, ids) is no difference.
    """
    by_uuid = {document.get("uuid"): document for document in live.values()}
    changes = []
    for path, document in sorted(desired.items()):
        kind, uuid = path.split("/")[0], str(document["uuid"])
        name = str(
            document.get("dashboard_title") or document.get("slice_name") or document.get("table_name") or document.get("database_name")
        )
        old = by_uuid.get(uuid)
        if old is None:
            changes.append(Change(kind, name, uuid, "create"))
            continue
        fields = tuple(_differences(document, old))
        changes.append(Change(kind, name, uuid, "change" if fields else "unchanged", fields[:_MAX_FIELDS]))
    return changes


def to_markdown(changes: list[Change]) -> str:
    """The plan as a table for people."""
    rows = ["| kind | name | action | fields |", "| --- | --- | --- | --- |"]
    rows += [f"| {c.kind} | {_cell(c.name)} | {c.action} | {_cell(', '.join(c.fields))} |" for c in changes]
    return "\n".join(rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _differences(desired: Any, live: Any, path: str = "") -> list[str]:
    """Paths at which the live value does not have what is desired."""
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        found = []
        for key, value in desired.items():
            found += _differences(value, live.get(key), f"{path}.{key}" if path else str(key))
        if path.split(".")[0].split("[")[0] in _EXACT:
            found += [f"{path}.{key}" for key in live.keys() - desired.keys()]
        return found
    if isinstance(desired, list) and isinstance(live, list):
        desired, live = _by_name(desired), _by_name(live)
        if len(desired) != len(live):
            return [path]
        return [place for i, (a, b) in enumerate(zip(desired, live, strict=True)) for place in _differences(a, b, f"{path}[{i}]")]
    if desired is None and live in ("", {}, []):
        return []
    return [] if desired == live else [path]


def _by_name(values: list[Any]) -> list[Any]:
    """Columns and metrics have no order of their own."""
    for key in ("column_name", "metric_name"):
        if values and all(isinstance(value, Mapping) and key in value for value in values):
            return sorted(values, key=lambda value: str(value[key]))
    return values
