"""# bronze_option_ticks
Writes option ticks into `option_ticks_db.bronze_option_ticks`: one day, or a range of days. The days are written to a branch, the
contract's blocking checks run there, and only then they are published: readers see a day whole and good, or as it was before. A day
is overwritten whole; its values depend on the day, the seed and the number of rows alone, so a day that is there with the same seed
and rows is left alone. Spark writes large loads, Arrow small ones, the very same rows.

**Inputs**: `include/sample_data/underlyings.csv`. **Output**: the table, and the asset `bronze_option_ticks`.

**On call**: clear the failed task; a run may be repeated at any time. A failed `audit` names the branch and some of its rows; main is as
it was. Old failures may be ignored once a later run of that day is green.
Runbook: [bronze_option_ticks](/lakehouse/runbooks/bronze_option_ticks)
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_current_context, task

from dags._policy import DECODE_POOL, SPARK_POOL, START_DATE, TRINO_POOL, default_args, on_call
from include.assets import BRONZE_OPTION_TICKS, Tag, contract
from lakehouse_provider.operators.branches import AuditBranchOperator, PublishBranchOperator
from lakehouse_provider.operators.tables import EnsureTablesOperator

JOBS = Path(__file__).resolve().parent.parent / "include" / "spark"
TABLE = "option_ticks_db.bronze_option_ticks"
CONTRACT = contract("bronze_option_ticks")
PLANNED = "{{ ti.xcom_pull(task_ids='plan')['%s'] }}"
AUDITED = "{{ ti.xcom_pull(task_ids='audit') }}"

PARAMS = {
    "date": Param(None, type=["null", "string"], format="date", description="Last day to write (UTC); empty: the data interval's day"),
    "days": Param(1, type="integer", minimum=1, maximum=400, description="Number of days to write, ending with the last day"),
    "rows": Param(1_000_000, type="integer", minimum=1, maximum=100_000_000, description="Ticks of the last day"),
    "earlier_rows": Param(10_000, type="integer", minimum=1, maximum=100_000_000, description="Ticks of each day before it"),
    "seed": Param(7, type="integer", minimum=0, description="Seed of the random walk"),
    "engine": Param("auto", enum=["auto", "spark", "arrow"], description="What writes; auto: Arrow for small loads, Spark for large ones"),
}


@task
def plan() -> dict[str, Any]:
    """The days that are not there yet with this seed and number of rows, their branch, and the engine for them."""
    from include import ticks
    from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
    from lakehouse_provider.params import run_day

    context = get_current_context()
    params = context["params"]
    wanted = ticks.wanted_days(run_day(context), params["days"], params["rows"], params["earlier_rows"])
    catalog = LakehouseCatalogHook().catalog
    planned = ticks.plan(catalog, TABLE, context["dag"].dag_id, wanted, params["seed"], params["engine"]).as_dict()
    return planned | {"columns": ",".join(ticks.columns(CONTRACT))}


@task.branch
def choose_engine(planned: dict[str, Any]) -> str:
    """Nothing is started when every wanted day is there."""
    return f"write_with_{planned['engine']}" if planned["engine"] else "verify"


@task(pool=DECODE_POOL, execution_timeout=timedelta(hours=2))
def write_with_arrow(planned: dict[str, Any]) -> int:
    """Writes the days to their branch without Spark; returns the number of rows."""
    from include import ticks
    from lakehouse_provider.hooks.catalog import LakehouseCatalogHook

    seed = get_current_context()["params"]["seed"]
    days = ticks.from_text(planned["days"])
    return ticks.write_with_arrow(LakehouseCatalogHook().catalog, CONTRACT, days, seed, planned["branch"])


@task(outlets=[BRONZE_OPTION_TICKS], trigger_rule="none_failed_min_one_success")
def verify(planned: dict[str, Any]) -> dict[str, Any]:
    """Reads the days' rows back from main's manifests, drops the branch and tells the asset."""
    from include import ticks
    from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
    from lakehouse_provider.operators.base import describe_outlet

    catalog = LakehouseCatalogHook().catalog
    facts = ticks.verify(catalog, TABLE, ticks.from_text(planned["wanted"]), ticks.from_text(planned["days"]), planned["branch"])
    describe_outlet(get_current_context(), BRONZE_OPTION_TICKS, facts)
    return facts


with DAG(
    "bronze_option_ticks",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("15 0 * * *", timezone="UTC"),
    start_date=START_DATE,
    catchup=False,
    tags=[Tag.BRONZE, Tag.TIER_1],
    # Days go side by side; how many Spark sessions that may be is for the pool to say.
    max_active_runs=4,
    params=PARAMS,
    **on_call(BRONZE_OPTION_TICKS.name, late_after=timedelta(hours=1), calendar="XNYS"),
    default_args=default_args(),
):
    ensure_table = EnsureTablesOperator(task_id="ensure_table", contracts=[CONTRACT])
    planned = plan()
    engine = choose_engine(planned)
    write_with_spark = SparkSubmitOperator(
        task_id="write_with_spark",
        conn_id="lakehouse_spark",
        application=str(JOBS / "option_ticks.py"),
        application_args=[
            *("--table", f"hive_prod.{TABLE}"),
            *("--branch", PLANNED % "branch"),
            *("--days", PLANNED % "days"),
            *("--seed", "{{ params.seed }}"),
            *("--columns", PLANNED % "columns"),
        ],
        name="bronze_option_ticks",
        pool=SPARK_POOL,
        execution_timeout=timedelta(hours=2),
    )
    audit = AuditBranchOperator(
        task_id="audit",
        contract=CONTRACT,
        branch=PLANNED % "branch",
        days=PLANNED % "days",
        pool=TRINO_POOL,
        trigger_rule="none_failed_min_one_success",
    )
    publish = PublishBranchOperator(
        task_id="publish",
        table=TABLE,
        branch=PLANNED % "branch",
        snapshot_id=AUDITED,
        done_task_id="verify",
        cherry_pick_task_id="cherry_pick",
    )
    cherry_pick = SparkSubmitOperator(
        task_id="cherry_pick",
        conn_id="lakehouse_spark",
        application=str(JOBS / "cherry_pick.py"),
        application_args=["--table", f"hive_prod.{TABLE}", "--snapshot-id", AUDITED],
        name="cherry_pick",
        pool=SPARK_POOL,
    )
    ensure_table >> planned
    engine >> [write_with_spark, write_with_arrow(planned)] >> audit >> publish >> cherry_pick
    [engine, publish, cherry_pick] >> verify(planned)
