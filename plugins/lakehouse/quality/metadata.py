"""Answers rules from the manifests, where those are exact; what they cannot answer is left for the scan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlglot
from pyiceberg.schema import Schema
from pyiceberg.types import DateType, DecimalType, IntegerType, LongType, TimestampType, TimestamptzType
from sqlglot import exp

from lakehouse.contracts import Check
from lakehouse.quality.manifests import ColumnFacts, ManifestFacts
from lakehouse.quality.predicates import DIALECT, breaking
from lakehouse.quality.results import MANIFESTS, Measured

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS = (IntegerType, LongType, DecimalType)
# Whether a comparison with a number is false for every value between the bounds.
_NEVER: dict[type[exp.Expr], Callable[[Any, Any, float], bool]] = {
    exp.LT: lambda low, _, number: low >= number,
    exp.LTE: lambda low, _, number: low > number,
    exp.GT: lambda _, high, number: high <= number,
    exp.GTE: lambda _, high, number: high < number,
}


def answer(check: Check, facts: ManifestFacts, schema: Schema) -> Measured | None:
    """The rule's value as the manifests give it; None where only a scan can tell.

    Answered are counts of rows (also per partition), counts of nulls, and rules whose rows the columns' bounds rule out.
    """
    if not facts.exact:
        return None
    if check.per_partition:
        return _per_partition(check, facts)
    count = _count(check, facts, schema)
    if count is None:
        return None
    first_bad = facts.columns[check.column].first_null if check.metric == "nullValues" and check.column else None
    return Measured(100 * count / facts.rows if check.percent and facts.rows else float(count), MANIFESTS, first_bad)


def newest(column: str | None, facts: ManifestFacts, schema: Schema) -> datetime | date | None:
    """The largest value of a time column; None where only a scan can tell, or there is none."""
    if column is None or not facts.exact or column not in facts.columns:
        return None
    known = facts.columns[column]
    kind = schema.find_field(column).field_type
    if not known.bounded or known.highest is None:
        return None
    if isinstance(kind, DateType):
        return (_EPOCH + timedelta(days=known.highest)).date()
    return _EPOCH + timedelta(microseconds=known.highest) if isinstance(kind, TimestampType | TimestamptzType) else None


def _count(check: Check, facts: ManifestFacts, schema: Schema) -> int | None:
    if check.metric == "rowCount":
        return facts.rows
    if check.metric == "nullValues" and check.column in facts.columns:
        return facts.columns[check.column].nulls
    condition = breaking(check) if check.query else None
    if condition and _rules_out(sqlglot.parse_one(condition, dialect=DIALECT), facts, schema):
        return 0
    return None


def _rules_out(condition: exp.Expr, facts: ManifestFacts, schema: Schema) -> bool:
    """Whether the bounds show that no row meets the condition."""
    if isinstance(condition, exp.Paren):
        return _rules_out(condition.this, facts, schema)
    if isinstance(condition, exp.Or | exp.And):
        sides = [_rules_out(side, facts, schema) for side in (condition.left, condition.right)]
        return all(sides) if isinstance(condition, exp.Or) else any(sides)
    number = _number(condition.expression) if type(condition) in _NEVER else None
    if number is None or not isinstance(condition.this, exp.Column):
        return False
    name = next((each.name for each in schema.fields if each.name.lower() == condition.this.name.lower()), None)
    if name is None or not isinstance(schema.find_field(name).field_type, _NUMBERS):
        return False
    known: ColumnFacts = facts.columns[name]
    if not known.bounded:
        return False
    return known.lowest is None or _NEVER[type(condition)](known.lowest, known.highest, number)


def _number(literal: exp.Expr) -> float | int | None:
    if isinstance(literal, exp.Neg):
        inner = _number(literal.this)
        return None if inner is None else -inner
    if not isinstance(literal, exp.Literal) or literal.is_string:
        return None
    return float(literal.name) if set(literal.name) & set(".eE") else int(literal.name)


def _per_partition(check: Check, facts: ManifestFacts) -> Measured | None:
    if check.metric != "rowCount" or facts.partitions is None or check.percent:
        return None
    return worst(check, {name: float(figures.rows) for name, figures in facts.partitions.items()}, MANIFESTS)


def worst(check: Check, values: dict[str, float | None], answered_by: str) -> Measured:
    """Of each partition's value the first that breaks the rule; the largest where none does."""
    for name in sorted(values):
        value = values[name]
        if value is None or not check.passes(value):
            return Measured(value, answered_by, first_bad=name)
    return Measured(max((value for value in values.values() if value is not None), default=None), answered_by)
