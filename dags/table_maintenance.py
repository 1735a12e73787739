"""# table_maintenance
Deletes the daily indices `logs-YYYY.MM.DD` that are older than the contract of `raw_logs` keeps them, by the date in their name. Where
OpenSearch has index state management (ISM), its own policy does that, and the task says so.

**Input**: `include/contracts/raw_logs.odcs.yaml` (retention). **Output**: fewer `logs-*`.

**On call**: clear the failed task; what is deleted is deleted. More than `max_indices` old indices stop it before anything is deleted:
first look at the worker's clock.
Runbook: [table_maintenance](/lakehouse/runbooks/table_maintenance)
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from dags._policy import START_DATE, default_args, on_call
from include.assets import Tag, contract
from include.logs import LOGS
from lakehouse_provider.operators.opensearch import DeleteOldIndicesOperator

with DAG(
    "table_maintenance",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 2 * * *", timezone="UTC"),
    start_date=START_DATE,
    catchup=False,
    tags=[Tag.TIER_2, Tag.OPERATIONS],
    max_active_runs=1,
    params={
        "max_indices": Param(10, type="integer", minimum=1, maximum=10_000, description="Stop, and delete nothing, when more are old"),
        "dry_run": Param(default=False, type="boolean", description="Only say which indices would be deleted"),
    },
    **on_call("table_maintenance", late_after=timedelta(hours=1)),
    default_args=default_args(),
):
    DeleteOldIndicesOperator(
        task_id="delete_old_indices",
        contract=contract("raw_logs"),
        target=LOGS,
        max_indices="{{ params.max_indices }}",
        only_say="{{ params.dry_run }}",
    )
