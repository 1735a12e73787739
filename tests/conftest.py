"""The tests' own stack, and the pipeline that most integration tests look at afterwards.

The stack lies in `var/test` with every port shifted, beside a user's own. It is left running between runs of pytest; `make test` starts
from a clean one and stops it at the end.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import settings

# How long an example takes says something of the machine, not of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Airflow reads its settings at its first import; the unit and DAG tests need nothing of a running one.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-tests-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
# `dag.test()` looks for its DAG in the configured bundles, and runs its tasks in the one of this name.
os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps(
    [
        {
            "name": "dags-folder",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(Path(__file__).resolve().parent.parent)},
        }
    ]
)

from stack.airflow_api import AirflowApi  # noqa: E402
from stack.installation import REPO, Installation  # noqa: E402

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from lakehouse.objects import ObjectStore

STATE = REPO / "var" / "test"
PORT_OFFSET = 12_000
ROWS = 20_000
FAULTS = 30  # rows of docs/faults.md


def run_stack(*arguments: str, check: bool = True, state: Path = STATE) -> subprocess.CompletedProcess[str]:
    """The stack tool on the tests' own installation, or one in another folder."""
    python = REPO / "var" / "venvs" / "stack" / "bin" / "python"
    command = [python, "-m", "stack", f"--state={state}", f"--port-offset={PORT_OFFSET}", "--catalog=rest", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    result = subprocess.run([str(part) for part in command], cwd=REPO, capture_output=True, text=True, env=environment, check=False)
    if check and result.returncode != 0:
        pytest.fail(f"stack {' '.join(arguments)} ended with {result.returncode}:\n{result.stdout[-4000:]}{result.stderr[-2000:]}")
    return result


def spark_submit(stack: Installation, job: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Spark job run by hand, with the settings of the tests' stack."""
    binaries = REPO / "var" / "venvs" / "airflow" / "bin"
    environment = {
        **os.environ,
        "SPARK_CONF_DIR": str(stack.etc / "spark"),
        "AWS_REGION": "us-east-1",
        "PYSPARK_PYTHON": str(binaries / "python"),
    }
    environment["PATH"] = f"{binaries}:{environment['PATH']}"
    command = [str(binaries / "spark-submit"), "--master", "local[2]", str(job), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(scope="session")
def stack() -> Installation:
    """The tests' own stack, running."""
    run_stack("up")
    return Installation(STATE, PORT_OFFSET)


@pytest.fixture(scope="session")
def api(stack: Installation) -> AirflowApi:
    """Airflow's REST API of the tests' stack."""
    return AirflowApi(stack)


@pytest.fixture(scope="session")
def pipeline(stack: Installation) -> dict[str, Any]:
    """The report of one whole run with few ticks."""
    run_stack("run", f"--rows={ROWS}")
    report: dict[str, Any] = json.loads((STATE / "run-report.json").read_text())
    return report


@pytest.fixture(scope="session")
def connections(stack: Installation) -> dict[str, dict[str, Any]]:
    """The rendered connections of the tests' stack, also set in the environment, where the hooks find them."""
    found: dict[str, dict[str, Any]] = json.loads((stack.etc / "connections.json").read_text())
    for conn_id, fields in found.items():
        os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(fields)
    return found


@pytest.fixture(scope="session")
def catalog(connections: dict[str, dict[str, Any]]) -> Catalog:
    """The Iceberg catalog of the tests' stack, with the bundle's own tables."""
    from lakehouse.ops.tables import ensure_ops_tables
    from lakehouse_provider.hooks.catalog import LakehouseCatalogHook

    opened = LakehouseCatalogHook().catalog
    ensure_ops_tables(opened)
    return opened


@pytest.fixture(scope="session")
def store(connections: dict[str, dict[str, Any]]) -> ObjectStore:
    """The bucket of the tests' stack."""
    from lakehouse_provider.hooks.object_store import ObjectStoreHook

    return ObjectStoreHook().store


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever uses the stack is an integration test, so that `make unit` can never start it by accident."""
    for item in items:
        item.user_properties += [("fault", marker.args[0]) for marker in item.iter_markers("fault")]
        needs_stack = "stack" in getattr(item, "fixturenames", ())
        if needs_stack and not any(map(item.get_closest_marker, ("integration", "browser", "hive", "restore"))):
            raise pytest.UsageError(f"{item.nodeid} uses the stack: mark it as integration, browser, hive or restore")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """`make faults` ends with a line for each row of docs/faults.md."""
    if "fault" not in str(config.getoption("-m")).split():
        return
    ended: dict[int, list[str]] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            for row in (value for name, value in getattr(report, "user_properties", []) if name == "fault"):
                ended.setdefault(int(row), []).append(outcome)
    for row in range(1, FAULTS + 1):
        outcomes = ended.get(row, [])
        bad = [outcome for outcome in outcomes if outcome in ("failed", "error")]
        passed = f"passed ({outcomes.count('passed')} tests)" if outcomes else "NO TEST ran"
        what = f"{len(bad)} of {len(outcomes)} FAILED" if bad else passed
        terminalreporter.write_line(f"fault {row}: {what}")


@pytest.fixture
def fresh_name() -> str:
    """A name that no other test uses."""
    return f"t{uuid4().hex[:12]}"
