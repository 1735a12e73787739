"""# bronze_raw_logs
Loads closed JSON-lines files from `s3://lakehouse/landing/logs/` into `logs_db.raw_logs`, each line once. Secrets in them are hidden before
anything is stored; then the files are kept under `raw/logs/date=…/`. Lines that cannot be taken go to `ops_db.refused_records` with their
reason; the others are loaded. The services' own logs, where they are collected on this machine, are put into the landing prefix first.

**Inputs**: files `landing/logs/*.jsonl`; the collector's spool folder (`LAKEHOUSE_LOG_SPOOL`).
**Outputs**: the table, the raw files, and the asset `raw_logs`.

**On call**: clear the failed task; nothing is loaded twice. "Too many refused" means that the good lines are safe and a source writes
nonsense. Old failures may be ignored once a later run is green.
Runbook: [bronze_raw_logs](/lakehouse/runbooks/bronze_raw_logs)
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_current_context, task

from dags._policy import START_DATE, default_args, on_call
from include.assets import RAW_LOGS, Tag, contract
from include.logs import to_row
from lakehouse_provider.operators.logs import LoadJsonLinesOperator, TakeSpoolOperator
from lakehouse_provider.operators.tables import EnsureTablesOperator

CONTRACT = contract("raw_logs")
LANDING = "landing/logs/"


@task
def put_sample_files() -> int:
    """Puts sample files into the landing prefix when the run asks for them; returns how many."""
    from include.sample_data import logs
    from lakehouse_provider.hooks.object_store import ObjectStoreHook

    rows = get_current_context()["params"]["sample_rows"]
    store = ObjectStoreHook().store
    files = list(logs.files(rows)) if rows else []
    for name, body in files:
        store.put(LANDING + name, body, "application/x-ndjson")
    return len(files)


with DAG(
    "bronze_raw_logs",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("5 * * * *", timezone="UTC"),
    start_date=START_DATE,
    catchup=False,
    tags=[Tag.BRONZE, Tag.TIER_2],
    max_active_runs=1,
    params={
        "sample_rows": Param(
            0,
            type="integer",
            minimum=0,
            maximum=1_000_000,
            description="First put this many sample lines of the last 24 hours there; 0: none",
        )
    },
    **on_call(RAW_LOGS.name, late_after=timedelta(minutes=30)),
    default_args=default_args(),
):
    load = LoadJsonLinesOperator(task_id="load", contract=CONTRACT, landing=LANDING, raw="raw/logs/", to_row=to_row, outlets=[RAW_LOGS])
    take_collected = TakeSpoolOperator(task_id="take_collected", landing=LANDING)
    EnsureTablesOperator(task_id="ensure_table", contracts=[CONTRACT]) >> [put_sample_files(), take_collected] >> load
