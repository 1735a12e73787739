"""# dashboard_drift
Says every morning what someone changed in Superset's and Grafana's pages since the last apply, field by field, and who did where the
service tells. It changes nothing by itself. With the param `then` it reverts the edits (the files are written over them, a backup is kept)
or accepts them: then it makes a patch of the files under `include/dashboards/`, for `git apply` and a commit.

Without the connection `lakehouse_grafana` the task `grafana` is skipped, and says so.

**Inputs**: the files, the records of the last apply, Superset, Grafana. **Output**: the table in the log, or the patch.

**On call**: drift is no failure. A red task means that its service or the object store did not answer, or that a file is wrong.
Runbook: [dashboard_drift](/lakehouse/runbooks/dashboard_drift)
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, Param

from dags._policy import DASHBOARDS_POOL, START_DATE, default_args, on_call
from include.assets import GRAFANA_FOLDER, REPOSITORY, SUPERSET_FOLDER, Tag
from lakehouse_provider.operators.grafana import GrafanaDriftOperator
from lakehouse_provider.operators.superset import SupersetDriftOperator

with DAG(
    "dashboard_drift",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 5 * * *", timezone="UTC"),
    start_date=START_DATE,
    catchup=False,
    tags=[Tag.DASHBOARDS, Tag.OPERATIONS],
    max_active_runs=1,
    params={
        "then": Param(
            "report",
            enum=["report", "revert", "accept"],
            description="What to do with edits: only report them, write the files over them, or make a patch of the files that has them",
        )
    },
    **on_call("dashboard_drift", late_after=timedelta(minutes=20)),
    default_args=default_args(),
):
    SupersetDriftOperator(task_id="superset", folder=SUPERSET_FOLDER, root=REPOSITORY, then="{{ params.then }}", pool=DASHBOARDS_POOL)
    GrafanaDriftOperator(
        task_id="grafana", folder=GRAFANA_FOLDER, optional=True, root=REPOSITORY, then="{{ params.then }}", pool=DASHBOARDS_POOL
    )
