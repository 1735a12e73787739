"""The checks of a table as figures for Prometheus: the newest verdicts, and what was measured."""

from __future__ import annotations

import time
from collections.abc import Sequence

from lakehouse.contracts import Contract
from lakehouse.metrics import Figure, label_text
from lakehouse.quality.checks import FRESHNESS
from lakehouse.quality.drift import SCHEMA
from lakehouse.quality.results import COUNTING, CheckResult

_SQL = "sql"


def grouping(contract: Contract) -> dict[str, str]:
    """The labels under which a table's newest checks replace those before, and no other table's."""
    return {"table": label_text(contract.table)}


def figures(contract: Contract, results: Sequence[CheckResult], *, now: float | None = None) -> list[Figure]:
    """The gauges of a table's checks; push them under `grouping(contract)`.

    Args:
        results: of `run_checks`, for the same contract.
        now: when the table was looked at, in seconds of the Unix clock.
    """
    metrics = {check.check_id: check.metric or check.measure or _SQL for check in contract.checks}
    metrics |= {FRESHNESS: FRESHNESS, SCHEMA: SCHEMA}
    rows = next((result.measured for result in results if metrics[result.check_id] == "rowCount"), None)
    found = []

    def figure(name: str, text: str, value: float, **labels: str) -> None:
        found.append(Figure(f"lakehouse_check_{name}", text, grouping(contract) | labels, float(value)))

    for result in results:
        metric = metrics[result.check_id]
        which = {"column": label_text(result.column_name or ""), "check": label_text(result.check_id)}
        if result.status == "skipped":
            continue
        figure("passed", "Whether the rule was passed, 1 or 0.", result.status == "passed", severity=result.severity, **which)
        # What could not be measured is left out: 0 would say that nothing is wrong.
        if result.measured is None:
            continue
        figure("measured", "What the rule measured; freshness in hours.", result.measured, metric=metric, **which)
        share = result.failed_share if result.failed_share is not None else (result.measured / rows if rows else None)
        if share is not None and metric in COUNTING:
            figure("broken_ratio", "Rows that break the rule, of all the table's rows.", share, metric=metric, **which)
    if rows is not None:
        figure("rows", "The table's rows.", rows)
    figure("last_run_timestamp_seconds", "Unix time of the checks.", time.time() if now is None else now)
    return found
