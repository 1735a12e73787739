"""Measures service levels; what cannot be measured says why, and is not counted as met."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from lakehouse.contracts import Contract
from lakehouse.service_levels import data, machine, pages
from lakehouse.service_levels.levels import Measurement, NotHereError, ServiceLevel, Services

log = logging.getLogger(__name__)

KINDS: dict[str, Callable[[Services, dict[str, Any]], tuple[float, str]]] = {
    "trino_query": data.trino_query,
    "log_search": data.log_search,
    "table_freshness": data.table_freshness,
    "index_freshness": data.index_freshness,
    "board_freshness": data.board_freshness,
    "superset_chart": pages.superset_chart,
    "superset_dashboard": pages.superset_dashboard,
    "sql_lab": pages.sql_lab,
    "grafana_dashboard": pages.grafana_dashboard,
    "gallery_page": pages.gallery_page,
    "disk_free": machine.disk_free,
    "stack_memory": machine.stack_memory,
}


def levels_of(contracts: Iterable[Contract]) -> list[ServiceLevel]:
    """The freshness that contracts promise for their tables, as service levels."""
    found = []
    for contract in contracts:
        if contract.freshness_hours is not None and contract.freshness_column:
            column, hours = contract.freshness_column, contract.freshness_hours
            options = {"table": contract.table, "column": column}
            text = f"Age of the newest {column} in {contract.table}"
            found.append(ServiceLevel(f"fresh {contract.table}", text, "table_freshness", hours, "h", options=options))
    return found


def measure(levels: Iterable[ServiceLevel], services: Services) -> list[Measurement]:
    """Measure each level; a service that fails leaves that level unmeasured and the others are still measured."""
    results = []
    for level in levels:
        try:
            value, detail = KINDS[level.kind](services, dict(level.options or {}))
            measured, met = round(value, 3), level.met(value)
        except NotHereError as absent:
            log.info("%s: left out, %s", level.name, absent)
            continue
        except Exception as error:  # noqa: BLE001  # each client has errors of its own, and none may hide the other levels
            measured, met, detail = None, None, f"not measured: {error}"
        results.append(Measurement(level.name, level.target, measured, level.unit, met, detail, level.objective))
        log.info("%s", results[-1].as_line())
    return results
