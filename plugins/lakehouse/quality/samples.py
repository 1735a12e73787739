"""A few of the rows that break a rule, for the person who looks into it: capped, masked, without columns of a classification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from lakehouse.contracts import Check, Contract
from lakehouse.masking import mask
from lakehouse.quality.predicates import DIALECT, breaking, parse_query
from lakehouse.quality.results import CheckResult
from lakehouse.quality.scan import first_partition
from lakehouse.sql import Cursor, identifier

ROWS = 5
_PARTITION, _CHECKED = "_partition", "the_checked_table"


@dataclass(frozen=True)
class FailedRow:
    """One row that breaks a rule; `masked` is JSON that is cut where it is long."""

    table_name: str
    check_id: str
    severity: str
    partition_value: str | None
    masked: str
    snapshot_id: int | None


def failed_rows(cursor: Cursor, contract: Contract, results: Sequence[CheckResult], source: str, *, limit: int = ROWS) -> list[FailedRow]:
    """Some rows for each result that is not passed; none for rules about the table as a whole."""
    rules = {check.check_id: check for check in contract.checks}
    found = []
    for result in results:
        if result.status not in ("failed", "warned") or result.check_id not in rules:
            continue
        for row in sample(cursor, contract, result.check_id, source, limit=limit):
            partition = row.pop(_PARTITION, None)
            text = mask(orjson.dumps(row, default=str).decode())
            found.append(FailedRow(contract.table, result.check_id, result.severity, partition, text, result.snapshot_id))
    return found


def sample(cursor: Cursor, contract: Contract, check_id: str, source: str, *, limit: int = 3) -> list[dict[str, Any]]:
    """Some rows that break a rule, columns of a classification left out; none for a rule about the table as a whole."""
    check = next(check for check in contract.checks if check.check_id == check_id)
    statement = _statement(check, contract, source, limit)
    if statement is None:
        return []
    cursor.execute(statement)
    rows = cursor.fetchall()
    hidden = {column.name.lower() for column in contract.columns if column.classification is not None}
    # A column by another name may hold what a classified one does.
    shown = {column.name.lower() for column in contract.columns if column.classification is None} | {_PARTITION}
    names = [column[0] for column in cursor.description]
    kept = [name for name in names if not hidden or name.lower() in shown or check.metric is not None]
    return [{name: value for name, value in zip(names, row, strict=True) if name in kept} for row in rows]


def _statement(check: Check, contract: Contract, source: str, limit: int) -> str | None:
    condition = breaking(check)
    if condition is not None:
        columns = [identifier(column.name) for column in contract.columns if column.classification is None]
        if partition := first_partition(contract):
            columns.append(f"{partition} AS {identifier(_PARTITION)}")
        return f"SELECT {', '.join(columns)} FROM {source} WHERE {condition} LIMIT {limit:d}"  # noqa: S608  # quoted; the rule is the contract's
    if check.metric == "duplicateValues":
        classified = {column.name for column in contract.columns if column.classification is not None}
        named = dict(check.arguments).get("properties", [check.column])
        if classified & set(named):
            return None
        columns = [identifier(name) for name in named]
        grouped = ", ".join(columns)
        return (
            f"SELECT {grouped}, count(*) AS times FROM {source} GROUP BY {grouped} HAVING count(*) > 1 ORDER BY times DESC LIMIT {limit:d}"  # noqa: S608  # quoted
        )
    return _rows_of_query(check, source, limit) if check.query else None


def _rows_of_query(check: Check, source: str, limit: int) -> str | None:
    """The rows that a query of its own counts; None where it does not count rows."""
    query = parse_query(check, _CHECKED)
    if [each.sql(dialect=DIALECT).upper() for each in query.expressions] != ["COUNT(*)"] or query.args.get("group"):
        return None
    return str(query.select("*", append=False).limit(limit).sql(dialect=DIALECT)).replace(_CHECKED, source)
