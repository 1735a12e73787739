"""# table_maintenance
Keeps what grows from growing for ever. Tables: partitions with many small files or with deletes are compacted, snapshots older than a week
expire (never one that a shipment or an open branch goes on from), files that no snapshot knows go after a week, old rows of `ops_db` go.
Objects: `archive/`, `refused/` and `quarantine/` by age. OpenSearch: daily indices `logs-YYYY.MM.DD` that are older than the contract of
`raw_logs` keeps them, by the date in their name; where OpenSearch has index state management (ISM), its own policy does that.

**Input**: all contracts (retention, target file size). **Output**: fewer files, snapshots, objects and `logs-*`; what was done is in
`ops_db.maintenance`.

**On call**: clear the failed task; what is done is done. More than `max_indices` old indices stop their deletion before anything is
deleted: first look at the worker's clock.
Runbook: [table_maintenance](/lakehouse/runbooks/table_maintenance)
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from dags._policy import START_DATE, TRINO_POOL, default_args, on_call
from include.assets import KEPT_DAYS, TABLES, Tag, contract
from include.logs import LOGS
from lakehouse_provider.operators.maintenance import DeleteOldObjectsOperator, MaintainTablesOperator
from lakehouse_provider.operators.opensearch import DeleteOldIndicesOperator
from lakehouse_provider.operators.tables import EnsureTablesOperator

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
        "dry_run": Param(default=False, type="boolean", description="Only say what would be done"),
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
    contracts = [contract(name) for name in TABLES]
    maintain_tables = MaintainTablesOperator(
        task_id="maintain_tables", contracts=contracts, only_say="{{ params.dry_run }}", pool=TRINO_POOL
    )
    delete_old_objects = DeleteOldObjectsOperator(task_id="delete_old_objects", days=KEPT_DAYS, only_say="{{ params.dry_run }}")
    EnsureTablesOperator(task_id="ensure_table", contracts=contracts) >> [maintain_tables, delete_old_objects]
