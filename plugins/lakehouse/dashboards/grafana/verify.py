"""Whether a Grafana can be used: data sources healthy, and every panel's and rule's query run through Grafana itself.

Source: grafana/grafana, `pkg/api/datasources.go` (health), `pkg/api/ds_query.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any
from urllib.parse import quote

from lakehouse.dashboards.grafana.client import GrafanaClient
from lakehouse.dashboards.grafana.files import kind_of
from lakehouse.dashboards.grafana.panels import board_panels
from lakehouse.dashboards.grafana.queries import PanelQuery, RuleQuery, panels, rule_queries
from lakehouse.dashboards.objects import Document
from lakehouse.dashboards.results import BoardResult, ChartResult

_ASKER = "Grafana's query API"
_OPENSEARCH = "grafana-opensearch-datasource"


def verify(client: GrafanaClient, documents: Mapping[str, Document]) -> tuple[BoardResult, ...]:
    """Ask the data sources of the files for their health, each panel of their boards and each of their rules for data.

    Args:
        client: who asks.
        documents: the files' documents by path.
    """
    of = {kind: [one for path, one in documents.items() if kind_of(path) == kind] for kind in ("data_sources", "dashboards", "rule_groups")}
    library = {str(one["uid"]): one for path, one in documents.items() if kind_of(path) == "library_panels"}
    boards = [
        BoardResult(board["title"], f"{client.public_url}/d/{board['uid']}", _ASKER, tuple(_panels(client, board, library)))
        for board in of["dashboards"]
    ]
    rules = [
        BoardResult(f"alert rules {group['title']}", f"{client.public_url}/alerting/list", _ASKER, tuple(_rules(client, group)))
        for group in of["rule_groups"]
    ]
    sources = [_health(client, one) for one in of["data_sources"]]
    health = [BoardResult("data sources", f"{client.public_url}/connections/datasources", "their health checks", tuple(sources))]
    return (*boards, *rules, *(health if sources else ()))


def _health(client: GrafanaClient, source: Document) -> ChartResult:
    response = client.request("GET", f"/api/datasources/uid/{quote(source['uid'], safe='')}/health", accept=(400, 404, 500, 501, 502, 503))
    said = response.json()
    if response.status_code == 200 and said.get("status") == "OK":
        return ChartResult(source["name"], 1)
    what = str(said.get("message") or said.get("status") or response.status_code)[:300]
    return ChartResult(source["name"], 0, f"{what} (type {source['type']}: is its plugin installed, and can the server reach it?)")


def _panels(client: GrafanaClient, board: Document, library: Mapping[str, Document]) -> list[ChartResult]:
    """Each panel's queries in one request, as a browser sends them."""
    # A panel with a text for "no value" says that nothing is good news.
    may_be_empty = {found.model.get("id") for found in board_panels(board, library) if _no_value(found.model)}
    asked = [one for one in panels(board, library) if one.kind == "panel" and one.sent]
    results = [
        ChartResult(f"{panel.model.get('title') or found}", 0, "its library panel is in no file")
        for found, panel in enumerate(board_panels(board, library))
        if panel.missing
    ]
    for (number, title), queries in groupby(asked, key=lambda one: (one.panel, one.panel_title)):
        some = list(queries)
        rows, error = _ask(client, [one.target for one in some], some[0].times.start, some[0].times.end)
        empty = not rows and not error
        results.append(
            ChartResult(
                title,
                rows,
                error,
                may_be_empty=number in may_be_empty,
                nothing_to_show=empty and all(_source_is_empty(client, q) for q in some),
            )
        )
    return results


def _rules(client: GrafanaClient, group: Document) -> list[ChartResult]:
    """Each rule's queries and expressions; that none has data may be, that one fails may not."""
    results = []
    for (_, title), queries in groupby(rule_queries(group), key=lambda one: (one.rule, one.rule_title)):
        some: list[RuleQuery] = list(queries)
        longest = max(one.start for one in some)
        rows, error = _ask(client, [one.target for one in some], f"now-{longest}s", "now")
        results.append(ChartResult(title, rows, error, may_be_empty=True))
    return results


def _ask(client: GrafanaClient, queries: Sequence[Mapping[str, Any]], start: int | str, end: int | str) -> tuple[int, str]:
    """How many rows these queries give together, and the first error."""
    body = {"queries": list(queries), "from": str(start), "to": str(end)}
    answer = client.request("POST", "/api/ds/query", json=body, accept=(400, 404, 500)).json()
    results = answer.get("results")
    if not results:
        return 0, str(answer.get("message") or "no answer")[:300]
    error = next((str(one["error"])[:300] for one in results.values() if one.get("error")), "")
    return sum(_rows(frame) for one in results.values() for frame in one.get("frames") or []), error


def _rows(frame: Mapping[str, Any]) -> int:
    values = (frame.get("data") or {}).get("values") or []
    return len(values[0]) if values else 0


def _no_value(panel: Mapping[str, Any]) -> bool:
    defaults = (panel.get("fieldConfig") or {}).get("defaults") or {}
    return bool(defaults.get("noValue"))


def _source_is_empty(client: GrafanaClient, query: PanelQuery) -> bool:
    """Whether an OpenSearch has no document at all in the panel's time; of Prometheus a metric that nobody exports is a mistake."""
    if query.source.type != _OPENSEARCH:
        return False
    count = {"refId": "A", "datasource": query.target["datasource"], "timeField": query.target.get("timeField", "@timestamp"), "query": "*"}
    metrics = {"metrics": [{"id": "1", "type": "count"}], "bucketAggs": [_BY_DAY | {"field": count["timeField"]}]}
    rows, error = _ask(client, [{**count, **metrics, "intervalMs": 60_000, "maxDataPoints": 100}], query.times.start, query.times.end)
    return not rows and not error


_BY_DAY = {"id": "2", "type": "date_histogram", "settings": {"interval": "1d", "min_doc_count": "1"}}
