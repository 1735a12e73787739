"""Each scheduled DAG through `dag.test()`, on the tests' stack but without its scheduler."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stack.installation import REPO, Installation, postgres_binaries
from tests.conftest import ROWS

pytestmark = [
    pytest.mark.integration,
    # Airflow's own deprecations, which are not ours to cure.
    pytest.mark.filterwarnings("ignore"),
]

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
# In the order in which one needs the other's data. The days of ticks are those of the pipeline: they are there, and stay as they are.
RUNS = {
    "bronze_raw_logs": {"sample_rows": 300},
    "ship_logs": {},
    "redrive_refused": {},
    "table_maintenance": {},
    "back_up_services": {},
    "upload_images": {"sample": True, "tag": "analytics"},
    "reconcile_images": {"check_hashes": True},
    "collect_tick_files": {"sample": True, "date": YESTERDAY.isoformat(), "quiet_seconds": 0},
    "bronze_option_ticks": {"date": YESTERDAY.isoformat(), "days": 30, "rows": ROWS},
    "daily_option_summary": {},
    "sync_dashboards": {},
    "dashboard_drift": {},
    "quality_and_service_levels": {},
}


@pytest.fixture(scope="module")
def dags(stack: Installation, pipeline: dict[str, Any], connections: dict[str, Any]) -> dict[str, Any]:
    import sys

    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils import db

    os.environ["SPARK_CONF_DIR"] = str(stack.etc / "spark")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["AWS_REGION"] = "us-east-1"
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{postgres_binaries()}:{os.environ['PATH']}"
    os.environ["LAKEHOUSE_WITHOUT_DEADLINES"] = "1"
    db.initdb()
    bag = DagBag(dag_folder=str(REPO), bundle_path=REPO, bundle_name="dags-folder")
    return dict(bag.dags)


@pytest.mark.parametrize("dag_id", list(RUNS))
def test_a_scheduled_dag_runs_to_success(dags: dict[str, Any], dag_id: str) -> None:
    run = dags[dag_id].test(run_conf=RUNS[dag_id])
    assert run.state == "success"
