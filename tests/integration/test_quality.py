"""Contract checks on the real catalog and Trino: manifests and scan agree, history, samples, references to other tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.types import IntegerType, LongType

from include.assets import contract
from lakehouse.contracts import Check, Column, Contract, load
from lakehouse.iceberg.table import ensure_table
from lakehouse.ops.tables import append_run_rows, contracts
from lakehouse.quality import checks as quality
from lakehouse.quality.checks import run_checks, snapshot_source
from lakehouse.quality.history import with_history
from lakehouse.quality.manifests import read_facts
from lakehouse.quality.metadata import answer
from lakehouse.quality.results import CheckResult
from lakehouse.quality.samples import failed_rows
from lakehouse.quality.scan import scan
from lakehouse_provider.hooks.trino import trino_cursor

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
COLUMNS = (
    Column("at", "timestamptz", required=False, description="", classification=None),
    Column("key", "string", required=False, description="", classification=None),
    Column("number", "int", required=False, description="", classification=None),
    Column("price", "double", required=False, description="", classification=None),
    Column("user", "string", required=False, description="", classification="confidential"),
)
PLAIN = Contract("test_db.t", "", COLUMNS, (), ("day(at)",), (), {"format-version": "2"}, (), 0.0, "", 24.0, "at", None)


def rule(check_id: str, **changes: Any) -> Check:
    return replace(Check(check_id, "the rule in words", "error", "=", 0.0), **changes)


# Of each kind that manifests answer, and some that they cannot.
RULES = (
    rule("rows", metric="rowCount", operator=">"),
    rule("days", metric="rowCount", operator=">=", threshold=2.0, per_partition=True),
    *(rule(f"{name}_null", metric="nullValues", column=name) for name in ("at", "key", "number", "price")),
    rule("null_share", metric="nullValues", column="number", percent=True, operator="<=", threshold=30.0),
    *(
        rule(f"{name}_{operator}", query=f"SELECT count(*) FROM {{table}} WHERE {name} {sign} {value}")
        for name in ("number", "price")
        for operator, sign, value in (("low", "<", 0), ("high", ">=", "100"), ("minus", "<=", "-1"))
    ),
    rule("either", query="SELECT count(*) FROM {table} WHERE (number < -5 OR number > 50) AND number < 1000"),
)


@pytest.fixture
def cursor(connections: dict[str, dict[str, Any]]) -> Any:
    return trino_cursor()


def rows_of(*rows: tuple[Any, ...]) -> pa.Table:
    types = (pa.timestamp("us", "UTC"), pa.string(), pa.int32(), pa.float64())
    names = [column.name for column in COLUMNS]
    values = list(zip(*rows, strict=True)) if rows else [()] * 4
    return pa.table({name: pa.array(list(column), kind) for name, column, kind in zip(names, values, types, strict=False)})


def by_id(results: list[CheckResult]) -> dict[str, CheckResult]:
    return {result.check_id: result for result in results}


DAYS = st.none() | st.integers(0, 3).map(lambda day: NOW - timedelta(days=day))
ROWS = st.lists(
    st.tuples(
        DAYS,
        st.none() | st.sampled_from(["", "x", "long" * 10]),
        st.none() | st.integers(-10, 200),
        st.none() | st.sampled_from([0.0, -0.0, -3.5, 150.0, float("nan"), float("inf")]),
    ),
    max_size=6,
)
names = count()


@given(
    batches=st.lists(ROWS, max_size=3),
    delete=st.none() | st.integers(-10, 100),
    evolve=st.sampled_from(["", "widen", "add", "repartition"]),
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
def test_what_manifests_answer_is_what_a_scan_counts(
    catalog: Catalog, cursor: Any, fresh_name: str, batches: list[list[Any]], delete: int | None, evolve: str
) -> None:
    made = replace(PLAIN, table=f"test_db.{fresh_name}{next(names)}", checks=RULES)
    table = ensure_table(catalog, made)
    for rows in batches[:2]:
        table.append(rows_of(*rows))
    if delete is not None and batches:
        cursor.execute(f"DELETE FROM {made.table} WHERE number < {delete}")
        cursor.fetchall()
    table = catalog.load_table(made.table)
    _evolve(table, evolve)
    for rows in batches[2:]:
        table.append(rows_of(*rows))
    facts = read_facts(table)
    if facts.snapshot_id is None:
        assert (facts.rows, facts.exact) == (0, True)
        return
    rows, _, scanned = scan(cursor, made, RULES, snapshot_source(made, table))
    if facts.exact:
        assert facts.rows == rows
    for check in RULES:
        known = answer(check, facts, table.schema())
        if known is not None and rows:
            there = scanned[check.check_id]
            assert (check.check_id, known.value, known.first_bad) == (check.check_id, there.value, there.first_bad)
    if facts.partitions is not None:
        cursor.execute(f"SELECT coalesce(CAST(CAST(at AS date) AS varchar), 'null'), count(*) FROM {made.table} GROUP BY 1")
        assert {name: figures.rows for name, figures in facts.partitions.items() if figures.rows} == dict(map(tuple, cursor.fetchall()))


def _evolve(table: Table, how: str) -> None:
    if how == "widen":
        with table.update_schema() as update:
            update.update_column("number", field_type=LongType())
    if how == "add":
        with table.update_schema() as update:
            update.add_column("later", IntegerType())
    if how == "repartition":
        with table.update_spec() as spec:
            spec.add_identity("number")


@pytest.fixture
def ticks(catalog: Catalog, fresh_name: str) -> Iterator[tuple[Contract, Table]]:
    """Three days of rows: two good ones, and one with a null, a doubled key and a wrong number."""
    made = replace(PLAIN, table=f"test_db.{fresh_name}", checks=RULES)
    table = ensure_table(catalog, made)
    days = [NOW - timedelta(days=number) for number in (2, 1, 0)]
    table.append(rows_of((days[0], "a", 1, 1.0), (days[0], "b", 2, 1.0), (days[1], "c", 3, 1.0), (days[1], "d", 4, 1.0)))
    table.append(rows_of((days[2], "e", None, 1.0), (days[2], "e", -7, 1.0), (days[2], None, 5, 1.0)))
    yield made, catalog.load_table(made.table)
    catalog.drop_table(made.table)


def test_every_result_says_how_it_was_answered_and_where_it_fails_first(cursor: Any, ticks: tuple[Contract, Table]) -> None:
    made, table = ticks
    rules = (
        rule("rows", metric="rowCount", operator="between", threshold=7.0, upper=7.0),
        rule("number_there", metric="nullValues", column="number", severity="warning"),
        rule("number_share", metric="nullValues", column="number", percent=True, operator="<", threshold=20.0),
        rule("positive", query="SELECT count(*) FROM {table} WHERE number < 0"),
        rule("small", query="SELECT count(*) FROM {table} WHERE number > 10"),
        rule("key_once", metric="duplicateValues", column="key", percent=True, operator="<=", threshold=50.0),
        rule("a_day_is_full", metric="duplicateValues", arguments=(("properties", ["key", "number"]),), per_partition=True),
        rule("known_key", metric="invalidValues", column="key", arguments=(("pattern", "^[a-d]$"),), per_partition=True),
    )
    made = replace(made, checks=rules)
    found = by_id(run_checks(cursor, made, table=table, now=NOW))
    today = NOW.date().isoformat()
    told = {name: (one.status, one.measured, one.answered_by, one.first_bad_partition) for name, one in found.items()}
    assert told == {
        "rows": ("passed", 7, "manifests", None),
        "number_there": ("warned", 1, "manifests", today),
        "number_share": ("passed", pytest.approx(100 / 7), "manifests", None),
        "positive": ("failed", 1, "scan", today),
        "small": ("passed", 0, "manifests", None),
        "key_once": ("passed", pytest.approx(200 / 7), "scan", None),
        "a_day_is_full": ("passed", 0, "scan", None),
        "known_key": ("failed", 2, "scan", today),
        "freshness": ("passed", 0, "manifests", None),
        "schema": ("passed", 0, "manifests", None),
    }
    assert found["number_there"].failed_share == pytest.approx(1 / 7)
    assert {one.snapshot_id for one in found.values()} == {table.current_snapshot().snapshot_id}  # type: ignore[union-attr]


def test_rules_that_manifests_answer_need_no_query(ticks: tuple[Contract, Table]) -> None:
    made, table = ticks
    answered = tuple(check for check in RULES if answer(check, read_facts(table), table.schema()))
    assert len(answered) > 6
    results = run_checks(None, replace(made, checks=answered), table=table, now=NOW)  # type: ignore[arg-type]  # a cursor would be asked
    assert {result.answered_by for result in results} == {"manifests"}


@pytest.mark.fault(26)
def test_an_empty_table_and_a_column_of_nulls_pass_nothing(catalog: Catalog, cursor: Any, fresh_name: str) -> None:
    rules = (
        rule("number_there", metric="nullValues", column="number"),
        rule("known", metric="invalidValues", column="key", arguments=(("validValues", ["a"]),)),
    )
    made = replace(PLAIN, table=f"test_db.{fresh_name}", checks=rules)
    table = ensure_table(catalog, made)
    assert [(result.status, result.severity) for result in run_checks(cursor, made, table=table, now=NOW)[:2]] == [("empty", "error")] * 2
    table.append(rows_of((NOW, None, None, None)))
    assert [result.status for result in run_checks(cursor, made, table=table, now=NOW)[:2]] == ["failed", "failed"]


def test_a_column_that_only_the_contract_or_only_the_table_has_is_drift(cursor: Any, ticks: tuple[Contract, Table]) -> None:
    made, table = ticks
    more = replace(made, columns=(*COLUMNS[:-1], Column("exchange", "string", required=False, description="", classification=None)))
    drift = by_id(run_checks(cursor, more, table=table, now=NOW))["schema"]
    assert drift.status == "failed"
    assert "column user is in the table and not in the contract" in drift.description
    assert "column exchange is in the contract and not in the table" in drift.description


def test_a_rule_may_look_at_another_table(catalog: Catalog, cursor: Any, ticks: tuple[Contract, Table], fresh_name: str) -> None:
    made, table = ticks
    other = ensure_table(catalog, replace(PLAIN, table=f"test_db.{fresh_name}keys"))
    other.append(rows_of((NOW, "a", 1, 1.0), (NOW, "b", 1, 1.0)))
    query = f"SELECT count(*) FROM {{table}} r WHERE NOT EXISTS (SELECT 1 FROM test_db.{fresh_name}keys k WHERE k.key = r.key)"
    made = replace(made, checks=(rule("known_key", query=query),))
    results = run_checks(cursor, made, table=table, now=NOW)
    assert (results[0].status, results[0].measured) == ("failed", 5)
    shown = failed_rows(cursor, made, results, snapshot_source(made, table))
    assert len(shown) == 5
    assert '"key":"c"' in "".join(row.masked for row in shown)


def test_samples_are_few_masked_and_without_classified_columns(catalog: Catalog, cursor: Any, fresh_name: str) -> None:
    rules = (
        rule("no_key", query="SELECT count(*) FROM {table} WHERE number < 0"),
        rule("key_once", metric="duplicateValues", column="key"),
        rule("user_once", metric="duplicateValues", column="user"),
    )
    made = replace(PLAIN, table=f"test_db.{fresh_name}", checks=rules)
    table = ensure_table(catalog, made)
    rows = rows_of(*[(NOW, "token=planted-secret", -1, 1.0)] * 20)
    table.append(rows.append_column("user", pa.array(["kim"] * 20)))
    results = run_checks(cursor, made, table=table, now=NOW)
    shown = failed_rows(cursor, made, results, snapshot_source(made, table))
    assert [row.check_id for row in shown] == ["no_key"] * 5 + ["key_once"]
    assert shown[0].partition_value == NOW.date().isoformat()
    text = "".join(row.masked for row in shown)
    assert "planted-secret" not in text
    assert "kim" not in text
    assert '"times":20' in text


def test_history_tells_a_new_failure_from_an_ongoing_one(catalog: Catalog, cursor: Any, fresh_name: str) -> None:
    history = replace(contracts()["ops_db.check_results"], table=f"test_db.{fresh_name}")
    ensure_table(catalog, history)
    result = CheckResult(f"test_db.{fresh_name}x", "rule", None, "error", "failed", 3.0, "= 0", "the rule in words")
    told = []
    for number, status in enumerate(["failed", "failed", "passed", "skipped", "failed", "warned"]):
        now = NOW + timedelta(hours=number)
        (known,) = with_history(cursor, [replace(result, status=status)], now=now, history=history.table)
        told.append((known.state, known.failing_since and known.failing_since.hour, known.last_passed_at and known.last_passed_at.hour))
        append_run_rows(catalog, history.table, f"{fresh_name}{number}", [known.as_row("run", now)])
    assert told == [("new", 12, None), ("ongoing", 12, None), (None, None, 14), (None, None, 14), ("new", 16, 14), ("ongoing", 16, 14)]


def test_a_row_whose_object_is_gone_is_found(cursor: Any, ticks: tuple[Contract, Table]) -> None:
    made, table = ticks
    made = replace(made, checks=(rule("object_there", column="key", measure="objects_exist", arguments=(("sample", 10),)),))
    (found, *_) = run_checks(cursor, made, table=table, object_exists=lambda address: address != "e", now=NOW)
    assert (found.status, found.measured, found.answered_by) == ("failed", 2, "objects")
    assert "missing such as e" in found.description
    assert run_checks(cursor, made, table=table, now=NOW)[0].status == "skipped"


def test_a_day_unlike_its_weekdays_is_told_from_the_manifests_alone(catalog: Catalog, fresh_name: str) -> None:
    made = replace(
        PLAIN,
        table=f"test_db.{fresh_name}",
        checks=(rule("usual", measure="rows_like_weekday", operator="<=", threshold=50.0, percent=True),),
    )
    table = ensure_table(catalog, made)
    yesterday = NOW - timedelta(days=1)
    for week, rows in ((1, 10), (2, 12), (3, 11), (4, 500), (0, 2)):
        table.append(rows_of(*[(yesterday - timedelta(weeks=week), "k", 1, 1.0)] * rows))
    table.append(rows_of((NOW, "today is not over", 1, 1.0)))
    marked: set[date] = {(yesterday - timedelta(weeks=4)).date()}
    (usual, *_) = quality.run_checks(None, made, table=table, left_out=marked, now=NOW)  # type: ignore[arg-type]
    assert (usual.status, usual.measured) == ("failed", pytest.approx(100 * 9 / 11, abs=0.01))
    assert usual.first_bad_partition == yesterday.date().isoformat()


def test_the_contracts_of_this_lakehouse_can_all_be_measured(catalog: Catalog, cursor: Any) -> None:
    """Their own queries are SQL that Trino runs, whatever the tables hold."""
    for name in ("bronze_option_ticks", "collected_option_ticks", "daily_option_summary", "raw_logs", "image_metadata"):
        ensure_table(catalog, load(contract(name)))
    for name in ("bronze_option_ticks", "collected_option_ticks", "daily_option_summary", "raw_logs", "image_metadata"):
        made = load(contract(name))
        table = catalog.load_table(made.table)
        results = run_checks(cursor, made, table=table, object_exists=lambda _: True, now=NOW)
        assert [result.check_id for result in results][: len(made.checks)] == [check.check_id for check in made.checks]
        source = snapshot_source(made, table)
        assert scan(cursor, made, [check for check in made.checks if check.measure is None], source)
        failed_rows(cursor, made, [replace(result, status="failed") for result in results], source)
