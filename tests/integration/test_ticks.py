"""Days of ticks by both engines, audited on a branch and published, against the real catalog, Trino and Spark."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog

from include import ticks
from include.assets import contract
from include.spark.option_ticks import batches, recipes, work_of
from lakehouse.contracts import Contract, load
from lakehouse.exceptions import ChangedMeanwhileError, ChecksFailedError
from lakehouse.iceberg.branches import Published, branch_head, drop_branch, publish, start_branch
from lakehouse.iceberg.overwrite import overwrite_days
from lakehouse.iceberg.table import ensure_table, rows_by_day
from lakehouse_provider.operators.branches import AuditBranchOperator, PublishBranchOperator
from stack.installation import REPO, Installation
from stack.report import query
from tests.conftest import spark_submit

pytestmark = pytest.mark.integration

DAY = date(2026, 11, 18)
JOBS = REPO / "include" / "spark"


@pytest.fixture
def made(catalog: Catalog, fresh_name: str) -> Contract:
    made = replace(load(contract("bronze_option_ticks")), table=f"test_db.{fresh_name}")
    ensure_table(catalog, made)
    return made


def write(catalog: Catalog, made: Contract, days: dict[date, int], branch: str, seed: int = 7) -> int:
    """A branch with these days, by Arrow; returns the snapshot."""
    pieces = (batch.select(list(made.column_names)) for batch in batches(work_of(days), seed))
    table = start_branch(catalog, made.table, branch)
    return overwrite_days(catalog, table, set(days), pieces, branch=branch, summary=recipes(days, seed)).snapshot_id


def test_spark_and_arrow_write_the_very_same_rows(catalog: Catalog, stack: Installation, made: Contract) -> None:
    days = {DAY: 3000, DAY - timedelta(days=1): 500}
    write(catalog, made, days, "by_arrow")
    job = spark_submit(
        stack,
        JOBS / "option_ticks.py",
        *("--table", f"hive_prod.{made.table}", "--branch", "by_spark", "--days", ticks.as_text(days)),
        *("--columns", ",".join(made.column_names)),
    )
    assert job.returncode == 0, job.stderr[-2000:]
    columns = ", ".join(f'"{name}"' for name in made.column_names)
    one, other = (f"SELECT {columns} FROM {made.table} FOR VERSION AS OF '{branch}'" for branch in ("by_arrow", "by_spark"))
    assert query(stack, f"SELECT count(*) FROM ({one})") == query(stack, f"SELECT count(*) FROM ({other})") == [[3500]]
    assert query(stack, f"SELECT count(*) FROM ({one} EXCEPT {other})") == [[0]]
    table = catalog.load_table(made.table)
    summaries = [table.snapshot_by_name(branch).summary for branch in ("by_arrow", "by_spark")]
    assert summaries[0]["lakehouse.tick-days"] == summaries[1]["lakehouse.tick-days"]
    assert {summary["replace-partitions"] for summary in summaries} == {"true"}
    assert {summary["added-data-files"] for summary in summaries} == {"2"}
    for branch in ("by_arrow", "by_spark"):
        for task in table.scan(snapshot_id=branch_head(table, branch).snapshot_id).plan_files():
            with table.io.new_input(task.file.file_path).open() as file:
                rows = pq.read_table(file, columns=["symbol", "timestamp"])
            assert rows.equals(rows.sort_by([("symbol", "ascending"), ("timestamp", "ascending")]))


@pytest.mark.fault(11)
def test_three_days_in_parallel_and_a_write_in_between_all_end_on_main(catalog: Catalog, stack: Installation, made: Contract) -> None:
    days = [DAY - timedelta(days=back) for back in range(3)]
    between = DAY - timedelta(days=9)

    def run(day: date) -> tuple[date, int, Published]:
        branch = f"audit_{made.table}_{day}"
        snapshot = write(catalog, made, {day: 400}, branch)
        AuditBranchOperator(task_id="audit", contract=_file(made), branch=branch, days=f"{day}=400").execute({})
        return day, snapshot, publish(catalog, made.table, branch, snapshot)

    write(catalog, made, {between: 100}, "between")
    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(run, days))
    # The write in between was on its branch before the others moved main.
    late = branch_head(catalog.load_table(made.table), "between").snapshot_id
    outcomes.append((between, late, publish(catalog, made.table, "between", late)))
    taken_over = [snapshot for _, snapshot, outcome in outcomes if outcome is Published.CHERRY_PICK]
    assert taken_over
    for snapshot in taken_over:
        for _ in range(2 if snapshot == late else 1):  # A second time adds nothing.
            job = spark_submit(stack, JOBS / "cherry_pick.py", "--table", f"hive_prod.{made.table}", "--snapshot-id", str(snapshot))
            assert job.returncode == 0, job.stderr[-2000:]
    table = catalog.load_table(made.table)
    assert rows_by_day(table, "timestamp_day") == {**dict.fromkeys(days, 400), between: 100}
    assert query(stack, f"SELECT count(*) FROM {made.table}") == [[1300]]
    for day, _, _ in outcomes:
        assert ticks.days_to_write(table, {day: 100 if day == between else 400}, 7) == {}
    drop_branch(catalog, made.table, "between")


def test_a_failed_audit_names_the_branch_and_rows_and_leaves_main_as_it_was(catalog: Catalog, stack: Installation, made: Contract) -> None:
    write(catalog, made, {DAY: 300}, "good")
    publish(catalog, made.table, "good", branch_head(catalog.load_table(made.table), "good").snapshot_id)
    before = catalog.load_table(made.table).current_snapshot()
    crossed = [batch.select(list(made.column_names)) for batch in batches(work_of({DAY: 300}), 8)]
    crossed = [batch.set_column(2, "bid_price", [price.as_py() + 1000 for price in batch["ask_price"]]) for batch in crossed]
    overwrite_days(catalog, start_branch(catalog, made.table, "bad"), {DAY}, crossed, branch="bad", summary={})
    with pytest.raises(ChecksFailedError) as caught:
        AuditBranchOperator(task_id="audit", contract=_file(made), branch="bad", days=f"{DAY}=300").execute({})
    text = str(caught.value)
    assert f"branch bad of {made.table}" in text
    assert "bid_at_most_ask: the bid is never above the ask; measured 300.0, wanted = 0" in text
    assert "such as {'timestamp': datetime.datetime(2026, 11, 18" in text
    assert f"SELECT * FROM {made.table} FOR VERSION AS OF 'bad'" in text
    table = catalog.load_table(made.table)
    assert table.current_snapshot() == before
    assert table.snapshot_by_name("bad") is not None
    assert query(stack, f"SELECT count(*) FROM {made.table} WHERE bid_price > ask_price") == [[0]]


def test_a_day_that_main_got_meanwhile_fails_the_publishing_task_by_name(catalog: Catalog, made: Contract) -> None:
    snapshot = write(catalog, made, {DAY: 300}, "ours")
    theirs = write(catalog, made, {DAY: 200}, "theirs", seed=9)
    publish(catalog, made.table, "theirs", theirs)
    task = PublishBranchOperator(
        task_id="publish", table=made.table, branch="ours", snapshot_id=str(snapshot), done_task_id="verify", cherry_pick_task_id="pick"
    )
    with pytest.raises(ChangedMeanwhileError, match=f"other rows of {DAY} in snapshot {theirs} after branch ours"):
        task.choose_branch({})


def test_a_rule_that_cannot_be_asked_of_a_branch_is_named(
    catalog: Catalog, made: Contract, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Airflow's own logger writes past pytest.
    monkeypatch.setattr(AuditBranchOperator, "log", logging.getLogger("audit"))
    snapshot = write(catalog, made, {DAY: 300}, "custom")
    file = _file(made)
    rule = "{measure: rows_like_weekday, mustBeLessOrEqualTo: 50}\n        severity: "
    text = file.read_text()
    assert f"{rule}warning" in text
    file.write_text(text.replace(f"{rule}warning", f"{rule}error"))
    assert AuditBranchOperator(task_id="audit", contract=file, branch="custom", days=f"{DAY}=300").execute({}) == snapshot
    assert "rows_as_usual is not asked of a branch (a custom rule)" in caplog.text


def _file(made: Contract) -> Path:
    """The contract's own file, for the table of the test."""
    text = contract("bronze_option_ticks").read_text().replace("option_ticks_db.bronze_option_ticks", made.table)
    path = Path(os.environ["AIRFLOW_HOME"]) / f"{made.table}.odcs.yaml"
    path.write_text(text)
    return path
