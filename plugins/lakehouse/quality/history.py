"""Whether a rule that is not passed is so for the first time, and when it was passed last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from lakehouse.contracts import Contract
from lakehouse.quality.results import CheckResult
from lakehouse.sql import Cursor, literal, table

RESULTS = "ops_db.check_results"
_NOT_PASSED = "('failed', 'warned', 'empty')"


def with_history(cursor: Cursor, results: Sequence[CheckResult], *, now: datetime, history: str = RESULTS) -> list[CheckResult]:
    """The results with what the history of their table says; a rule that could not be measured keeps its last pass.

    Args:
        history: the table of earlier results.
    """
    if not results:
        return []
    cursor.execute(_statement(results[0].table_name, history))
    known = {row[0]: (row[1], row[2]) for row in cursor.fetchall()}
    found = []
    for result in results:
        last_passed, since = known.get(result.check_id, (None, None))
        if result.status == "passed":
            found.append(replace(result, last_passed_at=now))
        elif result.status == "skipped":
            found.append(replace(result, last_passed_at=last_passed))
        else:
            state = "ongoing" if since else "new"
            found.append(replace(result, state=state, failing_since=since or now, last_passed_at=last_passed))
    return found


def incident_days(cursor: Cursor, contract: Contract, *, now: datetime, incidents: str = "ops_db.incidents") -> frozenset[date]:
    """The days on which an incident of the table was open: what came then is no measure for other days."""
    key = contract.table.partition(".")[2]
    cursor.execute(f"SELECT DISTINCT opened_at, closed_at FROM {table(incidents)} WHERE key = {literal(key)}")  # noqa: S608  # quoted
    spans = [(opened.date(), (closed or now).date()) for opened, closed in cursor.fetchall()]
    return frozenset(first + timedelta(days=number) for first, last in spans for number in range((last - first).days + 1))


def _statement(table_name: str, history: str) -> str:
    of_table = f"{table(history)} WHERE table_name = {literal(table_name)}"
    return (
        f"WITH passes AS (SELECT check_id, max(checked_at) AS last_passed FROM {of_table} AND status = 'passed' GROUP BY check_id), "  # noqa: S608  # quoted
        f"results AS (SELECT check_id, status, checked_at FROM {of_table}) "
        "SELECT r.check_id, max(p.last_passed), min(r.checked_at) FILTER "
        f"(WHERE r.status IN {_NOT_PASSED} AND (p.last_passed IS NULL OR r.checked_at > p.last_passed)) "
        "FROM results r LEFT JOIN passes p ON p.check_id = r.check_id GROUP BY r.check_id"
    )
