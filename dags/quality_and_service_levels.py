"""# quality_and_service_levels
Says whether the data can be trusted and whether the services are quick enough: the checks of every contract, in one Trino query a table,
then the service levels. Both are kept in `ops_db`.

**Inputs**: all tables, every service, the open incidents. **Outputs**: `ops_db.check_results`, `ops_db.failed_row_samples`,
`ops_db.service_level_events`, `ops_db.incidents`.

**On call**: a red check names the rule and what was measured; look at the data, repair it by running its DAG again, then clear the task.
Warnings never turn a task red, missed timings only where the file says `severity: error`. Old failures may be ignored once a later run is
green.
Runbook: [quality_and_service_levels](/lakehouse/runbooks/quality_and_service_levels)
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable

from dags._policy import START_DATE, TRINO_POOL, default_args, on_call
from include.assets import DASHBOARDS, OF_TABLE, TABLES, Tag, contract
from lakehouse_provider.notifiers import SettleIncidents
from lakehouse_provider.operators.incidents import CopyIncidentsOperator
from lakehouse_provider.operators.quality import ContractCheckOperator
from lakehouse_provider.operators.service_levels import ServiceLevelsOperator
from lakehouse_provider.operators.tables import EnsureTablesOperator

LEVELS = Path(__file__).resolve().parent.parent / "include" / "service_levels.yaml"

with DAG(
    "quality_and_service_levels",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 6 * * *", timezone="UTC"), assets=[DASHBOARDS]),
    start_date=START_DATE,
    catchup=False,
    tags=[Tag.QUALITY],
    max_active_runs=1,
    **on_call("quality_and_service_levels", late_after=timedelta(minutes=40)),
    default_args=default_args(),
):
    ensure_tables = EnsureTablesOperator(task_id="ensure_tables", contracts=[contract(name) for name in TABLES])
    checks = [
        ContractCheckOperator(
            task_id=f"check_{name}",
            contract=contract(name),
            inlets=[OF_TABLE[name]],
            pool=TRINO_POOL,
            on_success_callback=SettleIncidents(task=True),
        )
        for name in TABLES
    ]
    # Timings are measured when the checks are through, whatever they found.
    levels = ServiceLevelsOperator(
        task_id="service_levels", levels=LEVELS, contracts=[contract(name) for name in TABLES], pool=TRINO_POOL, trigger_rule="all_done"
    )
    # A run is as good as its last tasks, and the levels run whatever was before them: this one is red when anything was.
    verdict = EmptyOperator(task_id="verdict")
    ensure_tables >> checks >> levels
    [*checks, levels] >> verdict
    # Last, so that the copy holds what this run found.
    levels >> CopyIncidentsOperator(task_id="copy_incidents", trigger_rule="all_done")
