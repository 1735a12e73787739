"""# sync_dashboards
Brings Superset to what `include/dashboards/superset/` says: plans, imports only what differs, reads it back, and runs every chart as an
ordinary user. Nothing changed means that nothing is written.

**Inputs**: the files, and the tables that the charts draw. **Output**: the boards, and the asset `dashboards`.

**On call**: the error names the chart and what Superset said of it. Clear the task once its table has data. Old failures may be ignored
once a later run is green.
Runbook: [sync_dashboards](/lakehouse/runbooks/sync_dashboards)
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG

from dags._policy import START_DATE, default_args
from include.assets import DAILY_OPTION_SUMMARY, DASHBOARDS, Tag
from lakehouse_provider.operators.dashboards import SupersetSyncOperator

FOLDER = Path(__file__).resolve().parent.parent / "include" / "dashboards" / "superset"

with DAG(
    "sync_dashboards",
    doc_md=__doc__,
    schedule=[DAILY_OPTION_SUMMARY],
    start_date=START_DATE,
    tags=[Tag.DASHBOARDS],
    max_active_runs=1,
    default_args=default_args(),
):
    SupersetSyncOperator(task_id="superset", folder=FOLDER, outlets=[DASHBOARDS])
