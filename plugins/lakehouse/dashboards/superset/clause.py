"""The condition of a rule of row-level security, as SQL that Trino and Superset's own parser read the same way."""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakehouse.dashboards.objects import Document
from lakehouse.exceptions import ConfigurationError

# A series is its underlying, two digits of the year, C or P, and the strike: SPY25C400.
_SERIES = "[0-9][0-9][CP][0-9]"
_UNDERLYING = re.compile(r"[A-Z][A-Z0-9]{0,9}")
_COLUMN = re.compile(r"[a-z_][a-z0-9_]*")


def clause_of(rule: Document) -> str:
    """The condition that a rule's file asks for: `column` and `underlyings`, or a `clause` of its own.

    Raises:
        ConfigurationError: it has both or none, or something that could end the condition and begin another statement.
    """
    if ("clause" in rule) == ("underlyings" in rule):
        raise ConfigurationError("needs either `clause`, or `column` and `underlyings`")
    return checked(str(rule["clause"])) if "clause" in rule else series_of(str(rule.get("column", "symbol")), rule["underlyings"])


def series_of(column: str, underlyings: object) -> str:
    """The condition that a symbol is one of the series of these underlyings.

    Raises:
        ConfigurationError: there is none, or one is no plain name such as `SPY`; a pattern's own signs are refused, not escaped.
    """
    names = underlyings if isinstance(underlyings, list) else []
    strange = [name for name in names if not (isinstance(name, str) and _UNDERLYING.fullmatch(name))]
    if not names or strange:
        shown = ", ".join(repr(name) for name in strange) or "none"
        raise ConfigurationError(f"`underlyings` are names of capitals and digits such as SPY, not {shown}")
    if not _COLUMN.fullmatch(column):
        raise ConfigurationError(f"`column` is a column's name in small letters, not {column!r}")
    return f"REGEXP_LIKE({column}, '^({'|'.join(sorted(set(names)))}){_SERIES}')"


def checked(clause: str) -> str:
    """The clause itself, if it is one condition over the table's own columns.

    Raises:
        ConfigurationError: it does not parse alone, has a `;`, a comment or a query in it, or names another table.
    """
    try:
        tokens = sqlglot.tokenize(clause, read="trino")
        parsed = sqlglot.parse_one(clause, read="trino", into=exp.Condition)
    except SqlglotError as error:
        raise ConfigurationError(f"the clause is no condition: {str(error).splitlines()[0]}") from error
    if any(token.text == ";" or token.comments for token in tokens):
        raise ConfigurationError("the clause has a `;` or a comment in it")
    if "{{" in clause or "{%" in clause:
        raise ConfigurationError("the clause has a template in it, which Superset here does not fill")
    if parsed.find(exp.Query, exp.Command, exp.Table) or any(column.table for column in parsed.find_all(exp.Column)):
        raise ConfigurationError("the clause may use the columns of its own table alone")
    if parsed.find(exp.Placeholder, exp.Parameter):
        raise ConfigurationError("the clause has a parameter in it")
    return clause
