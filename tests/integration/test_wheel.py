"""The bundle in somebody else's Airflow, as docs/connections.md says: the wheel in a fresh environment, the DAGs from a Git bundle."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse.objects import ObjectStore
from stack.installation import REPO, Installation
from stack.report import query

pytestmark = pytest.mark.integration

CHECK = """
import json
from airflow import plugins_manager
from airflow.providers_manager import ProvidersManager
manager = ProvidersManager()
print(json.dumps({
    "providers": [name for name in manager.providers if "lakehouse" in name],
    "hooks": sorted({"superset", "grafana"} & set(manager.hooks)),
    "plugins": [plugin.name for plugin in plugins_manager._get_plugins()[0]],
}))
"""


def _run(*command: str | Path, **options: Any) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def airflow(stack: Installation, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs a command of a fresh environment that has the wheel and no file of this repository in its path."""
    folder = tmp_path_factory.mktemp("elsewhere")
    uv = REPO / "var" / "venvs" / "stack" / "bin" / "uv"
    _run(uv, "build", "--quiet", "--wheel", "--out-dir", folder, cwd=REPO)
    wheel = next(folder.glob("*.whl"))
    _run(uv, "venv", "--quiet", "--python", sys.executable, folder / "venv")
    wanted = [f"airflow-lakehouse-bundle[airflow,spark] @ file://{wheel}", "apache-airflow-providers-git"]
    pins = ("--override", REPO / "requirements" / "overrides.txt", "--constraint", REPO / "requirements.txt")
    _run(uv, "pip", "install", "--quiet", "--python", folder / "venv", *pins, *wanted)

    git = folder / "git"
    for part in ("dags", "include"):
        shutil.copytree(REPO / part, git / part, ignore=shutil.ignore_patterns("__pycache__"))
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for step in (("init", "-q", "-b", "main"), ("add", "-A"), (*who, "commit", "-qm", "Begin")):
        _run("git", *step, cwd=git)
    bundle = {
        "name": "lakehouse",
        "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
        "kwargs": {"repo_url": str(git), "tracking_ref": "main"},
    }
    environment = {
        "PATH": f"{folder / 'venv' / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        "LAKEHOUSE_WITHOUT_DEADLINES": "1",
    }
    for conn_id, fields in json.loads((stack.etc / "connections.json").read_text()).items():
        environment[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(fields)

    def run(*command: str | Path) -> str:
        return _run(*command, cwd=folder, env=environment)

    run("airflow", "db", "migrate")
    run("airflow", "pools", "import", REPO / "config" / "airflow" / "pools.json")
    return run


def test_the_wheel_brings_the_connection_types_and_the_plugin(airflow: Callable[..., str]) -> None:
    found = json.loads(airflow("python", "-c", CHECK).splitlines()[-1])
    assert found["providers"] == ["airflow-lakehouse-bundle"]
    assert found["hooks"] == ["grafana", "superset"]
    assert "lakehouse" in found["plugins"]


def test_the_dags_of_a_git_bundle_load_and_one_runs(
    airflow: Callable[..., str], stack: Installation, store: ObjectStore, fresh_name: str
) -> None:
    line = {"event_time": datetime.now(UTC).isoformat(), "level": "INFO", "message": fresh_name}
    store.put(f"landing/logs/{fresh_name}.jsonl", json.dumps(line).encode(), "application/x-ndjson")
    airflow("airflow", "dags", "test", "bronze_raw_logs")
    assert query(stack, f"SELECT count(*) FROM logs_db.raw_logs WHERE message = '{fresh_name}'") == [[1]]
    airflow("airflow", "dags", "reserialize")
    dags = json.loads(airflow("airflow", "dags", "list", "-o", "json").splitlines()[-1])
    wanted = {path.stem for path in (REPO / "dags").glob("*.py") if not path.stem.startswith("_")}
    assert {dag["dag_id"] for dag in dags} == wanted
