"""Levels of the data: how long a query of a million rows and a log search take, how old what people see is."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from typing import Any

from lakehouse.exceptions import LakehouseError
from lakehouse.service_levels.levels import Services
from lakehouse.service_levels.timing import RUNS, median
from lakehouse.sql import table as quoted

# A table with fewer rows than asked for is read as often as is needed, up to this.
_READ_AT_MOST = 50


def trino_query(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    """Seconds of a query; `{rows}` in it stands for so many rows of the table, read again and again where it has fewer."""
    query, said = str(options["query"]), ""
    if "rows" in options:
        wanted, source = int(options["rows"]), quoted(options["table"])
        services.cursor.execute(f"SELECT count(*) FROM {source}")  # noqa: S608  # quoted
        there = services.cursor.fetchone()[0]
        reads = -(-wanted // there) if there else _READ_AT_MOST + 1
        if reads > _READ_AT_MOST:
            raise LakehouseError(f"{options['table']} has {there} rows, too few to stand for {wanted}")
        copies = " UNION ALL ".join([f"SELECT * FROM {source}"] * reads)  # noqa: S608  # quoted
        query = query.format(rows=f"({copies} LIMIT {wanted})")
        said = f"{wanted:,} rows" + (f" ({there:,} read {reads} times)" if reads > 1 else "") + ", "

    def run() -> None:
        services.cursor.execute(query)
        services.cursor.fetchall()

    return median(run), f"{said}median of {RUNS}, warm"


def log_search(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    """Seconds of a search for the errors of the last hour."""
    index, by = options.get("index", "logs-*"), options.get("by")
    body: dict[str, Any] = {
        "size": 50,
        "query": {"bool": {"filter": [{"term": {"level": "ERROR"}}, {"range": {"event_time": {"gte": "now-1h"}}}]}},
        "sort": [{"event_time": "desc"}],
    }
    if by:
        body["aggs"] = {"by": {"terms": {"field": by}}}
    seconds = median(lambda: services.opensearch.request("POST", f"/{index}/_search?request_cache=false", json=body))
    return seconds, f"errors of the last hour{f' by {by}' if by else ''}, median of {RUNS}, warm"


def table_freshness(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    """Hours since the newest value of a column; a day counts from its midnight."""
    column = options["column"]
    services.cursor.execute(f'SELECT max("{column}") FROM {quoted(options["table"])}')  # noqa: S608  # quoted, from a contract
    newest = services.cursor.fetchone()[0]
    if newest is None:
        raise LakehouseError(f"{options['table']} is empty")
    return _hours(newest), f"newest {column} of {options['table']}: {newest}"


def index_freshness(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    """Hours since the newest document's time, in the indices of a pattern."""
    body = {"size": 0, "aggs": {"newest": {"max": {"field": options["field"]}}}}
    found = services.opensearch.request("POST", f"/{options['index']}/_search?request_cache=false", json=body).json()
    newest = found["aggregations"]["newest"]["value"]
    if newest is None:
        raise LakehouseError(f"{options['index']} has no document")
    moment = datetime.fromtimestamp(newest / 1000, UTC)
    return _hours(moment), f"newest {options['field']} of {options['index']}: {moment:%Y-%m-%d %H:%M} UTC"


def board_freshness(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    """Hours since the newest time in what a board shows: asked through Superset, of the board's datasets that have a time."""
    client = services.superset
    datasets = client.request("GET", f"/api/v1/dashboard/{options['dashboard']}/datasets").json()["result"]
    newest: dict[str, datetime] = {}
    for dataset in datasets:
        column = dataset.get("main_dttm_col")
        if column and dataset["table_name"] in options["datasets"]:
            latest = {"expressionType": "SQL", "sqlExpression": f'CAST(MAX("{column}") AS VARCHAR)', "label": "newest"}
            body = {
                "datasource": {"id": dataset["id"], "type": "table"},
                "queries": [{"metrics": [latest], "filters": [], "row_limit": 1}],
                "force": True,
                "result_type": "full",
                "result_format": "json",
            }
            data = client.request("POST", "/api/v1/chart/data", json=body).json()["result"][0]["data"]
            if data and data[0]["newest"]:
                newest[dataset["table_name"]] = _moment(data[0]["newest"])
    if missing := sorted(set(options["datasets"]) - newest.keys()):
        raise LakehouseError(f"board {options['dashboard']} shows nothing of {', '.join(missing)}: {json.dumps(sorted(newest))}")
    oldest = min(newest, key=lambda name: newest[name])
    return _hours(newest[oldest]), f"newest of {oldest}, the oldest of {len(newest)} datasets: {newest[oldest]:%Y-%m-%d %H:%M}"


def _moment(text: str) -> datetime:
    """A time or a day as Trino writes it; without a zone it is UTC."""
    found = datetime.fromisoformat(text.strip().replace(" UTC", "+00:00"))
    return found.replace(tzinfo=found.tzinfo or UTC)


def _hours(newest: date) -> float:
    if not isinstance(newest, datetime):
        newest = datetime.combine(newest, time(), UTC)
    return (datetime.now(UTC) - newest.replace(tzinfo=newest.tzinfo or UTC)).total_seconds() / 3600
