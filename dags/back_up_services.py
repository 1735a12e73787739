"""# back_up_services
Backs up what the storage does not keep by itself: PostgreSQL's databases (Airflow's, Superset's, the incidents, the Hive metastore where it
is the catalog), Superset's boards, Grafana's where there is one, OpenSearch's `logs-*`, and the catalog's metadata. Each part is read back,
and lists what it holds. Databases are encrypted: they hold secrets. `make restore` brings a back-up back and compares it object by object.

**Input**: the services. **Output**: `<path of connection lakehouse_backup>/20261124T030000Z/`, whole when its `manifest.json` is there.

**On call**: clear the failed task; it goes on in the same back-up. Older back-ups stay as they are until a newer one is whole.
Runbook: [back_up_services](/lakehouse/runbooks/back_up_services)
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from dags._policy import START_DATE, default_args, on_call
from include.assets import Tag
from include.logs import LOGS
from lakehouse_provider.operators.backup import (
    BackUpCatalogOperator,
    BackUpDatabasesOperator,
    BackUpGrafanaOperator,
    BackUpLogsOperator,
    BackUpSupersetOperator,
    CloseBackupOperator,
)

with DAG(
    "back_up_services",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone="UTC"),
    start_date=START_DATE,
    catchup=False,
    tags=[Tag.OPERATIONS],
    max_active_runs=1,
    params={
        "keep": Param(14, type="integer", minimum=1, maximum=1_000, description="How many whole back-ups stay; older ones are removed"),
    },
    **on_call("back_up_services", late_after=timedelta(hours=1)),
    default_args=default_args(),
):
    databases = BackUpDatabasesOperator(task_id="databases")
    superset = BackUpSupersetOperator(task_id="superset")
    grafana = BackUpGrafanaOperator(task_id="grafana")
    logs = BackUpLogsOperator(task_id="logs", pattern=f"{LOGS.prefix}*")
    catalog = BackUpCatalogOperator(task_id="catalog")
    CloseBackupOperator(
        task_id="close",
        kept=[part.output for part in (databases, superset, grafana, logs, catalog)],
        keep="{{ params.keep }}",
        trigger_rule="none_failed",
    )
