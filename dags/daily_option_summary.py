"""# daily_option_summary
Merges the ticks into `option_ticks_db.daily_option_summary` with Trino, one row per day and symbol. Only days whose ticks and summary
differ are touched, and those that the ticks' event names.

**Input**: `option_ticks_db.bronze_option_ticks`. **Output**: the table, and the asset `daily_option_summary`.

**On call**: clear the failed task; the merge may be repeated at any time. Old failures may be ignored once a later run is green.
Runbook: [daily_option_summary](/lakehouse/runbooks/daily_option_summary)
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, get_current_context, task

from dags._policy import START_DATE, TRINO_POOL, default_args
from include.assets import BRONZE_OPTION_TICKS, DAILY_OPTION_SUMMARY, Tag, contract
from lakehouse_provider.operators.tables import EnsureTablesOperator


@task(outlets=[DAILY_OPTION_SUMMARY], pool=TRINO_POOL)
def merge() -> dict[str, Any]:
    """Merges the touched days and reads the counts back."""
    from datetime import date

    from include.summary import merge as merge_days
    from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
    from lakehouse_provider.hooks.trino import trino_cursor

    context = get_current_context()
    events = (context.get("triggering_asset_events") or {}).get(BRONZE_OPTION_TICKS, [])
    named = sorted({day for event in events for day in event.extra.get("days", [])})
    facts = merge_days(trino_cursor(), [date.fromisoformat(day) for day in named])
    snapshot = LakehouseCatalogHook().catalog.load_table("option_ticks_db.daily_option_summary").current_snapshot()
    facts |= {"snapshot_id": snapshot.snapshot_id if snapshot else None}
    context["outlet_events"][DAILY_OPTION_SUMMARY].extra.update(facts)
    return facts


with DAG(
    "daily_option_summary",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 1 * * *", timezone="UTC"), assets=[BRONZE_OPTION_TICKS]),
    start_date=START_DATE,
    catchup=False,
    tags=[Tag.TIER_1],
    max_active_runs=1,
    default_args=default_args(),
):
    contracts = [contract("bronze_option_ticks"), contract("daily_option_summary")]
    EnsureTablesOperator(task_id="ensure_table", contracts=contracts) >> merge()
