"""A whole DAG of the Superset operators, as one would write it for a folder of one's own: sync, then look for drift.

Put it into a DAG bundle where the connections are; the folder, the prefix and the connection of a viewer come by environment.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from airflow.sdk import DAG

from lakehouse_provider.operators.superset import SupersetDriftOperator, SupersetSyncOperator

FOLDER = Path(os.environ.get("SUPERSET_FOLDER", "include/dashboards/superset"))
PREFIX = os.environ.get("SUPERSET_PREFIX", "dashboards/example")
VIEWER = os.environ.get("SUPERSET_VIEWER", "lakehouse_superset_viewer")

with DAG("example_superset_sync", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
    # [START operator_superset_sync]
    sync = SupersetSyncOperator(task_id="sync", folder=FOLDER, prefix=PREFIX, viewer_conn_ids={"Viewer": VIEWER})
    # [END operator_superset_sync]
    drift = SupersetDriftOperator(task_id="drift", folder=FOLDER, prefix=PREFIX)
    sync >> drift
