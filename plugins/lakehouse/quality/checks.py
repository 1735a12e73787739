"""Runs the rules of a contract: from the manifests what they know exactly, the rest in one Trino query on the same snapshot."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from pyiceberg.table import Table

from lakehouse.contracts import Check, Contract
from lakehouse.contracts.checks import LIKE_WEEKDAY, OBJECTS_EXIST
from lakehouse.quality.drift import schema_drift
from lakehouse.quality.manifests import ManifestFacts, read_facts
from lakehouse.quality.metadata import answer, newest
from lakehouse.quality.objects import missing_objects
from lakehouse.quality.results import MANIFESTS, SCAN, CheckResult, Measured, verdict
from lakehouse.quality.scan import scan
from lakehouse.quality.weekdays import like_weekday
from lakehouse.sql import Cursor, identifier
from lakehouse.sql import table as quoted

FRESHNESS = "freshness"
_NOT_MEASURED = Measured(None, MANIFESTS, detail="not measured here", skipped=True)


def run_checks(
    cursor: Cursor,
    contract: Contract,
    *,
    table: Table | None = None,
    object_exists: Callable[[str], bool] | None = None,
    left_out: Collection[date] = (),
    now: datetime | None = None,
) -> list[CheckResult]:
    """Measure every rule of the contract, the freshness it promises, and whether the table still has its columns.

    Args:
        table: what manifests answer is asked of it; without it everything is scanned, and rules about days and columns are left out.
        object_exists: whether there is an object at an address, for the rules about objects.
        left_out: days that were no ordinary ones, marked as incidents.
    """
    now = now or datetime.now(UTC)
    facts = read_facts(table) if table else None
    source = snapshot_source(contract, table) if table else quoted(contract.table)
    measured: dict[str, Measured] = {}
    newest_value = newest(contract.freshness_column, facts, table.schema()) if facts and table else None
    left: list[Check] = []
    for check in contract.checks:
        known = _without_scan(check, facts, table, now.date(), left_out)
        if known:
            measured[check.check_id] = known
        elif check.measure is None:
            left.append(check)
    freshness_by = MANIFESTS if newest_value is not None else SCAN
    rows = facts.rows if facts and facts.exact else None
    # An empty table needs no query: no row can be wrong or fresh.
    if rows != 0 and (left or rows is None or (contract.freshness_column and newest_value is None)):
        rows, scanned, found = scan(cursor, contract, left, source)
        newest_value = scanned if newest_value is None else newest_value
        measured |= found
    for check in contract.checks:
        if check.measure == OBJECTS_EXIST and object_exists and rows:
            measured[check.check_id] = missing_objects(cursor, check, source, object_exists)
    snapshot_id = facts.snapshot_id if facts else None
    results = [verdict(contract, check, measured.get(check.check_id, _NOT_MEASURED), rows or 0, snapshot_id) for check in contract.checks]
    if contract.freshness_hours is not None:
        results.append(_freshness(contract, newest_value, now, freshness_by, snapshot_id))
    return [*results, schema_drift(contract, table)] if table else results


def audit(cursor: Cursor, contract: Contract, source: str) -> list[CheckResult]:
    """Measure the contract's blocking rules (severity error) on a source such as `rows_of_days`, in one query; custom ones are skipped."""
    blocking = [check for check in contract.checks if check.severity == "error"]
    rows, _, found = scan(cursor, contract, [check for check in blocking if check.measure is None], source)
    return [verdict(contract, check, found.get(check.check_id, _NOT_MEASURED), rows) for check in blocking]


def rows_of_days(contract: Contract, days: Sequence[date], snapshot_id: int) -> str:
    """A subquery of some days' rows in a snapshot; the days are those of the contract's first partition column."""
    column = identifier(contract.partitioning[0].partition("(")[2].rstrip(")"))
    ranges = " OR ".join(f"({column} >= {_midnight(day)} AND {column} < {_midnight(day + timedelta(days=1))})" for day in days)
    return f"(SELECT * FROM {quoted(contract.table)} FOR VERSION AS OF {snapshot_id:d} WHERE {ranges})"  # noqa: S608  # quoted


def snapshot_source(contract: Contract, table: Table) -> str:
    """The table at the snapshot whose manifests are read; its head where that was written under an older schema.

    A snapshot is read with its own schema, which does not have the columns that came later.
    """
    snapshot = table.current_snapshot()
    if snapshot is None or snapshot.schema_id != table.schema().schema_id:
        return quoted(contract.table)
    return f"{quoted(contract.table)} FOR VERSION AS OF {snapshot.snapshot_id:d}"


def _without_scan(
    check: Check, facts: ManifestFacts | None, table: Table | None, today: date, left_out: Collection[date]
) -> Measured | None:
    if facts is None or table is None:
        return None
    if check.measure in LIKE_WEEKDAY:
        return like_weekday(facts.partitions, check.measure.removesuffix("_like_weekday"), today=today, left_out=left_out)
    return answer(check, facts, table.schema()) if check.measure is None else None


def _midnight(day: date) -> str:
    return f"TIMESTAMP '{day:%Y-%m-%d} 00:00:00.000000 UTC'"


def _freshness(contract: Contract, newest_value: Any, now: datetime, answered_by: str, snapshot_id: int | None) -> CheckResult:
    limit = contract.freshness_hours or 0
    if newest_value is None:
        hours, status = None, "empty"
    else:
        if isinstance(newest_value, date) and not isinstance(newest_value, datetime):
            newest_value = datetime.combine(newest_value, time(), UTC)
        hours = (now - newest_value.replace(tzinfo=newest_value.tzinfo or UTC)).total_seconds() / 3600
        status = "passed" if hours <= limit else "warned"
    text = f"newest {contract.freshness_column} is at most {limit:g} h old"
    return CheckResult(
        contract.table,
        FRESHNESS,
        contract.freshness_column,
        "warning",
        status,
        hours,
        f"<= {limit:g}",
        text,
        answered_by=answered_by,
        snapshot_id=snapshot_id,
    )
