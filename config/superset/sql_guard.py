"""What Superset's own checks of SQL let through, refused: `superset_config.py` asks here before any SQL of a user is run.

Superset 6.1 finds the tables of a statement with sqlglot, asks whether the user may see them, and puts row-level security around them.
Tried as a user of SQL Lab without any right to the database, these got past both, and are the reason of the rules below:

- `EXECUTE IMMEDIATE 'SELECT …'`, `PREPARE` and `EXECUTE`, `EXPLAIN ANALYZE`, `SHOW STATS FOR`, `ANALYZE`, `CALL`: sqlglot keeps what it
  does not know as one piece of text, in which nothing is looked for;
- `WITH t AS (SELECT 1) SELECT * FROM (SELECT * FROM other_db.t)`: any table whose name is also that of a common table expression is
  taken for it, with whatever schema before it;
- a metric `symbol FROM t UNION SELECT symbol`: a subquery is refused in what a user writes into a chart, a set operation is not;
- `"catalog": ""` in the request: the table is then looked up in the default catalog, and its row-level security in none (this one is
  refused in `superset_config.py`);
- the results of somebody else's query, by its key or its client id: who may see its tables got its rows, of any symbol.

Only sqlglot is imported, so that the rules can be tested without Superset.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

_PARTS_OF_A_QUERY = ("with_", "with", "from_", "from", "where", "group", "having", "order", "limit", "joins", "distinct")


def refused_statements(statements: Collection[exp.Expression], known: Collection[tuple[str, str, str]], *, whole_database: bool) -> str:
    """Why these statements may not run, in a sentence; empty when they may.

    Args:
        statements: as Superset parsed them.
        known: catalog, schema and name of each table that Superset found in them, as written: those it checks and filters.
        whole_database: whether the user may read every table; then no row-level security has to hold, but nothing may be changed.
    """
    for statement in statements:
        hidden = [node for node in statement.find_all(exp.Command, exp.Analyze) if not (whole_database and _only_tells(node))]
        if hidden:
            return f"{hidden[0].name.upper() or 'ANALYZE'} is not allowed here: write the SELECT itself"
    if whole_database:
        return ""
    if len(statements) != 1:
        return "write one statement"
    (statement,) = statements
    if not isinstance(statement, exp.Query):
        return "write a SELECT"
    if statement.find(exp.MatchRecognize):
        return "MATCH_RECOGNIZE is not allowed here: row-level security would see what it makes, not what it reads"
    return _refused_tables(statement, known)


def _only_tells(command: exp.Expression) -> bool:
    """Whether it only tells of tables; EXPLAIN ANALYZE runs what it explains, be it a DELETE."""
    first, *rest = f"{command.name} {command.text('expression')}".upper().split() or [""]
    return first == "SHOW" or (first == "EXPLAIN" and "".join(rest[:1]).startswith(("SELECT", "WITH", "(")))


def _refused_tables(statement: exp.Expression, known: Collection[tuple[str, str, str]]) -> str:
    aliases = [cte.alias.lower() for cte in statement.find_all(exp.CTE)]
    if len(aliases) != len(set(aliases)):
        return "two common table expressions have the same name"
    for table in statement.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            return "table functions are not allowed here"
        name = table.name.lower()
        if not table.db and name in _in_scope(table):
            continue
        if name in aliases:
            return f"{table.name} is the name of a table and of a common table expression: give the expression another name"
        if (table.catalog, table.db, table.name) not in known:
            return f"{table.name} stands where Superset does not look for tables: write it as a plain table of a SELECT"
    return ""


def _in_scope(table: exp.Expression) -> Iterator[str]:
    """The names of the common table expressions that a table at this place can mean: those before its own, and its own if recursive."""
    inside: exp.Expression | None = None
    node: exp.Expression | None = table
    while node is not None:
        if isinstance(node, exp.CTE):
            inside = node
        with_ = node.args.get("with_") or node.args.get("with")
        if isinstance(with_, exp.With):
            for cte in with_.expressions:
                if cte is inside:
                    if with_.args.get("recursive"):
                        yield cte.alias.lower()
                    break
                yield cte.alias.lower()
        node = node.parent


def refused_expression(expression: str, dialect: str = "trino") -> str:
    """Why this may not be a column, metric or filter of a chart, in a sentence; empty when it may.

    Only an expression over the dataset's own columns may: alone after SELECT it must make a SELECT of one column and nothing else.
    """
    try:
        parsed = sqlglot.parse(f"SELECT {expression}\n", read=dialect)
    except SqlglotError:
        return "it is no single expression"
    select = parsed[0] if len(parsed) == 1 else None
    if not isinstance(select, exp.Select) or len(select.expressions) != 1 or any(select.args.get(part) for part in _PARTS_OF_A_QUERY):
        return "it is more than one expression"
    if any(node is not select for node in select.find_all(exp.Query)) or select.find(exp.Table, exp.Command):
        return "it reads another table"
    return ""
