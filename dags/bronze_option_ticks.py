"""# bronze_option_ticks
Writes option ticks with Spark into `option_ticks_db.bronze_option_ticks`: one day, or a range of days in one Spark session. A day is
overwritten whole; its values depend on the day, the seed and the number of rows alone, so a day that is there with the same seed and
rows is left alone.

**Inputs**: `include/sample_data/symbols.csv`. **Output**: the table, and the asset `bronze_option_ticks`.

**On call**: clear the failed task; a run may be repeated at any time. Old failures may be ignored once a later run of that day is green.
Runbook: [bronze_option_ticks](/lakehouse/runbooks/bronze_option_ticks)
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_current_context, task

from dags._policy import SPARK_POOL, START_DATE, default_args
from include.assets import BRONZE_OPTION_TICKS, Tag, contract
from lakehouse_provider.operators.tables import EnsureTablesOperator

JOB = Path(__file__).resolve().parent.parent / "include" / "spark" / "option_ticks.py"
TABLE = "option_ticks_db.bronze_option_ticks"
CONTRACT = contract("bronze_option_ticks")

PARAMS = {
    "date": Param(None, type=["null", "string"], format="date", description="Last day to write (UTC); empty: the data interval's day"),
    "days": Param(1, type="integer", minimum=1, maximum=400, description="Number of days to write, ending with the last day"),
    "rows": Param(1_000_000, type="integer", minimum=1, maximum=100_000_000, description="Ticks of the last day"),
    "earlier_rows": Param(10_000, type="integer", minimum=1, maximum=100_000_000, description="Ticks of each day before it"),
    "seed": Param(7, type="integer", minimum=0, description="Seed of the random walk"),
}


@task
def plan() -> dict[str, Any]:
    """The days that are not there yet with this seed and number of rows."""
    from include.ticks import columns, days_to_write, wanted_days
    from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
    from lakehouse_provider.params import run_day

    context = get_current_context()
    params = context["params"]
    wanted = wanted_days(run_day(context), params["days"], params["rows"], params["earlier_rows"])
    missing = days_to_write(LakehouseCatalogHook().catalog.load_table(TABLE), wanted, params["seed"])
    return {
        "wanted": {day.isoformat(): rows for day, rows in wanted.items()},
        "days": ",".join(f"{day}={rows}" for day, rows in missing.items()),
        "columns": ",".join(columns(CONTRACT)),
    }


@task.short_circuit(ignore_downstream_trigger_rules=False)
def anything_to_write(planned: dict[str, Any]) -> bool:
    """False when every wanted day is there: no Spark session is started then."""
    return bool(planned["days"])


@task(outlets=[BRONZE_OPTION_TICKS], trigger_rule="none_failed")
def verify(planned: dict[str, Any]) -> dict[str, Any]:
    """Reads the days' rows back from the manifests and tells the asset."""
    from datetime import date

    from include.ticks import verify_days
    from lakehouse_provider.hooks.catalog import LakehouseCatalogHook

    context = get_current_context()
    table = LakehouseCatalogHook().catalog.load_table(TABLE)
    rows = verify_days(table, {date.fromisoformat(day): rows for day, rows in planned["wanted"].items()})
    snapshot = table.current_snapshot()
    written = [pair.split("=")[0] for pair in planned["days"].split(",") if pair]
    facts = {"rows": rows if written else 0, "rows_there": rows, "days": written, "snapshot_id": snapshot.snapshot_id if snapshot else None}
    context["outlet_events"][BRONZE_OPTION_TICKS].extra.update(facts)
    return facts


with DAG(
    "bronze_option_ticks",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("15 0 * * *", timezone="UTC"),
    start_date=START_DATE,
    catchup=False,
    tags=[Tag.BRONZE, Tag.TIER_1],
    max_active_runs=1,
    params=PARAMS,
    default_args=default_args(),
):
    ensure_table = EnsureTablesOperator(task_id="ensure_table", contracts=[CONTRACT])
    planned = plan()
    write = SparkSubmitOperator(
        task_id="write",
        conn_id="lakehouse_spark",
        application=str(JOB),
        application_args=[
            *("--table", f"hive_prod.{TABLE}"),
            *("--days", "{{ ti.xcom_pull(task_ids='plan')['days'] }}"),
            *("--seed", "{{ params.seed }}"),
            *("--columns", "{{ ti.xcom_pull(task_ids='plan')['columns'] }}"),
        ],
        name="bronze_option_ticks",
        pool=SPARK_POOL,
        execution_timeout=timedelta(hours=2),
    )
    verified = verify(planned)
    ensure_table >> planned >> anything_to_write(planned) >> write >> verified
