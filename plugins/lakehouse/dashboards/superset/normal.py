"""Superset's export format in its normal form, and back.

In the normal form two documents that mean the same are equal: charts are named by UUID where an export has this server's numbers,
JSON in text is opened, passwords are masked, and what a server or a browser works out by itself is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lakehouse.dashboards.objects import Document, Shape

# Superset keeps these as they were sent; columns and metrics have no order of their own.
SHAPE = Shape(exact=("params", "query_context", "position"), names=("column_name", "metric_name"))
MASK = "XXXXXXXXXX"  # what Superset shows instead of a password
_URI_PASSWORD = re.compile(r"(?<=:)[^:@/]+(?=@)")
_RENAMED = {"allow_file_upload": "allow_csv_upload", "schemas_allowed_for_file_upload": "schemas_allowed_for_csv_upload"}
_OF_THIS_SERVER = ("datasource", "slice_id", "dashboards")
# A browser writes these on its own when an owner opens the board, or they follow from the rest of it.
_WORKED_OUT = (
    "chartsInScope",
    "tabsInScope",
    "map_label_colors",
    "shared_label_colors",
    "color_scheme_domain",
    "default_filters",
    "filter_scopes",
)


def name_of(document: Document) -> str:
    """What people call the object."""
    return str(next((document[key] for key in ("dashboard_title", "slice_name", "table_name", "database_name") if document.get(key)), ""))


def password_of(document: Document) -> str:
    """The password in a database's address, empty where there is none or only the mask."""
    found = _URI_PASSWORD.search(str(document.get("sqlalchemy_uri", "")))
    return found.group() if found and found.group() != MASK else ""


def mask(address: str) -> str:
    """An address with its password masked."""
    return _URI_PASSWORD.sub(MASK, address)


def chart_places(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The places for charts on a board."""
    position = dashboard.get("position") or {}
    return (item for item in position.values() if isinstance(item, dict) and item.get("type") == "CHART")


def normalise(document: Document, charts: Mapping[int, str] | None = None) -> dict[str, Any]:
    """A document as its file would say it.

    Args:
        document: from an export, or from a file.
        charts: UUIDs of this server's charts by their number.
    """
    result: dict[str, Any] = json.loads(json.dumps(document, default=str))
    if isinstance(result.get("params"), dict):
        result["params"] = _without(result["params"], _OF_THIS_SERVER)
    if isinstance(result.get("query_context"), str):
        result["query_context"] = json.loads(result["query_context"])
    if isinstance(result.get("query_context"), dict):
        context = _without(result["query_context"], _OF_THIS_SERVER)
        result["query_context"] = context | {"form_data": _without(context.get("form_data") or {}, _OF_THIS_SERVER)}
    if "sqlalchemy_uri" in result:
        # An export of datasets says it in the newer word, an export of databases in the older one, which is the import's.
        for holder in (result, result.get("extra") or {}):
            for new, old in _RENAMED.items():
                if new in holder:
                    holder[old] = holder.pop(new)
        result["sqlalchemy_uri"] = mask(result["sqlalchemy_uri"])
    if "position" in result:
        numbers = {int(place["meta"]["chartId"]): place["meta"]["uuid"] for place in chart_places(result) if place["meta"].get("chartId")}
        known = {**(charts or {}), **numbers}
        for place in chart_places(result):
            place["meta"].pop("chartId", None)
        result["metadata"] = _metadata(result.get("metadata") or {}, lambda chart: known.get(_number(chart), chart))
    return result


def for_import(document: Document, password: str = "") -> dict[str, Any]:
    """A normalised document as the importer wants it: JSON as text, and a number for each chart of a board, which it replaces.

    Args:
        document: in normal form.
        password: of a database, as its address has it.
    """
    result: dict[str, Any] = json.loads(json.dumps(document, default=str))
    if password:
        result["sqlalchemy_uri"] = result["sqlalchemy_uri"].replace(f":{MASK}@", f":{password}@")
    if "position" in result:
        numbers = {place["meta"]["uuid"]: number for number, place in enumerate(chart_places(result), start=1)}
        for place in chart_places(result):
            place["meta"]["chartId"] = numbers[place["meta"]["uuid"]]
        result["metadata"] = _metadata(result.get("metadata") or {}, lambda chart: numbers.get(chart, chart))
    if isinstance(result.get("query_context"), dict):
        # Superset fills the datasource in, where there is an entry to fill.
        result["query_context"] = json.dumps({"datasource": {"id": 0, "type": "table"}, **result["query_context"]})
    return result


def _metadata(metadata: dict[str, Any], rename: Callable[[Any], Any]) -> dict[str, Any]:
    """A board's metadata with its charts renamed, without what is worked out."""

    def scope(value: Any) -> Any:
        if isinstance(value, dict) and "excluded" in value:
            return value | {"excluded": [rename(chart) for chart in value["excluded"]]}
        return value

    def cleaned(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: scope(cleaned(entry)) if key == "scope" else cleaned(entry) for key, entry in value.items() if key not in _WORKED_OUT
            }
        return [cleaned(entry) for entry in value] if isinstance(value, list) else value

    result: dict[str, Any] = cleaned(metadata)
    charts = result.pop("chart_configuration", {})
    # A chart that filters every other chart is what Superset does anyway.
    own = {str(rename(key)): entry | {"id": rename(key)} for key, entry in charts.items() if _filters(entry) not in (None, "global")}
    if own:
        result["chart_configuration"] = own
    if result.get("global_chart_configuration", {}).get("scope", {}) in ({}, {"rootPath": ["ROOT_ID"], "excluded": []}):
        result.pop("global_chart_configuration", None)
    return result


def _filters(entry: Any) -> Any:
    return (entry.get("crossFilters") or {}).get("scope") if isinstance(entry, dict) else None


def _number(value: Any) -> int:
    return int(value) if str(value).isdigit() else -1


def _without(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in names}
