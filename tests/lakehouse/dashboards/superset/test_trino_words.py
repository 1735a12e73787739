from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp

from lakehouse.dashboards.superset.trino_words import refused_words

# Each was tried on Trino 476: `EXPLAIN (TYPE VALIDATE)`.
REFUSED = [
    ("SELECT symbol::varchar FROM t", "CAST"),
    ("SELECT 1 FROM t WHERE symbol ILIKE 'a%'", "ILIKE"),
    ("SELECT symbol RLIKE 'a' FROM t", "regexp_like"),
    ("SELECT 1 WHERE 1 <=> 1", "IS NOT DISTINCT FROM"),
    ("SELECT a ->> 'b' FROM t", "json_extract_scalar"),
    ("SELECT 1 DIV 2", "DIV"),
    ("SELECT !true", "NOT"),
    ("SELECT 1 WHERE 1 == 1", "`=`"),
    ("SELECT 1 FROM t LIMIT 1, 2", "OFFSET"),
    ("SELECT 1 FROM t LIMIT 1 OFFSET 2", "before LIMIT"),
    ("SELECT DISTINCT ON (a) a FROM t", "DISTINCT ON"),
    ("SELECT a, FROM t", "comma"),
    ("FROM t", "SELECT"),
    ("SELECT date '2024-01-01' + INTERVAL 1 DAY", "INTERVAL"),
    ("SELECT CAST(a AS string) FROM t", "type string"),
    ("SELECT TRY_CAST(a AS text) FROM t", "type text"),
    ("SELECT ifnull(a, 1) FROM t", "function ifnull"),
    ("SELECT 1,\n  date_trunc('day', toStartOfDay(a)) FROM t", "function toStartOfDay"),
]
TAKEN = [
    "SELECT CAST(a AS decimal(10, 2)), TRY_CAST(b AS timestamp(6) with time zone) FROM t",
    "SELECT count(*) FILTER (WHERE a > 1) FROM t",
    "SELECT if(a > 1, 'x', 'y'), coalesce(a, 1), nullif(a, 2), format('%s', a) FROM t",
    "SELECT listagg(a, ',') WITHIN GROUP (ORDER BY a) FROM t",
    "WITH q (x, y) AS (SELECT 1, 2) SELECT x FROM q",
    "SELECT x FROM UNNEST(ARRAY[1]) AS u(x)",
    "SELECT a FROM (VALUES (1, 2)) AS v(a, b)",
    "SELECT sum(a) OVER (PARTITION BY b ORDER BY c) FROM t OFFSET 2 LIMIT 3",
    "SELECT DISTINCT a FROM t WHERE NOT (a = 1) AND a IN (1, 2) AND EXISTS (SELECT 1)",
    "SELECT a FROM (SELECT a FROM t LIMIT 1) x OFFSET 1",
    "SELECT 'a::b ilike(c)' AS \"x::y\" FROM t",
    "SELECT catalog_a.schema_b.my_function(a) FROM t",
    "SELECT date '2024-01-01' - INTERVAL '29' DAY, extract(hour FROM a) FROM t",
    "SELECT a FROM t GROUP BY GROUPING SETS ((a), (b))",
]


def parsed(sql: str) -> exp.Query:
    tree = sqlglot.parse_one(sql, dialect="trino")
    assert isinstance(tree, exp.Query)
    return tree


@pytest.mark.parametrize(("sql", "words"), REFUSED)
def test_what_trino_does_not_have_is_refused(sql: str, words: str):
    found = list(refused_words(sql, parsed(sql)))
    assert len(found) == 1
    assert words in found[0][1]


@pytest.mark.parametrize("sql", TAKEN)
def test_what_trino_has_is_taken(sql: str):
    assert list(refused_words(sql, parsed(sql))) == []


def test_the_line_within_the_text_is_told():
    sql, _ = REFUSED[-1]
    assert [line for line, _ in refused_words(sql, parsed(sql))] == [2]
