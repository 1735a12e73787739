"""All rules of a table in one Trino query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakehouse.contracts import Check, Contract
from lakehouse.quality.metadata import worst
from lakehouse.quality.predicates import breaking
from lakehouse.quality.results import SCAN, Measured
from lakehouse.sql import Cursor, identifier


def scan(cursor: Cursor, contract: Contract, checks: Sequence[Check], source: str) -> tuple[int, Any, dict[str, Measured]]:
    """The rows of a source, the newest value of the freshness column, and each rule's value by its id, from one query."""
    cursor.execute(statement(contract, checks, source))
    rows, newest, *values = cursor.fetchone()
    found = {}
    for check, value, first_bad in zip(checks, values[::2], values[1::2], strict=True):
        if check.per_partition:
            found[check.check_id] = worst(check, {name: _number(each) for name, each in (value or {}).items()}, SCAN)
            continue
        number = _number(value)
        if check.percent and number is not None:
            number = 100 * number / rows if rows else None
        found[check.check_id] = Measured(number, SCAN, first_bad)
    return rows, newest, found


def statement(contract: Contract, checks: Sequence[Check], source: str) -> str:
    """The one SELECT: row count, newest value of the freshness column, then each rule's value and the first partition that breaks it."""
    newest = f"max({identifier(contract.freshness_column)})" if contract.freshness_column else "NULL"
    partition = first_partition(contract)
    measures = ["count(*)", newest]
    for check in checks:
        condition = breaking(check)
        measures.append(_by_partition(check, partition, source) if check.per_partition else _measure(check, condition, source))
        measures.append(f"min({partition}) FILTER (WHERE {condition})" if condition and partition and not check.per_partition else "NULL")
    return f"SELECT {', '.join(measures)} FROM {source}"  # noqa: S608  # identifiers and literals are quoted; queries are the contract's


def first_partition(contract: Contract) -> str | None:
    """The value of the first partition field, as text such as `2026-11-22`; None where its transform has no readable value."""
    if not contract.partitioning:
        return None
    transform, _, rest = contract.partitioning[0].partition("(")
    column = identifier(rest.rstrip(")") or transform)
    text = {
        "day": f"CAST(CAST({column} AS date) AS varchar)",
        "month": f"substr(CAST(CAST({column} AS date) AS varchar), 1, 7)",
        "year": f"substr(CAST(CAST({column} AS date) AS varchar), 1, 4)",
        "hour": f"date_format({column}, '%Y-%m-%d-%H')",
    }.get(transform, None if rest else f"CAST({column} AS varchar)")
    return text and f"coalesce({text}, 'null')"


def _by_partition(check: Check, partition: str | None, source: str) -> str:
    if partition is None:
        return "NULL"
    value = _measure(check, breaking(check), source)
    value = f"100e0 * ({value}) / count(*)" if check.percent else value
    return f"(SELECT map_agg(p, v) FROM (SELECT {partition} AS p, {value} AS v FROM {source} GROUP BY 1))"  # noqa: S608  # as above


def _measure(check: Check, condition: str | None, source: str) -> str:
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


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
