"""Levels of what people look at: Superset's charts, boards and SQL Lab, Grafana's boards, the gallery's page."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import quote

from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.verify import charts_of, run_chart
from lakehouse.exceptions import LakehouseError
from lakehouse.images.keys import thumbnail_key
from lakehouse.service_levels.levels import NotHereError, Services
from lakehouse.service_levels.timing import RUNS, median, timed

_THUMBNAILS = 20
# Requests that a browser has under way to one server, over HTTP/1.1.
_BROWSER = 6


def superset_chart(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    """Seconds of the slowest chart of a board, with the cache bypassed."""
    client, charts = _board(services, options)
    timings = {name: timed(partial(_draw, client, options, number, name)) for number, name in charts}
    if not timings:
        raise LakehouseError(f"board {options['dashboard']} has no chart")
    slowest = max(timings, key=lambda name: timings[name])
    number = next(number for number, name in charts if name == slowest)
    seconds = median(partial(_draw, client, options, number, slowest))
    return seconds, f"slowest of {len(timings)} charts, median of {RUNS}, cache bypassed: {slowest}"


def superset_dashboard(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    """Seconds of all charts of a board, asked for as a browser does."""
    client, charts = _board(services, options)

    def draw() -> None:
        with ThreadPoolExecutor(_BROWSER) as pool:
            list(pool.map(lambda chart: _draw(client, options, *chart), charts))

    return median(draw), f"{len(charts)} charts, {_BROWSER} at a time, median of {RUNS}, cache bypassed"


def sql_lab(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    """Seconds of a statement in SQL Lab, as an analyst; Superset keeps no answers of it."""
    databases = services.superset.list("database", ("id", "database_name", "expose_in_sqllab"))
    found = next((one["id"] for one in databases if one["expose_in_sqllab"]), None)
    if found is None:
        raise LakehouseError("no database is open to SQL Lab for this user")
    body = {"database_id": found, "sql": options["query"], "schema": options.get("schema"), "runAsync": False, "queryLimit": 1_000}

    def run() -> None:
        answer = services.superset.request("POST", "/api/v1/sqllab/execute/", json=body).json()
        if answer.get("status") != "success":
            raise LakehouseError(f"SQL Lab: {answer}")

    return median(run), f"median of {RUNS}, warm"


def grafana_dashboard(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    """Seconds of every query of a board through Grafana's query API, one after the other: an upper bound of what a browser waits."""
    from lakehouse.dashboards.grafana.verify import verify

    if services.grafana is None:
        raise NotHereError("there is no Grafana")
    client = services.grafana
    board = client.get(f"/api/dashboards/uid/{quote(options['dashboard'], safe='')}")["dashboard"]

    def draw() -> None:
        if failed := [chart for board in verify(client, {"dashboards/measured": board}) for chart in board.charts if chart.error]:
            raise LakehouseError(f"panel {failed[0].name}: {failed[0].error}")

    return median(draw), f"all queries of the board through Grafana, median of {RUNS}"


def gallery_page(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    """Seconds of what a page of the gallery waits for: its server, rows of the table, and their thumbnails from the store."""
    if services.gallery is None or services.catalog is None or services.store is None:
        raise NotHereError("there is no gallery")
    gallery, catalog, store = services.gallery, services.catalog, services.store
    seen = 0

    def open_page() -> None:
        nonlocal seen
        gallery.request("GET", "/_stcore/health")
        rows = catalog.load_table(options["table"]).scan(selected_fields=("s3_path",), limit=_THUMBNAILS).to_arrow()
        addresses = [str(address) for address in rows.column(0).to_pylist()]
        keys = [thumbnail_key(address.removeprefix(f"s3://{store.bucket}/")) for address in addresses]
        with ThreadPoolExecutor(_BROWSER) as pool:
            seen = sum(1 for body in pool.map(store.read, keys) if body)

    seconds = median(open_page)
    if not seen:
        raise LakehouseError(f"{options['table']} has no image")
    return seconds, f"{seen} images with their thumbnails, median of {RUNS}, warm"


def _board(services: Services, options: dict[str, Any]) -> tuple[SupersetClient, list[tuple[int, str]]]:
    client = services.superset_ops if options.get("as") == "ops" else services.superset
    if client is None:
        raise NotHereError("there is no connection of that user")
    return client, [(chart["id"], chart["slice_name"]) for chart in charts_of(client, options["dashboard"])]


def _draw(client: SupersetClient, options: dict[str, Any], number: int, name: str) -> None:
    """Run a chart; an error that came quickly is no good timing."""
    result = run_chart(client, number, name)
    if result.error or (not result.rows and not options.get("may_be_empty")):
        raise LakehouseError(f"chart {name}: {result.error or 'no rows'}")
