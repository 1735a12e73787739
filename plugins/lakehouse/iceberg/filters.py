"""Row filters of PyIceberg; its classes take positional arguments that their own types do not show."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    BooleanExpression,
    EqualTo,
    GreaterThanOrEqual,
    In,
    LessThan,
    LessThanOrEqual,
    StartsWith,
)
from pyiceberg.table import Table
from pyiceberg.types import DateType, TimestamptzType


def equal(column: str, value: str) -> BooleanExpression:
    """Rows whose column has the value."""
    return EqualTo(column, value)  # type: ignore[call-arg,arg-type]


def one_of(column: str, values: Iterable[str]) -> BooleanExpression:
    """Rows whose column has one of the values."""
    return In(column, set(values))  # type: ignore[call-arg,arg-type]


def at_least(column: str, value: int) -> BooleanExpression:
    """Rows whose column is that number or greater."""
    return GreaterThanOrEqual(column, value)  # type: ignore[call-arg,arg-type]


def at_most(column: str, value: int) -> BooleanExpression:
    """Rows whose column is that number or less."""
    return LessThanOrEqual(column, value)  # type: ignore[call-arg,arg-type]


def below(column: str, text: str) -> BooleanExpression:
    """Rows whose text comes before that one."""
    return LessThan(column, text)  # type: ignore[call-arg,arg-type]


def starts_with(column: str, text: str) -> BooleanExpression:
    """Rows whose text begins so."""
    return StartsWith(column, text)  # type: ignore[call-arg,arg-type]


def not_after(column: str, moment: datetime) -> BooleanExpression:
    """Rows whose time (a column with a zone) is that moment or before."""
    return LessThanOrEqual(column, moment.isoformat())  # type: ignore[call-arg,arg-type]


def within_days(table: Table, column: str, first: date | None, last: date | None) -> BooleanExpression:
    """Rows whose time is in the days (UTC, both included); None is no bound. With any bound, rows without a time do not match."""
    kind = table.schema().find_type(column)
    midnight = "" if isinstance(kind, DateType) else "T00:00:00+00:00" if isinstance(kind, TimestamptzType) else "T00:00:00"
    condition: BooleanExpression = AlwaysTrue()
    if first is not None:
        condition = And(condition, GreaterThanOrEqual(column, f"{first}{midnight}"))  # type: ignore[call-arg,arg-type]
    if last is not None and last < date.max:
        condition = And(condition, LessThan(column, f"{last + timedelta(days=1)}{midnight}"))  # type: ignore[call-arg,arg-type]
    return condition
