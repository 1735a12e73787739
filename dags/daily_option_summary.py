"""# daily_option_summary
Merges the ticks, generated and collected, into `option_ticks_db.daily_option_summary` with Trino, one row per day and symbol. Only days
whose ticks and summary differ are touched, and those that the ticks' event names. Days without a generated tick are named; with the param
`start_missing` they, and they alone, are written by runs of `bronze_option_ticks`.

**Inputs**: `option_ticks_db.bronze_option_ticks`, `collected_option_ticks`. **Output**: the table, and the asset `daily_option_summary`.

**On call**: clear the failed task; the merge may be repeated at any time. A missing day is a warning in the log of `report_missing`, never
a failure. Old failures may be ignored once a later run is green.
Runbook: [daily_option_summary](/lakehouse/runbooks/daily_option_summary)
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, Param, get_current_context, task

from dags._policy import START_DATE, TRINO_POOL, default_args, on_call
from include.assets import BRONZE_OPTION_TICKS, COLLECTED_OPTION_TICKS, DAILY_OPTION_SUMMARY, Tag, contract
from lakehouse_provider.operators.tables import EnsureTablesOperator

log = logging.getLogger(__name__)

TICKS_DAG = "bronze_option_ticks"


@task(inlets=[BRONZE_OPTION_TICKS, COLLECTED_OPTION_TICKS], outlets=[DAILY_OPTION_SUMMARY], pool=TRINO_POOL)
def merge() -> dict[str, Any]:
    """Merges the touched days and reads the counts back."""
    from datetime import date

    from include.summary import facts
    from include.summary import merge as merge_days
    from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
    from lakehouse_provider.hooks.trino import trino_cursor
    from lakehouse_provider.operators.base import describe_outlet

    context = get_current_context()
    events = (context.get("triggering_asset_events") or {}).get(BRONZE_OPTION_TICKS, [])
    named = sorted({day for event in events for day in event.extra.get("days", [])})
    merged = facts(LakehouseCatalogHook().catalog, merge_days(trino_cursor(), [date.fromisoformat(day) for day in named]))
    describe_outlet(context, DAILY_OPTION_SUMMARY, merged)
    return merged


@task(pool=TRINO_POOL)
def report_missing() -> list[str]:
    """Names the days without a tick."""
    from datetime import UTC, datetime, timedelta

    from include.summary import missing_days
    from lakehouse_provider.hooks.trino import trino_cursor

    days_back = get_current_context()["params"]["look_back_days"]
    days = [day.isoformat() for day in missing_days(trino_cursor(), datetime.now(UTC).date() - timedelta(days=1), days_back)]
    if days:
        log.warning(
            "%d days have no tick in the last %d: %s. The param start_missing has them written", len(days), days_back, ", ".join(days)
        )
    else:
        log.info("no day is missing in the last %d", days_back)
    return days


@task
def runs_to_start(days: list[str]) -> list[dict[str, Any]]:
    """One run for each missing day, none unless the param says so."""
    context = get_current_context()
    params = context["params"]
    wanted = days if params["start_missing"] else []
    return [
        {"conf": {"date": day, "rows": params["missing_rows"]}, "trigger_run_id": f"missing__{day}__{context['run_id']}"} for day in wanted
    ]


with DAG(
    "daily_option_summary",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 1 * * *", timezone="UTC"), assets=[BRONZE_OPTION_TICKS]),
    start_date=START_DATE,
    catchup=False,
    tags=[Tag.TIER_1],
    max_active_runs=1,
    params={
        "look_back_days": Param(30, type="integer", minimum=1, maximum=3650, description="Missing days are looked for in so many days"),
        "start_missing": Param(
            default=False, type="boolean", description="Start bronze_option_ticks for the missing days, and for no other"
        ),
        "missing_rows": Param(1_000_000, type="integer", minimum=1, maximum=100_000_000, description="Ticks of each missing day"),
    },
    **on_call(DAILY_OPTION_SUMMARY.name, late_after=timedelta(minutes=30), calendar="XNYS"),
    default_args=default_args(),
):
    contracts = [contract(name) for name in ("bronze_option_ticks", "collected_option_ticks", "daily_option_summary")]
    found = report_missing()
    EnsureTablesOperator(task_id="ensure_table", contracts=contracts) >> merge() >> found
    start_missing = TriggerDagRunOperator.partial(task_id="start_missing", trigger_dag_id=TICKS_DAG, skip_when_already_exists=True)
    start_missing.expand_kwargs(runs_to_start(found))
