"""All rules of a table in one Trino query."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Protocol

from lakehouse.contracts import Check, Contract
from lakehouse.exceptions import ConfigurationError
from lakehouse.sql import identifier, literal, table

FRESHNESS = "freshness"


class Cursor(Protocol):
    """The part of a DB-API cursor (PEP 249) that is used."""

    def execute(self, operation: str) -> Any:
        """Run a statement."""

    def fetchone(self) -> Any:
        """The next row."""


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
    now = now or datetime.now(UTC)
    cursor.execute(statement(contract))
    rows, newest, *measured = cursor.fetchone()
    # Whether an empty table is an error is for its rowCount rule to say; without one it is.
    when_empty = next((check.severity for check in contract.checks if check.metric == "rowCount"), "error")
    results = []
    for check, value in zip(contract.checks, measured, strict=True):
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
    if contract.freshness_hours is not None:
        results.append(_freshness(contract, newest, now))
    return results


def statement(contract: Contract) -> str:
    """The one SELECT: row count, newest value of the freshness column, then each rule's measure."""
    source = table(contract.table)
    newest = f"max({identifier(contract.freshness_column)})" if contract.freshness_column else "NULL"
    measures = ["count(*)", newest, *(_measure(check, source) for check in contract.checks)]
    return f"SELECT {', '.join(measures)} FROM {source}"  # noqa: S608  # identifiers and literals are quoted; queries are the contract's


def _measure(check: Check, source: str) -> str:
    arguments = dict(check.arguments)
    column = identifier(check.column) if check.column else ""
    if check.query:
        return f"({check.query.replace('{table}', source)})"
    if check.metric == "rowCount":
        return "count(*)"
    if check.metric == "nullValues":
        return f"count_if({column} IS NULL)"
    if check.metric == "missingValues":
        listed = ", ".join(literal(value) for value in arguments.get("missingValues", []) if value is not None) or "''"
        return f"count_if({column} IS NULL OR CAST({column} AS varchar) IN ({listed}))"
    if check.metric == "invalidValues":
        if "pattern" in arguments:
            invalid = f"count_if(NOT regexp_like({column}, {literal(arguments['pattern'])}))"
        else:
            listed = ", ".join(literal(value) for value in arguments["validValues"])
            invalid = f"count_if({column} IS NOT NULL AND {column} NOT IN ({listed}))"
        # A column without a single value has no invalid one, and is not valid for that: null is no pass.
        return f"CASE WHEN count({column}) > 0 OR count(*) = 0 THEN {invalid} END"
    if check.metric == "duplicateValues":
        columns = ", ".join(identifier(name) for name in arguments.get("properties", [check.column]))
        return f"count(*) - count(DISTINCT ({columns}))"
    raise ConfigurationError(f"check {check.check_id}: metric {check.metric} is not known")


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
