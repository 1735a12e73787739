"""All rules of a table in one Trino query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol

from lakehouse.contracts import Check, Contract
from lakehouse.quality.predicates import breaking
from lakehouse.sql import identifier, table

FRESHNESS = "freshness"


class Cursor(Protocol):
    """The part of a DB-API cursor (PEP 249) that is used."""

    def execute(self, operation: str) -> Any:
        """Run a statement."""

    def fetchone(self) -> Any:
        """The next row."""

    def fetchall(self) -> Any:
        """The rows that are left."""

    @property
    def description(self) -> Any:
        """The columns of the last statement."""


@dataclass(frozen=True)
class CheckResult:
    """A rule's verdict: `passed`, `warned`, `failed`, or `empty` when the table had no row to look at."""

    table_name: str
    check_id: str
    column_name: str | None
    severity: str
    status: str
    measured: float | None
    threshold: str
    description: str

    def as_row(self, run_id: str, checked_at: datetime) -> dict[str, Any]:
        """The row of `ops_db.check_results`."""
        return asdict(self) | {"run_id": run_id, "checked_at": checked_at}


def run_checks(cursor: Cursor, contract: Contract, *, now: datetime | None = None) -> list[CheckResult]:
    """Measure every rule of the contract, and the freshness it promises, in one query.

    An empty table is a verdict of its own: a rule that counts bad rows would pass on nothing.
    """
    results, newest = _measured(cursor, contract, contract.checks, table(contract.table))
    if contract.freshness_hours is not None:
        results.append(_freshness(contract, newest, now or datetime.now(UTC)))
    return results


def audit(cursor: Cursor, contract: Contract, source: str) -> list[CheckResult]:
    """Measure the contract's blocking rules (severity error) on a source such as `rows_of_days`, in one query."""
    blocking = [check for check in contract.checks if check.severity == "error"]
    return _measured(cursor, contract, blocking, source)[0]


def rows_of_days(contract: Contract, days: Sequence[date], snapshot_id: int) -> str:
    """A subquery of some days' rows in a snapshot; the days are those of the contract's first partition column."""
    column = identifier(contract.partitioning[0].partition("(")[2].rstrip(")"))
    ranges = " OR ".join(f"({column} >= {_midnight(day)} AND {column} < {_midnight(day + timedelta(days=1))})" for day in days)
    return f"(SELECT * FROM {table(contract.table)} FOR VERSION AS OF {snapshot_id:d} WHERE {ranges})"  # noqa: S608  # quoted


def sample(cursor: Cursor, contract: Contract, check_id: str, source: str, *, limit: int = 3) -> list[dict[str, Any]]:
    """Some rows that break a rule, columns of a classification left out; none for a rule about the table as a whole."""
    condition = next((breaking(check) for check in contract.checks if check.check_id == check_id), None)
    if condition is None:
        return []
    columns = ", ".join(identifier(column.name) for column in contract.columns if column.classification is None)
    cursor.execute(f"SELECT {columns} FROM {source} WHERE {condition} LIMIT {limit:d}")  # noqa: S608  # quoted; the rule is the contract's
    rows = cursor.fetchall()
    return [dict(zip([column[0] for column in cursor.description], row, strict=True)) for row in rows]


def statement(contract: Contract, checks: Sequence[Check], source: str) -> str:
    """The one SELECT: row count, newest value of the freshness column, then each rule's measure."""
    newest = f"max({identifier(contract.freshness_column)})" if contract.freshness_column else "NULL"
    measures = ["count(*)", newest, *(_measure(check, source) for check in checks)]
    return f"SELECT {', '.join(measures)} FROM {source}"  # noqa: S608  # identifiers and literals are quoted; queries are the contract's


def _measured(cursor: Cursor, contract: Contract, checks: Sequence[Check], source: str) -> tuple[list[CheckResult], Any]:
    cursor.execute(statement(contract, checks, source))
    rows, newest, *measured = cursor.fetchone()
    # Whether an empty table is an error is for its rowCount rule to say; without one it is.
    when_empty = next((check.severity for check in contract.checks if check.metric == "rowCount"), "error")
    results = []
    for check, value in zip(checks, measured, strict=True):
        if rows == 0 and check.metric != "rowCount":
            status = "empty"
        elif value is not None and check.passes(float(value)):
            status = "passed"
        else:
            status = "failed" if check.severity == "error" else "warned"
        number = None if value is None else float(value)
        results.append(
            CheckResult(
                contract.table,
                check.check_id,
                check.column,
                when_empty if status == "empty" else check.severity,
                status,
                number,
                f"{check.operator} {check.threshold:g}",
                check.description,
            )
        )
    return results, newest


def _measure(check: Check, source: str) -> str:
    condition = breaking(check)
    if condition is None and check.query:
        return f"({check.query.replace('{table}', source)})"
    if check.metric == "rowCount":
        return "count(*)"
    if check.metric == "duplicateValues":
        columns = ", ".join(identifier(name) for name in dict(check.arguments).get("properties", [check.column]))
        return f"count(*) - count(DISTINCT ({columns}))"
    counted = f"count_if({condition})"
    if check.metric == "invalidValues" and check.column:
        # A column without a single value has no invalid one, and is not valid for that: null is no pass.
        return f"CASE WHEN count({identifier(check.column)}) > 0 OR count(*) = 0 THEN {counted} END"
    return counted


def _midnight(day: date) -> str:
    return f"TIMESTAMP '{day:%Y-%m-%d} 00:00:00.000000 UTC'"


def _freshness(contract: Contract, newest: Any, now: datetime) -> CheckResult:
    limit = contract.freshness_hours or 0
    if newest is None:
        hours, status = None, "empty"
    else:
        if isinstance(newest, date) and not isinstance(newest, datetime):
            newest = datetime.combine(newest, time(), UTC)
        hours = (now - newest.replace(tzinfo=newest.tzinfo or UTC)).total_seconds() / 3600
        status = "passed" if hours <= limit else "warned"
    text = f"newest {contract.freshness_column} is at most {limit:g} h old"
    return CheckResult(contract.table, FRESHNESS, contract.freshness_column, "warning", status, hours, f"<= {limit:g}", text)
