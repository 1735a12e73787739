"""The SQL in a Superset export: parsed by sqlglot in the dialect of its database, and held against the contracts' columns.

Text with Jinja in it is no SQL until Superset has filled it in: it is left out, and said so in a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.schema import MappingSchema

from lakehouse.dashboards.findings import Finding
from lakehouse.dashboards.superset.bundle import Bundle, Document
from lakehouse.dashboards.superset.lint_charts import names_of, query_context
from lakehouse.dashboards.superset.trino_words import refused_words

if TYPE_CHECKING:
    from lakehouse.contracts import Contract

Tables = Mapping[str, frozenset[str]]  # columns by `schema.table`
# SQLAlchemy's name of a database, and sqlglot's; of any other only Trino's own rules would be known, so its SQL is left out.
_DIALECTS = {
    "trino": "trino", "presto": "presto", "awsathena": "athena", "postgresql": "postgres", "postgres": "postgres", "redshift": "redshift",
    "mysql": "mysql", "sqlite": "sqlite", "clickhouse": "clickhouse", "clickhousedb": "clickhouse", "bigquery": "bigquery",
    "snowflake": "snowflake", "mssql": "tsql", "duckdb": "duckdb", "hive": "hive", "databricks": "databricks", "oracle": "oracle",
    "druid": "druid", "doris": "doris", "starrocks": "starrocks", "risingwave": "risingwave",
}  # fmt: skip
_JINJA = re.compile(r"{{|{%|{#")
_AT_LINE = re.compile(r"\.?\s*Line: (\d+)(, Col: \d+)?")


def check_sql(bundle: Bundle, contracts: Mapping[str, Contract], default: str | None) -> Iterator[Finding]:
    """SQL that the database would refuse, and columns that its tables do not have.

    Args:
        default: dialect where the address of the database is not known; None leaves such SQL out.
    """
    tables = {name.lower(): frozenset(column.lower() for column in contract.column_names) for name, contract in contracts.items()}
    dialects = {str(one.data.get("uuid")): _dialect(str(one.data.get("sqlalchemy_uri")), default) for one in bundle.of("databases")}
    for one in bundle.of("databases"):
        if dialects[str(one.data.get("uuid"))] is None:
            message = "the dialect of this database is not known here: the SQL of its datasets and charts is not checked"
            yield one.finding("dialect", message, "sqlalchemy_uri", severity="note")
    datasets: dict[str, _Dataset] = {}
    for document in bundle.of("datasets"):
        dialect = dialects.get(str(document.data.get("database_uuid")), default)
        if dialect:
            datasets[str(document.data.get("uuid"))] = dataset = _Dataset(document, dialect, tables)
            yield from dataset.check()
    for chart in bundle.of("charts"):
        if of := datasets.get(str(chart.data.get("dataset_uuid"))):
            done: set[str] = set()
            for sql, place in [*_written(chart.data.get("params"), ("params",)), *_written(query_context(chart), ("query_context",))]:
                if sql not in done and sql not in of.names:  # the column on a time axis is said as SQL, whatever its name
                    done.add(sql)
                    yield from of.expression(chart, sql, place)
    for document in [*bundle.of("security"), *bundle.of("alerts")]:
        for sql, place in _statements(document.data, ()):
            yield from _Text(document, place, sql, default or "trino").check(tables, None, query=place[-1] == "sql")


class _Dataset:
    """A dataset's SQL, and the columns that its metrics and charts may name: None where nothing is known of them."""

    def __init__(self, document: Document, dialect: str, tables: Tables) -> None:
        self._document, self._dialect, self._tables = document, dialect, tables
        data = document.data
        self._schema = str(data.get("schema") or "").lower()
        self._listed = [one for one in _list(data.get("columns")) if isinstance(one, dict) and isinstance(one.get("column_name"), str)]
        self.names = names_of(document, "columns", "column_name")
        self._columns = None if data.get("sql") else tables.get(f"{self._schema}.{data.get('table_name')}".lower())

    def check(self) -> Iterator[Finding]:
        document, data = self._document, self._document.data
        if isinstance(sql := data.get("sql"), str) and sql.strip():
            text = _Text(document, ("sql",), sql, self._dialect, self._schema)
            yield from text.check(self._tables, None, query=True)
            self._columns = text.gives
        elif self._columns is None and any(name.startswith(f"{self._schema}.") for name in self._tables):
            message = f"no contract is for the table {self._schema}.{data.get('table_name')}"
            yield document.finding("no-such-table", message, "table_name", severity="warning")
        for i, column in enumerate(self._listed):
            if column.get("expression"):
                yield from self.expression(document, column["expression"], ("columns", i, "expression"))
            elif self._columns is not None and column["column_name"].lower() not in self._columns:
                message = f"`{column['column_name']}` is no column of its table or query"
                yield document.finding("no-such-column", message, "columns", i, "column_name")
        for i, metric in enumerate(_list(data.get("metrics"))):
            if isinstance(metric, dict):
                yield from self.expression(document, metric.get("expression"), ("metrics", i, "expression"))
        yield from self.expression(document, data.get("fetch_values_predicate"), ("fetch_values_predicate",))
        time = data.get("main_dttm_col")
        if self.names and isinstance(time, str) and time and time not in self.names:
            message = f"`main_dttm_col` is `{time}`, which is not among the columns"
            yield document.finding("no-such-column", message, "main_dttm_col", severity="warning")

    def expression(self, document: Document, sql: Any, place: tuple[Any, ...]) -> Iterator[Finding]:
        """What is wrong with an expression on this dataset, wherever it is written."""
        if isinstance(sql, str) and sql.strip():
            # A chart may name calculated columns as well: Superset fills in some of them, and a missing one is for Trino to say.
            known = None if self._columns is None else self._columns | {name.lower() for name in self.names}
            yield from _Text(document, place, sql, self._dialect).check(self._tables, known, query=False)


class _Text:
    """One text of SQL at its place in a file. `gives` are the names of a query's columns, as far as they can be told."""

    def __init__(self, document: Document, place: tuple[Any, ...], sql: str, dialect: str, schema: str = "") -> None:
        self._document, self._place, self._sql, self._dialect, self._schema = document, place, sql, dialect, schema
        self.gives: frozenset[str] | None = None

    def check(self, tables: Tables, columns: frozenset[str] | None, *, query: bool) -> Iterator[Finding]:
        if _JINJA.search(self._sql):
            yield self._finding("jinja", "has Jinja in it, so its SQL is not checked", severity="note")
            return
        # Superset drops the semicolon at the end (`superset/models/helpers.py`, `get_from_clause`).
        text = self._sql.strip("\t\r\n; ") if query else f"SELECT (\n{self._sql}\n)"
        try:
            parsed = [one for one in sqlglot.parse(text, dialect=self._dialect) if one is not None]
        except (SqlglotError, RecursionError) as error:
            errors = getattr(error, "errors", None) or [{}]
            line = errors[0].get("line") or 1
            said = errors[0].get("description") or "cannot be parsed"
            near = str(errors[0].get("highlight") or "").strip()
            yield self._finding(
                "sql", f"not SQL that {self._dialect} takes: {said}{f' near `{near}`' if near else ''}", line if query else line - 1
            )
            return
        tree = parsed[0] if len(parsed) == 1 else None
        if not isinstance(tree, exp.Query) or not (query or _is_one(tree)):
            yield self._finding("sql", "must be one query" if query else "must be one expression")
            return
        if self._dialect == "trino":
            for line, message in refused_words(text, tree):
                yield self._finding("sql", f"not SQL that Trino takes: {message}", line if query else line - 1)
        yield from self._columns_of_query(tree, tables) if query else self._columns_of_expression(tree, columns)

    def _columns_of_query(self, tree: exp.Query, tables: Tables) -> Iterator[Finding]:
        if not tables:
            return
        scopes = traverse_scope(tree)
        named = [source for scope in scopes for source in scope.sources.values() if isinstance(source, exp.Table)]
        for table in named:
            table.set("db", exp.to_identifier(table.db or self._schema or None))
            table.set("catalog", None)
        known = {name: tables.get(name) for name in (_name(table) for table in named)}
        for name in known:
            schema = name.partition(".")[0]
            if known[name] is None and any(other.startswith(f"{schema}.") for other in tables):
                yield self._finding("no-such-table", f"no contract is for the table {name}", severity="warning")
        if known and None not in known.values():
            yield from self._qualified(tree, {name: there for name, there in known.items() if there is not None})
            return
        for scope in scopes:
            for column in scope.columns:
                source = scope.sources.get(column.table)
                name = _name(source) if isinstance(source, exp.Table) else ""
                there = known.get(name)
                if there is not None and column.name.lower() not in there:
                    line = column.this.meta.get("line")
                    yield self._finding("no-such-column", f"`{column.sql(self._dialect)}` is no column of {name}", line)

    def _qualified(self, tree: exp.Query, known: Tables) -> Iterator[Finding]:
        """Every column resolved, as Trino does it; then the names of the result are known as well."""
        layout: dict[str, object] = {}
        for schema in {name.partition(".")[0] for name in known}:
            mine = {name.partition(".")[2]: names for name, names in known.items() if name.startswith(f"{schema}.")}
            layout[schema] = {table: dict.fromkeys(names, "varchar") for table, names in mine.items()}
        try:
            # Trino knows a name that SELECT gives in ORDER BY alone, not in WHERE and GROUP BY.
            whole = qualify(
                tree,
                dialect=self._dialect,
                schema=MappingSchema(layout, dialect=self._dialect),
                expand_alias_refs=False,
                quote_identifiers=False,
            )
        except (SqlglotError, RecursionError) as error:
            said = str(error).split("\n")[0]
            if "'$" in said:  # a hidden column of Iceberg's, such as "$path"
                return
            at = _AT_LINE.search(said)
            yield self._finding("no-such-column", f"against the contracts: {_AT_LINE.sub('', said)}", int(at[1]) if at else None)
            return
        self.gives = frozenset(name.lower() for name in whole.named_selects) if isinstance(whole, exp.Query) else None

    def _columns_of_expression(self, tree: exp.Query, columns: frozenset[str] | None) -> Iterator[Finding]:
        if columns is None or tree.find(exp.Table):  # with a query of its own within, its columns are not only ours
            return
        for name in dict.fromkeys(column.name for column in tree.find_all(exp.Column)):
            if name.lower() not in columns:
                yield self._finding("no-such-column", f"names `{name}`, which its dataset does not have")

    def _finding(self, rule: str, message: str, line: int | None = None, severity: str = "error") -> Finding:
        document = self._document
        first = document.line(*self._place)
        node = document.scalar(*self._place)
        if node is not None and node.style in ("|", ">") and line:
            first += line  # the text begins below its key
        return Finding(document.shown, first, f"{_said(self._place)}: {message}", severity, rule)


def _is_one(tree: exp.Query) -> bool:
    """Whether `SELECT (…)` is of one expression, and of nothing behind it."""
    return isinstance(tree, exp.Select) and len(tree.expressions) == 1 and isinstance(tree.expressions[0], exp.Paren)


def _said(place: tuple[Any, ...]) -> str:
    return ".".join(str(step) for step in place if not isinstance(step, int))


def _name(table: exp.Table) -> str:
    return f"{table.db}.{table.name}".lower()


def _dialect(address: str, default: str | None) -> str | None:
    backend = address.partition(":")[0].partition("+")[0].lower()
    return default if not re.fullmatch(r"[a-z0-9]+", backend) or "://" not in address else _DIALECTS.get(backend)


def _written(value: Any, place: tuple[Any, ...]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Expressions that someone wrote as SQL, in metrics, columns and filters."""
    if isinstance(value, dict):
        sql = value.get("sqlExpression")
        if value.get("expressionType") == "SQL" and isinstance(sql, str) and sql.strip():
            yield sql, (*place, "sqlExpression")
        for key, entry in value.items():
            yield from _written(entry, (*place, key))
    elif isinstance(value, list):
        for i, entry in enumerate(value):
            yield from _written(entry, (*place, i))


def _statements(value: Any, place: tuple[Any, ...]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Queries (`sql`) and conditions (`clause`) of a file of `security/` or `alerts/`."""
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key in ("sql", "clause") and isinstance(entry, str):
            yield entry, (*place, key)
        else:
            yield from _statements(entry, (*place, key))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
