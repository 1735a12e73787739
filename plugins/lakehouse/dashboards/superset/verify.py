"""Whether a board can be used: each of its charts run through Superset's chart-data API, as a user of the role the board is meant for.

Source, in apache-superset 6.1.0: `superset/charts/data/api.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lakehouse.dashboards.results import BoardResult, ChartResult
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.normal import chart_places


def verify_board(
    client: SupersetClient, admin: SupersetClient, dashboard: Mapping[str, Any], role: str, *, as_filed: bool = True
) -> BoardResult:
    """Run every chart of a board.

    Args:
        client: a user of the role.
        admin: whoever sees every row: an empty chart over a table that has rows is a mistake, also one of row-level security.
        dashboard: the board's file.
        role: who the board is meant for.
        as_filed: whether the board has every chart of its file; one that was edited in the UI need not.
    """
    slug = str(dashboard["slug"])
    there = charts_of(client, slug)
    # `mayBeEmpty` is our own word in a chart's place on the board; Superset keeps it and does nothing with it.
    may_be_empty = {item["meta"].get("sliceName") for item in chart_places(dashboard) if item["meta"].get("mayBeEmpty")}
    results = []
    for chart in there:
        result = run_chart(client, chart["id"], chart["slice_name"])
        if not result.rows and not result.error:
            may = result.name in may_be_empty
            result = replace(result, may_be_empty=may, nothing_to_show=not may and not _has_rows_in_window(admin, chart["id"]))
        results.append(result)
    missing = {item["meta"]["sliceName"] for item in chart_places(dashboard)} - {chart["slice_name"] for chart in there}
    results += [ChartResult(name, 0, "it is not on the board") for name in sorted(missing) if as_filed]
    return BoardResult(str(dashboard["dashboard_title"]), f"{client.public_url}/superset/dashboard/{slug}/", role, tuple(results))


def charts_of(client: SupersetClient, slug: str) -> list[dict[str, Any]]:
    """Charts of a board."""
    return list(client.request("GET", f"/api/v1/dashboard/{slug}/charts").json()["result"])


def run_chart(client: SupersetClient, chart_id: int, name: str) -> ChartResult:
    """Run a chart's stored query, with the cache bypassed."""
    response = client.request("GET", f"/api/v1/chart/{chart_id}/data/?force=true", accept=(400, 403, 404, 422, 500))
    body = response.json()
    if response.status_code != 200:
        return ChartResult(name, 0, str(body.get("message") or body.get("errors") or body)[:300])
    rows = [query.get("rowcount") or 0 for query in body["result"]]
    return ChartResult(name, min(rows), next((str(query["error"]) for query in body["result"] if query.get("error")), ""))


def _has_rows_in_window(client: SupersetClient, chart_id: int) -> bool:
    """Whether the chart's dataset has a row in the chart's window of time, whatever else the chart filters by."""
    chart = client.request("GET", f"/api/v1/chart/{chart_id}").json()["result"]
    context = json.loads(chart["query_context"] or "{}")
    window = [one for query in context.get("queries", [])[:1] for one in query.get("filters", []) if one.get("op") == "TEMPORAL_RANGE"]
    rows = {"expressionType": "SQL", "sqlExpression": "COUNT(*)", "label": "rows"}
    query = {"metrics": [rows], "filters": window, "row_limit": 1}
    body = {"datasource": context.get("datasource"), "queries": [query], "force": True, "result_type": "full", "result_format": "json"}
    answer = client.request("POST", "/api/v1/chart/data", json=body, accept=(400, 403, 422, 500))
    if answer.status_code != 200:  # whoever may not ask sees an empty chart all the same
        return True
    data = answer.json()["result"][0]["data"]
    return bool(data and data[0]["rows"])
