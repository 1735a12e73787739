from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from include import ticks
from include.spark.option_ticks import batches, recipes, work_of
from include.ticks import ARROW_ROWS, as_text, columns, days_to_write, from_text, plan, verify, wanted_days, write_with_arrow
from lakehouse.contracts import load
from lakehouse.exceptions import VerificationError
from lakehouse.iceberg.branches import Published, branch_head, is_published, publish, start_branch
from lakehouse.iceberg.history import summary_of
from lakehouse.iceberg.overwrite import overwrite_days
from lakehouse.iceberg.table import ensure_table, rows_by_day

CONTRACT = Path(__file__).resolve().parents[2] / "include" / "contracts" / "bronze_option_ticks.odcs.yaml"
TABLE = "option_ticks_db.bronze_option_ticks"
MONDAY, TUESDAY, WEDNESDAY = (date(2026, 11, day) for day in (16, 17, 18))


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    """A real catalog with the empty table."""
    opened = SqlCatalog("unit", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    ensure_table(opened, load(CONTRACT))
    yield opened
    opened.close()


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    return catalog.load_table(TABLE)


def write(table: Table, days: dict[date, int], seed: int | None = 7, branch: str = "main", **summary: str) -> int:
    """Overwrite the days on a branch as the Spark job does, with the recipes in the summary; returns the snapshot's id."""
    moments = {day: datetime.combine(day, time(14), UTC) for day in days}
    rows = [{"timestamp": moments[day], "symbol": "X", "ingest_time": moments[day]} for day, count in days.items() for _ in range(count)]
    stamp = pa.timestamp("us", "UTC")
    schema = pa.schema([("timestamp", stamp), ("symbol", pa.string()), ("ingest_time", stamp)])
    noted = summary | (recipes(days, seed) if seed is not None else {})
    batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    made = overwrite_days(table.catalog, table.refresh(), set(days), [batch], branch=branch, summary=noted)
    table.refresh()
    return made.snapshot_id


def rows_there(catalog: SqlCatalog) -> dict[date, int]:
    return rows_by_day(catalog.load_table(TABLE), ticks.PARTITION_FIELD)


# Days.


def test_the_last_day_has_its_rows_and_those_before_it_fewer():
    assert wanted_days(TUESDAY, 3, 100, 10) == {TUESDAY: 100, MONDAY: 10, MONDAY - timedelta(days=1): 10}
    assert wanted_days(TUESDAY, 1, 100, 10) == {TUESDAY: 100}


@given(days=st.dictionaries(st.dates(), st.integers(0, 10**9), max_size=5))
def test_days_survive_as_text(days):
    assert from_text(as_text(days)) == days


def test_the_columns_are_the_contracts():
    assert columns(CONTRACT) == load(CONTRACT).column_names


# Which days are to be written.


def test_what_is_there_with_the_same_seed_and_rows_is_left_alone(table):
    wanted = {TUESDAY: 3, MONDAY: 2}
    assert days_to_write(table, wanted, 7) == wanted
    assert list(days_to_write(table, wanted, 7)) == [MONDAY, TUESDAY]
    write(table, {MONDAY: 2})
    assert days_to_write(table, wanted, 7) == {TUESDAY: 3}
    write(table, {TUESDAY: 3})
    assert days_to_write(table, wanted, 7) == {}


@pytest.mark.parametrize(
    ("rows", "seed", "wanted_rows", "wanted_seed"),
    [
        pytest.param(2, 7, 3, 7, id="another number of rows"),
        pytest.param(2, 7, 2, 8, id="another seed"),
        pytest.param(2, None, 2, 7, id="rows that nobody noted"),
    ],
)
def test_a_day_that_differs_is_written_again(table, rows, seed, wanted_rows, wanted_seed):
    write(table, {MONDAY: rows}, seed)
    assert days_to_write(table, {MONDAY: wanted_rows}, wanted_seed) == {MONDAY: wanted_rows}


@pytest.mark.fault(11)
def test_a_day_that_has_its_rows_twice_is_written_again(table):
    write(table, {MONDAY: 2})
    table.append(table.scan().to_arrow())
    assert days_to_write(table, {MONDAY: 2}, 7) == {MONDAY: 2}


def test_the_newest_recipe_of_a_day_counts(table):
    write(table, {MONDAY: 2}, seed=7)
    write(table, {MONDAY: 2}, seed=8)
    assert days_to_write(table, {MONDAY: 2}, 8) == {}
    assert days_to_write(table, {MONDAY: 2}, 7) == {MONDAY: 2}


def test_a_recipe_of_a_day_outlives_the_writing_of_other_days(table):
    write(table, {MONDAY: 2, TUESDAY: 3})
    write(table, {WEDNESDAY: 4}, seed=8)
    assert days_to_write(table, {MONDAY: 2, TUESDAY: 3}, 7) == {}


@pytest.mark.fault(11)
def test_a_day_that_someone_deleted_is_written_again(table):
    write(table, {MONDAY: 2})
    table.delete("symbol == 'X'")
    assert days_to_write(table, {MONDAY: 2}, 7) == {MONDAY: 2}


def test_a_branch_that_was_never_published_says_nothing_about_main(catalog, table):
    write(table, {MONDAY: 2}, seed=8)
    start_branch(catalog, TABLE, "audit")
    write(table, {MONDAY: 2, TUESDAY: 3}, seed=7, branch="audit")
    assert days_to_write(table, {MONDAY: 2, TUESDAY: 3}, 7) == {MONDAY: 2, TUESDAY: 3}
    assert days_to_write(table, {MONDAY: 2}, 8) == {}


@pytest.mark.fault(12)
def test_a_day_that_was_rolled_back_is_written_again(catalog, table):
    first = write(table, {MONDAY: 2}, seed=7)
    write(table, {MONDAY: 2}, seed=8)
    table.manage_snapshots().rollback_to_snapshot(first).commit()
    assert days_to_write(table, {MONDAY: 2}, 8) == {MONDAY: 2}
    assert days_to_write(table, {MONDAY: 2}, 7) == {}


def test_a_snapshot_that_was_taken_over_has_the_recipes_of_the_one_it_came_from(catalog, table):
    write(table, {MONDAY: 1})
    start_branch(catalog, TABLE, "audit")
    aside = write(table, {TUESDAY: 3}, branch="audit")
    write(table, {WEDNESDAY: 4})
    # As Iceberg's cherrypick_snapshot leaves it: the rows, and where they came from.
    write(table, {TUESDAY: 3}, seed=None, **{"source-snapshot-id": str(aside)})
    assert is_published(table, table.snapshot_by_id(aside))
    assert days_to_write(table, {MONDAY: 1, TUESDAY: 3, WEDNESDAY: 4}, 7) == {}
    assert days_to_write(table, {TUESDAY: 3}, 8) == {TUESDAY: 3}


def test_a_first_load_that_was_never_published_is_written_again(catalog, table):
    start_branch(catalog, TABLE, "audit")
    write(table, {MONDAY: 2}, branch="audit")
    assert days_to_write(table, {MONDAY: 2}, 7) == {MONDAY: 2}


@pytest.mark.fault(12)
def test_a_source_that_has_expired_means_unknown_and_the_day_is_written_again(table):
    write(table, {TUESDAY: 3}, seed=None, **{"source-snapshot-id": "12345"})
    assert days_to_write(table, {TUESDAY: 3}, 7) == {TUESDAY: 3}


# The plan.


@pytest.mark.parametrize(
    ("rows", "engine", "chosen"),
    [
        pytest.param(ARROW_ROWS, "auto", "arrow", id="small"),
        pytest.param(ARROW_ROWS + 1, "auto", "spark", id="large"),
        pytest.param(1, "spark", "spark", id="small and Spark is asked for"),
        pytest.param(10**8, "arrow", "arrow", id="large and Arrow is asked for"),
    ],
)
def test_the_engine_goes_by_size_unless_one_is_asked_for(catalog, table, rows, engine, chosen):
    assert plan(catalog, TABLE, "bronze", {MONDAY: rows}, 7, engine).engine == chosen


def test_what_counts_for_the_engine_is_what_is_missing(catalog, table):
    write(table, {MONDAY: 2})
    made = plan(catalog, TABLE, "bronze", {MONDAY: 2, TUESDAY: ARROW_ROWS}, 7)
    assert (made.engine, made.missing) == ("arrow", {TUESDAY: ARROW_ROWS})
    assert made.wanted == {MONDAY: 2, TUESDAY: ARROW_ROWS}
    assert plan(catalog, TABLE, "bronze", {MONDAY: 3, TUESDAY: ARROW_ROWS}, 7).engine == "spark"


@pytest.mark.parametrize("engine", ["auto", "spark", "arrow"])
def test_nothing_is_started_when_everything_is_there(catalog, table, engine):
    write(table, {MONDAY: 2})
    made = plan(catalog, TABLE, "bronze", {MONDAY: 2}, 7, engine)
    assert (made.engine, made.missing) == (None, {})
    assert made.as_dict() == {"wanted": "2026-11-16=2", "days": "", "branch": made.branch, "engine": None}


def test_a_plan_is_plain_data_and_its_branch_names_the_days(catalog, table):
    assert plan(catalog, TABLE, "bronze", {TUESDAY: 3, MONDAY: 2}, 7).as_dict() == {
        "wanted": "2026-11-17=3,2026-11-16=2",
        "days": "2026-11-16=2,2026-11-17=3",
        "branch": "audit_bronze_2026-11-16_2026-11-17",
        "engine": "arrow",
    }
    assert plan(catalog, TABLE, "bronze", {MONDAY: 2}, 7).branch == "audit_bronze_2026-11-16"


# Writing, publishing, verifying.


def load_days(catalog: SqlCatalog, days: dict[date, int], seed: int = 7, branch: str = "audit") -> Published:
    write_with_arrow(catalog, CONTRACT, days, seed, branch)
    return publish(catalog, TABLE, branch, branch_head(catalog.load_table(TABLE), branch).snapshot_id)


def test_arrow_writes_the_very_rows_that_the_job_makes_and_only_to_the_branch(catalog):
    days = {MONDAY: 300, TUESDAY: 700}
    assert write_with_arrow(catalog, CONTRACT, days, 9, "audit") == 1000
    table = catalog.load_table(TABLE)
    assert table.scan().count() == 0
    order = [("timestamp", "ascending"), ("symbol", "ascending"), ("bid_price", "ascending"), ("volume", "ascending")]
    made = pa.Table.from_batches(batches(work_of(days), 9)).select(list(columns(CONTRACT))).sort_by(order)
    found = table.scan().use_ref("audit").to_arrow().sort_by(order)
    assert found.to_pylist() == made.to_pylist()


def test_days_that_were_written_published_and_verified_are_there_and_their_branch_is_gone(catalog):
    days = {MONDAY: 300, TUESDAY: 700}
    assert load_days(catalog, days) is Published.DONE
    head = catalog.load_table(TABLE).current_snapshot()
    facts = verify(catalog, TABLE, days, days, "audit")
    assert rows_there(catalog) == days
    assert "audit" not in catalog.load_table(TABLE).refs()
    assert (facts["rows"], facts["rows_there"], facts["days"]) == (1000, 1000, ["2026-11-16", "2026-11-17"])
    assert (facts["snapshot_id"], facts["files"]) == (head.snapshot_id, 2)
    assert plan(catalog, TABLE, "bronze", days, 7).engine is None


@pytest.mark.fault(11)
def test_a_day_that_is_written_again_is_replaced_and_the_others_stay(catalog):
    load_days(catalog, {MONDAY: 300, TUESDAY: 100})
    load_days(catalog, {MONDAY: 200}, seed=8)
    assert rows_there(catalog) == {MONDAY: 200, TUESDAY: 100}
    table = catalog.load_table(TABLE)
    assert days_to_write(table, {MONDAY: 200}, 8) == {}
    assert days_to_write(table, {TUESDAY: 100}, 7) == {}


@pytest.mark.fault(1)
def test_a_branch_that_was_left_half_way_is_started_anew(catalog):
    write_with_arrow(catalog, CONTRACT, {MONDAY: 300}, 7, "audit")
    assert load_days(catalog, {MONDAY: 200}) is Published.DONE
    assert rows_there(catalog) == {MONDAY: 200}


def test_two_runs_of_different_days_side_by_side_ask_for_a_cherry_pick(catalog):
    write_with_arrow(catalog, CONTRACT, {MONDAY: 100}, 7, "ours")
    load_days(catalog, {TUESDAY: 200}, branch="theirs")
    ours = branch_head(catalog.load_table(TABLE), "ours").snapshot_id
    assert publish(catalog, TABLE, "ours", ours) is Published.CHERRY_PICK
    assert rows_there(catalog) == {TUESDAY: 200}


def test_a_run_that_had_nothing_to_write_tells_no_rows_and_all_that_are_there(catalog):
    days = {MONDAY: 100, TUESDAY: 50}
    load_days(catalog, days)
    facts = verify(catalog, TABLE, days, {}, "audit_of_nothing")
    assert (facts["rows"], facts["files"], facts["days"], facts["rows_there"]) == (0, 0, [], 150)


def test_the_facts_are_those_of_the_snapshot_that_wrote_the_days_and_not_of_a_later_one(catalog):
    load_days(catalog, {MONDAY: 100})
    written = catalog.load_table(TABLE).current_snapshot()
    load_days(catalog, {TUESDAY: 50})
    facts = verify(catalog, TABLE, {MONDAY: 100}, {MONDAY: 100}, "audit")
    assert (facts["rows"], facts["days"], facts["snapshot_id"], facts["rows_there"]) == (100, ["2026-11-16"], written.snapshot_id, 100)


def test_days_are_verified_one_by_one_and_a_branch_that_may_be_needed_stays(catalog, table):
    write(table, {MONDAY: 2, TUESDAY: 3})
    start_branch(catalog, TABLE, "audit")
    with pytest.raises(VerificationError, match=r"bronze_option_ticks: .*'2026-11-16': 2.*'2026-11-18': 0") as caught:
        verify(catalog, TABLE, {MONDAY: 1, TUESDAY: 3, WEDNESDAY: 1}, {MONDAY: 1}, "audit")
    assert "2026-11-17" not in str(caught.value)
    assert "audit" in catalog.load_table(TABLE).refs()


def test_days_that_are_not_wanted_are_none_of_our_business(catalog, table):
    write(table, {MONDAY: 2, TUESDAY: 3})
    assert verify(catalog, TABLE, {TUESDAY: 3}, {}, "audit")["rows_there"] == 3


def test_the_summary_of_a_load_says_how_it_was_made(catalog):
    load_days(catalog, {MONDAY: 100})
    summary = summary_of(catalog.load_table(TABLE).current_snapshot())
    assert summary.items() >= recipes({MONDAY: 100}, 7).items()
    assert summary["added-records"] == "100"
