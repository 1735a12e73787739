"""The rules of `config/superset/sql_guard.py`; that Superset asks them is tried on the real server, in `tests/integration`."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from stack.installation import CONFIG

_spec = importlib.util.spec_from_file_location("sql_guard", CONFIG / "superset" / "sql_guard.py")
assert _spec
assert _spec.loader
guard = importlib.util.module_from_spec(_spec)
sys.modules["sql_guard"] = guard
_spec.loader.exec_module(guard)

TICKS = "option_ticks_db.bronze_option_ticks"
KNOWN = {("", "option_ticks_db", "bronze_option_ticks")}


def refused(sql: str, *, whole_database: bool = False, known=KNOWN) -> str:
    return guard.refused_statements([s for s in sqlglot.parse(sql, read="trino") if s], known, whole_database=whole_database)


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT * FROM {TICKS}",
        f"(SELECT * FROM {TICKS})",
        f"SELECT * FROM {TICKS} UNION ALL SELECT * FROM {TICKS}",
        f"WITH a AS (SELECT * FROM {TICKS}), b AS (SELECT * FROM a) SELECT * FROM a JOIN b ON a.symbol = b.symbol",
        f"WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a WHERE n < 3) SELECT * FROM a, {TICKS}",
        f"SELECT * FROM {TICKS} WHERE symbol IN (WITH a AS (SELECT 'x' AS s) SELECT s FROM a)",
        f"SELECT * FROM {TICKS} FOR VERSION AS OF 1",
        "SELECT 1",
    ],
)
def test_a_plain_query_may_run(sql):
    assert refused(sql) == ""


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (f"EXECUTE IMMEDIATE 'SELECT * FROM {TICKS}'", "EXECUTE is not allowed"),
        (f"PREPARE p FROM SELECT * FROM {TICKS}; EXECUTE p", "PREPARE is not allowed"),
        (f"EXPLAIN ANALYZE SELECT * FROM {TICKS}", "EXPLAIN is not allowed"),
        (f"SHOW STATS FOR (SELECT * FROM {TICKS})", "SHOW is not allowed"),
        (f"ANALYZE {TICKS}", "ANALYZE is not allowed"),
        ("CALL system.rollback_to_snapshot('a', 'b', 1)", "CALL is not allowed"),
        (f"DESCRIBE {TICKS}", "write a SELECT"),
        (f"CREATE TABLE a AS SELECT * FROM {TICKS}", "write a SELECT"),
        (f"SELECT 1; SELECT * FROM {TICKS}", "one statement"),
        (f"SELECT * FROM {TICKS} MATCH_RECOGNIZE (PATTERN (A) DEFINE A AS true)", "MATCH_RECOGNIZE"),
        ("SELECT * FROM TABLE(system.table_changes('a', 'b', 1, 2))", "table functions"),
        (f"WITH bronze_option_ticks AS (SELECT 1) SELECT * FROM (SELECT * FROM {TICKS})", "name of a table and of a common"),
        (f"WITH Bronze_Option_Ticks AS (SELECT 1) SELECT * FROM (SELECT * FROM {TICKS})", "name of a table"),
        ("WITH a AS (SELECT * FROM t), t AS (SELECT 1) SELECT * FROM a", "name of a table"),
        ("WITH t AS (SELECT * FROM t) SELECT * FROM t", "name of a table"),
        ("WITH a AS (SELECT 1), b AS (WITH a AS (SELECT 2) SELECT * FROM a) SELECT * FROM b", "the same name"),
        ("SELECT * FROM ops_db.refused_records", "does not look for tables"),
    ],
)
def test_what_superset_does_not_see_through_is_refused(sql, reason):
    known = {*KNOWN, ("", "", "t")}
    assert reason in refused(sql, known=known)


@pytest.mark.parametrize(
    "sql", ["SHOW TABLES FROM ops_db", f"DESCRIBE {TICKS}", f"EXPLAIN SELECT * FROM {TICKS}", f"SELECT 1; SELECT * FROM {TICKS}"]
)
def test_who_may_read_every_table_may_look_around(sql):
    assert refused(sql, whole_database=True) == ""


@pytest.mark.parametrize(
    "sql",
    [
        f"EXECUTE IMMEDIATE 'DELETE FROM {TICKS}'",
        f"EXPLAIN ANALYZE DELETE FROM {TICKS}",
        f"EXPLAIN /* */ ANALYZE DELETE FROM {TICKS}",
        "CALL a.b()",
    ],
)
def test_who_may_read_every_table_may_not_change_one_behind_superset(sql):
    assert "not allowed" in refused(sql, whole_database=True)


@pytest.mark.parametrize(
    "expression",
    [
        "COUNT(*)",
        "count(DISTINCT a)",
        "sum(x) FILTER (WHERE a > 1)",
        "a AND b OR c",
        "lag(x) OVER (PARTITION BY a ORDER BY b)",
        "array_agg(x ORDER BY y)",
    ],
)
def test_an_expression_over_the_datasets_columns_may_stand_in_a_chart(expression):
    assert guard.refused_expression(expression) == ""


@pytest.mark.parametrize(
    "expression",
    [
        f"symbol FROM {TICKS} UNION SELECT symbol",
        f"max(symbol) FROM {TICKS} --",
        f"(SELECT max(symbol) FROM {TICKS})",
        f"EXISTS (SELECT 1 FROM {TICKS})",
        f"a IN (SELECT symbol FROM {TICKS})",
        "1; SELECT 2",
        "a, b",
        "1=1) OR (1=1",
        "DISTINCT a",
        "1 LIMIT 1",
    ],
)
def test_an_expression_that_reads_more_is_refused_in_a_chart(expression):
    assert guard.refused_expression(expression)


@given(st.text(alphabet="abt ,.()'\";-/*\n", max_size=20), st.sampled_from(["UNION SELECT symbol", "EXCEPT SELECT 1", "UNION ALL TABLE t"]))
def test_no_set_operation_passes_as_an_expression(before, operation):
    try:
        parsed = sqlglot.parse(f"SELECT {before} {operation}", read="trino")
    except sqlglot.errors.SqlglotError:
        return
    if any(one and list(one.find_all(sqlglot.exp.SetOperation)) for one in parsed):
        assert guard.refused_expression(f"{before} {operation}")
