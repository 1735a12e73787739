"""The rules of a contract applied to single rows, before they are loaded: DuckDB evaluates the very conditions that Trino counts."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot

from lakehouse.contracts import Contract
from lakehouse.quality.predicates import DIALECT, breaking


class RowRules:
    """Says of each row which rule it breaks, if any.

    The rules are those of severity error that allow no breaking row, the columns that must have a value, and lists of known values.

    NaN counts as the largest number here, and as none in Trino.

    Args:
        known_values: values that a column may have; null is none of its business.
    """

    def __init__(self, contract: Contract, known_values: dict[str, frozenset[str]] | None = None) -> None:
        self._known = {column: pa.array(sorted(values), pa.string()) for column, values in (known_values or {}).items()}
        self._required = [column.name for column in contract.columns if column.required]
        self._rules = {
            check.check_id: sqlglot.transpile(condition, read=DIALECT, write="duckdb")[0]
            for check in contract.checks
            if check.severity == "error" and check.operator in ("=", "<=") and check.threshold == 0
            for condition in [breaking(check)]
            if condition is not None
        }
        self._connection = duckdb.connect()
        self._connection.execute("SET TimeZone = 'UTC'")  # else days are those of the machine's zone

    def broken(self, rows: pa.Table) -> list[str | None]:
        """The first rule that each row breaks: `missing_<column>`, `unknown_<column>`, or the rule's id; None where it breaks none."""
        verdicts = {f"missing_{name}": pc.is_null(rows[name]) for name in self._required if name in rows.column_names}
        for name, values in self._known.items():
            verdicts[f"unknown_{name}"] = pc.and_(pc.is_valid(rows[name]), pc.invert(pc.is_in(rows[name], value_set=values)))
        if self._rules:
            conditions = ", ".join(f"coalesce({condition}, false)" for condition in self._rules.values())
            self._connection.register("rows", rows)
            found = self._connection.sql(f"SELECT {conditions} FROM rows").to_arrow_table()  # noqa: S608  # the contract's own conditions
            verdicts |= dict(zip(self._rules, found.columns, strict=True))
        first = pa.nulls(len(rows), pa.string())
        for name, verdict in reversed(verdicts.items()):
            first = pc.if_else(verdict, name, first)
        return list(first.to_pylist())
