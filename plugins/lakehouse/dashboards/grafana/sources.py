"""Which data source a query asks, and which other queries an expression asks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

EXPRESSION = "__expr__"
MIXED = "-- Mixed --"
_SPECIAL = {
    "-- Dashboard --": "dashboard",
    "-- Grafana --": "grafana",
    "grafana": "grafana",
    MIXED: "mixed",
    EXPRESSION: "expression",
    "-100": "expression",  # before Grafana 9
}
_EXPRESSION_REFERENCE = re.compile(r"\$\{?(\w+)\}?")


@dataclass(frozen=True)
class Source:
    """A data source as a query names it; `uid` is empty for the default one, and a name where an old file has one."""

    type: str
    uid: str

    @property
    def kind(self) -> str:
        """`server` for one that answers queries; `expression`, `grafana`, `dashboard`, `mixed` for what Grafana does by itself."""
        kind = _SPECIAL.get(self.uid) or _SPECIAL.get(self.type if self.type in (EXPRESSION, "grafana") else "")
        return kind or "server"


def expression_references(model: Mapping[str, Any]) -> set[str]:
    """The queries that an expression (`math`, `reduce`, `resample`, `threshold`, `classic_conditions`, `sql`) asks for."""
    kind, text = model.get("type"), model.get("expression")
    if kind == "classic_conditions":
        named = set()
        for _, condition in entries(model.get("conditions")):
            query = condition.get("query")
            params = query.get("params") if isinstance(query, dict) else None
            named |= {str(params[0])} if isinstance(params, list) and params else set()
        return named
    if not isinstance(text, str):
        return set()
    if kind == "math":
        return set(_EXPRESSION_REFERENCE.findall(text))
    return set() if kind == "sql" or not text.strip() else {text.strip().lstrip("$")}


def reference(source: Source) -> dict[str, str]:
    """A data source as a query names it."""
    told = {"type": source.type, "uid": source.uid}
    return {key: value for key, value in told.items() if value}


def entries(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a list, with their places; nothing of what is no list."""
    return ((i, one) for i, one in enumerate(value if isinstance(value, list) else ()) if isinstance(one, dict))
