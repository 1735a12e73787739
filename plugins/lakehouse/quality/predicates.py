"""A rule of a contract as the condition that is true for the rows which break it.

One text serves three ends: counting in Trino, showing some of the rows, and refusing single rows of a feed before they are loaded.
Written in Trino's dialect; sqlglot reads the contract's own queries.
"""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp

from lakehouse.contracts import Check
from lakehouse.exceptions import ConfigurationError
from lakehouse.sql import identifier, literal

DIALECT = "trino"


def breaking(check: Check) -> str | None:
    """The condition for rows that break the rule; None for a rule about the table as a whole.

    Raises:
        ConfigurationError: the rule's metric is not known, or its query is not SQL.
    """
    if check.query:
        return _condition(check)
    arguments = dict(check.arguments)
    column = identifier(check.column) if check.column else ""
    if check.metric == "nullValues":
        return f"{column} IS NULL"
    if check.metric == "missingValues":
        listed = ", ".join(literal(value) for value in arguments.get("missingValues", []) if value is not None) or "''"
        return f"{column} IS NULL OR CAST({column} AS varchar) IN ({listed})"
    if check.metric == "invalidValues":
        if "pattern" in arguments:
            return f"NOT regexp_like({column}, {literal(arguments['pattern'])})"
        listed = ", ".join(literal(value) for value in arguments["validValues"])
        return f"{column} IS NOT NULL AND {column} NOT IN ({listed})"
    if check.metric in ("rowCount", "duplicateValues") or check.measure:
        return None
    raise ConfigurationError(f"check {check.check_id}: metric {check.metric} is not known")


def _condition(check: Check) -> str | None:
    """The WHERE of a query that does nothing but count rows of the table."""
    query = parse_query(check)
    where = query.args.get("where")
    counts_all = len(query.expressions) == 1 and query.expressions[0].sql(dialect=DIALECT).upper() == "COUNT(*)"
    plain = set(query.args) - {"kind", "expressions", "from", "from_", "where"}
    nested = len(list(query.find_all(exp.Select))) > 1 or query.find(exp.Join)
    if not counts_all or where is None or any(query.args[name] for name in plain) or nested:
        return None
    return str(where.this.sql(dialect=DIALECT))


def parse_query(check: Check, name: str = "t") -> exp.Select:
    """The rule's query, with `{table}` as a table of this name.

    Raises:
        ConfigurationError: it is not one SELECT.
    """
    try:
        query = sqlglot.parse_one((check.query or "").replace("{table}", name), dialect=DIALECT)
    except sqlglot.errors.SqlglotError as error:
        # sqlglot underlines with the terminal's own codes.
        plain = re.sub(r"\x1b\[\d*m", "", str(error))
        raise ConfigurationError(f"check {check.check_id}: its query is not SQL that Trino takes: {plain}") from error
    if not isinstance(query, exp.Select):
        raise ConfigurationError(f"check {check.check_id}: its query must be one SELECT of one number")
    return query
