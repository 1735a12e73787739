"""The rules run in SQLite, with Trino's `count_if` and `regexp_like` added: real rows, real quoting, a real DB-API cursor."""

from __future__ import annotations

import dataclasses
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from lakehouse.contracts import Check, Column, Contract
from lakehouse.exceptions import ConfigurationError
from lakehouse.quality.checks import run_checks
from lakehouse.quality.predicates import breaking
from lakehouse.quality.results import CheckResult
from lakehouse.quality.samples import sample
from lakehouse.quality.scan import statement

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PLAIN = Contract("db.t", "", (), (), (), (), {}, (), 0.0, "", None, None, None)


class CountIf:
    def __init__(self) -> None:
        self.count = 0

    def step(self, condition) -> None:
        self.count += bool(condition)

    def finalize(self) -> int:
        return self.count


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:")
    made.create_aggregate("count_if", 1, CountIf)
    made.create_function("regexp_like", 2, lambda text, pattern: None if text is None else bool(re.search(pattern, text)))
    made.execute("ATTACH ':memory:' AS db")
    yield made
    made.close()


def check(**changes) -> Check:
    return dataclasses.replace(Check("rule", "the rule in words", "error", "=", 0.0), **changes)


def measure(connection: sqlite3.Connection, values: list, rule: Check, **contract) -> CheckResult:
    column = (rule.column or "x").replace('"', '""')
    connection.execute(f'CREATE TABLE db.t ("{column}")')
    connection.executemany("INSERT INTO db.t VALUES (?)", [(value,) for value in values])
    return run_checks(connection.cursor(), dataclasses.replace(PLAIN, checks=(rule,), **contract), now=NOW)[0]


@pytest.mark.parametrize(
    ("rule", "values", "measured"),
    [
        pytest.param({"metric": "rowCount"}, ["a", None], 2, id="rows"),
        pytest.param({"metric": "nullValues", "column": "x"}, ["a", None, None], 2, id="nulls"),
        pytest.param(
            {"metric": "missingValues", "column": "x", "arguments": (("missingValues", ["", "n/a", None]),)},
            ["a", "", "n/a", None],
            3,
            id="missing",
        ),
        pytest.param({"metric": "missingValues", "column": "x"}, ["a", "", None], 2, id="missing without a list"),
        pytest.param(
            {"metric": "invalidValues", "column": "x", "arguments": (("validValues", ["a", "O'Neil"]),)},
            ["a", "O'Neil", "b", None],
            1,
            id="not on the list",
        ),
        pytest.param({"metric": "invalidValues", "column": "x", "arguments": (("validValues", [1, 2]),)}, [1, 2, 3], 1, id="numbers"),
        pytest.param(
            {"metric": "invalidValues", "column": "x", "arguments": (("pattern", "^[a-z']+$"),)}, ["it's", "NO", None], 1, id="a pattern"
        ),
        pytest.param({"metric": "duplicateValues", "column": "x"}, ["a", "a", "b", "a"], 2, id="duplicates"),
        pytest.param({"query": "SELECT count(*) FROM {table} WHERE x < 0"}, [-1, -2, 3], 2, id="a query of its own"),
    ],
)
def test_each_metric_counts_the_rows_it_is_about(connection, rule, values, measured):
    assert measure(connection, values, check(**rule)).measured == measured


@pytest.mark.fault(25)
@pytest.mark.parametrize("name", ['we"ird', "x; DROP TABLE t", "a -- b", "it's"])
@pytest.mark.parametrize("value", ["' OR '1'='1", "'; DROP TABLE db.t; --", '"'])
def test_names_and_values_of_a_contract_stay_names_and_values(connection, name, value):
    rule = check(metric="invalidValues", column=name, arguments=(("validValues", [value]),))
    assert measure(connection, [value, "other"], rule).measured == 1


@pytest.mark.parametrize(
    ("operator", "threshold", "severity", "status"),
    [
        ("=", 2, "error", "passed"),
        ("=", 1, "error", "failed"),
        ("=", 1, "warning", "warned"),
        ("<>", 2, "error", "failed"),
        (">", 2, "error", "failed"),
        (">=", 2, "error", "passed"),
        ("<", 2, "warning", "warned"),
        ("<=", 2, "warning", "passed"),
    ],
)
def test_the_measure_is_held_against_the_threshold(connection, operator, threshold, severity, status):
    result = measure(connection, ["a", "b"], check(metric="rowCount", operator=operator, threshold=float(threshold), severity=severity))
    assert (result.status, result.threshold, result.severity) == (status, f"{operator} {threshold}", severity)


@pytest.mark.fault(26)
@pytest.mark.parametrize(
    ("rule", "status"),
    [
        pytest.param({"metric": "nullValues", "column": "x"}, "empty", id="no nulls among no rows"),
        pytest.param({"metric": "duplicateValues", "column": "x"}, "empty", id="no duplicates among no rows"),
        pytest.param({"query": "SELECT count(*) FROM {table} WHERE x < 0"}, "empty", id="a query on no rows"),
        pytest.param({"metric": "rowCount", "operator": ">"}, "failed", id="rows are wanted"),
        pytest.param({"metric": "rowCount", "operator": ">", "per_partition": True}, "empty", id="rows are wanted in every partition"),
        pytest.param({"metric": "rowCount", "operator": ">="}, "passed", id="no rows are allowed"),
    ],
)
def test_an_empty_table_passes_no_rule_about_its_rows(connection, rule, status):
    assert measure(connection, [], check(**rule)).status == status


@pytest.mark.fault(26)
@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"metric": "nullValues"}, id="null values"),
        pytest.param({"metric": "missingValues"}, id="missing values"),
        pytest.param({"metric": "duplicateValues"}, id="duplicate values"),
        pytest.param({"metric": "invalidValues", "arguments": (("validValues", ["a"]),)}, id="invalid values"),
        pytest.param({"metric": "invalidValues", "arguments": (("pattern", "a"),)}, id="a pattern"),
    ],
)
def test_a_column_without_a_single_value_passes_no_rule_about_its_values(connection, rule):
    assert measure(connection, [None, None], check(column="x", **rule)).status != "passed"


def test_a_query_that_gives_null_is_not_passed(connection):
    result = measure(connection, [None], check(query="SELECT max(x) FROM {table}", severity="warning"))
    assert (result.status, result.measured) == ("warned", None)


@pytest.mark.parametrize(
    ("newest", "status", "hours"),
    [
        pytest.param(NOW - timedelta(hours=24), "passed", 24, id="just in time"),
        pytest.param(NOW - timedelta(hours=24, minutes=30), "warned", 24.5, id="late"),
        pytest.param((NOW - timedelta(hours=2)).replace(tzinfo=None), "passed", 2, id="without a zone it is UTC"),
        pytest.param(date(2026, 11, 20), "passed", 12, id="a date counts from its midnight"),
        pytest.param(None, "empty", None, id="no value at all"),
    ],
)
def test_freshness_is_a_warning_of_its_own(connection, newest, status, hours):
    parse = {datetime: datetime.fromisoformat, date: date.fromisoformat}.get(type(newest), str)
    connection.row_factory = lambda _, row: tuple(parse(value) if isinstance(value, str) else value for value in row)
    connection.execute("CREATE TABLE db.t (at)")
    connection.execute("INSERT INTO db.t VALUES (?)", (newest and newest.isoformat(),))
    contract = dataclasses.replace(PLAIN, freshness_hours=24.0, freshness_column="at")
    (result,) = run_checks(connection.cursor(), contract, now=NOW)
    assert (result.check_id, result.severity, result.status, result.measured) == ("freshness", "warning", status, hours)


def test_all_rules_go_in_one_statement(connection):
    rules = (check(metric="rowCount"), check(check_id="nulls", metric="nullValues", column="x"))
    connection.execute("CREATE TABLE db.t (x)")
    asked = []
    connection.set_trace_callback(asked.append)
    assert len(run_checks(connection.cursor(), dataclasses.replace(PLAIN, checks=rules), now=NOW)) == 2
    assert asked == [statement(PLAIN, rules, '"db"."t"')]


def test_a_duplicate_over_several_columns_compares_them_together():
    rule = check(metric="duplicateValues", arguments=(("properties", ["day", "symbol"]),))
    assert 'count(DISTINCT ("day", "symbol"))' in statement(PLAIN, (rule,), "t")


def test_a_metric_that_is_not_known_is_refused():
    with pytest.raises(ConfigurationError, match="metric median is not known"):
        statement(PLAIN, (check(metric="median"),), "t")


def test_some_rows_that_break_a_rule_are_shown_without_columns_of_a_classification(connection):
    connection.execute("CREATE TABLE db.t (bid, ask, user)")
    connection.executemany("INSERT INTO db.t VALUES (?, ?, 'x')", [(number, 3) for number in range(10)])
    columns = tuple(Column(name, "int", False, "", kind) for name, kind in (("bid", None), ("ask", None), ("user", "confidential")))  # noqa: FBT003
    rule = check(query="SELECT count(*) FROM {table} WHERE bid > ask")
    contract = dataclasses.replace(PLAIN, checks=(rule,), columns=columns)
    shown = sample(connection.cursor(), contract, "rule", "db.t", limit=2)
    assert shown == [{"bid": 4, "ask": 3}, {"bid": 5, "ask": 3}]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM {table} WHERE x IN (SELECT y FROM db.u)",
        "SELECT count(DISTINCT x) FROM {table} WHERE x > 0",
        "SELECT count(*) FROM {table} GROUP BY x",
        "SELECT count(*) FROM {table}",
        "SELECT count(*) FROM {table} JOIN db.u ON u.y = t.x WHERE u.y > 0",
    ],
)
def test_a_query_that_does_more_than_count_rows_has_no_rows_to_show(query):
    assert breaking(check(query=query)) is None


def test_a_query_that_is_no_sql_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="check rule: its query is not SQL"):
        breaking(check(query="SELECT FROM WHERE"))
