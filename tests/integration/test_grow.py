"""`docs/grow.md`: what it says to write is written into a copy of the bundle, checked, and run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.objects import ObjectStore
from stack.installation import REPO, Installation
from stack.report import query

pytestmark = pytest.mark.integration

FILES = dict(re.findall(r"^`([\w/.]+)`\n```\w+\n(.*?)^```", (REPO / "docs" / "grow.md").read_text(), re.MULTILINE | re.DOTALL))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the bundle with the page's files in it."""
    for part in ("dags", "include", "docs/runbooks", "config/airflow"):
        shutil.copytree(REPO / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def run(bundle: Path, *command: str, environment: dict[str, str] | None = None) -> str:
    """A command of the page's, in the copy."""
    binaries = Path(sys.executable).parent
    path = f"{binaries}:{os.environ['PATH']}"
    done = subprocess.run(
        [str(binaries / command[0]), *command[1:]],
        cwd=bundle,
        env={**os.environ, "PATH": path, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def test_the_page_has_all_four_files() -> None:
    assert sorted(FILES) == [
        "dags/bronze_sensor_readings.py",
        "docs/runbooks/bronze_sensor_readings.md",
        "include/contracts/sensor_readings.odcs.yaml",
        "include/sensors.py",
    ]


def test_the_contract_is_taken_by_the_lint(bundle: Path) -> None:
    run(bundle, "python", "-m", "lakehouse.contracts.lint", "include/contracts")


def test_the_table_is_filled_refuses_and_is_checked(bundle: Path, stack: Installation, store: ObjectStore, fresh_name: str) -> None:
    lines = [
        {"measured_at": "2026-11-24T03:00:00+00:00", "sensor": fresh_name, "celsius": 21.5},
        {"measured_at": "2026-11-24T03:01:00+00:00", "sensor": fresh_name, "celsius": 22.0},
    ]
    many = [{"measured_at": "2026-11-24T03:02:00+00:00", "sensor": f"{fresh_name}-{number}", "celsius": 20.0} for number in range(30)]
    body = "\n".join(json.dumps(line) for line in [*lines, *many, {"celsius": 1}])
    store.put(f"landing/sensors/{fresh_name}.jsonl", body.encode(), "application/x-ndjson")
    local = {
        "name": "lakehouse",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(bundle)},
    }
    environment = {
        "AIRFLOW_HOME": str(bundle / "airflow"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([local]),
        "LAKEHOUSE_WITHOUT_DEADLINES": "1",
    }
    for conn_id, fields in json.loads((stack.etc / "connections.json").read_text()).items():
        environment[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(fields)
    run(bundle, "airflow", "db", "migrate", environment=environment)
    run(bundle, "airflow", "pools", "import", "config/airflow/pools.json", environment=environment)
    run(bundle, "airflow", "dags", "test", "bronze_sensor_readings", environment=environment)

    counted = query(stack, f"SELECT count(*) FROM factory_db.sensor_readings WHERE sensor LIKE '{fresh_name}%'")
    assert counted == [[32]]
    refused = "SELECT count(*) FROM ops_db.refused_records WHERE table_name = 'factory_db.sensor_readings' AND reason = 'no_sensor'"
    assert int(query(stack, refused)[0][0]) >= 1
    verdicts = "SELECT count_if(status = 'failed'), count(*) FROM ops_db.check_results WHERE table_name = 'factory_db.sensor_readings'"
    assert query(stack, verdicts)[0][0] == 0
