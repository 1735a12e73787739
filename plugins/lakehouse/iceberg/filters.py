"""Row filters of PyIceberg; its classes take positional arguments that their own types do not show."""

from __future__ import annotations

from collections.abc import Iterable

from pyiceberg.expressions import BooleanExpression, EqualTo, In


def equal(column: str, value: str) -> BooleanExpression:
    """Rows whose column has the value."""
    return EqualTo(column, value)  # type: ignore[call-arg,arg-type]


def one_of(column: str, values: Iterable[str]) -> BooleanExpression:
    """Rows whose column has one of the values."""
    return In(column, set(values))  # type: ignore[call-arg,arg-type]
