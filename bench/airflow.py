"""What Airflow costs: parsing each DAG file over importing Airflow alone, and a run by the scheduler beside one process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median

from bench.harness import REPO, STATE, Result, open_catalog

_ROUNDS = 5
_DAG, _CONF = "bronze_raw_logs", {"sample_rows": 2_000}
# ensure_table, put_sample_files, take_collected, load: one after the other.
_CRITICAL_PATH = 4

_PARSE = """
import sys, time
sys.path.insert(0, sys.argv[1])
import airflow.sdk
import runpy
started = time.perf_counter()
if len(sys.argv) > 2:
    runpy.run_path(sys.argv[2])
print("SECONDS", time.perf_counter() - started)
"""


def run() -> list[Result]:
    """Measure against the running stack."""
    parse = {path.stem: _parse(str(path)) for path in sorted((REPO / "dags").glob("[a-z]*.py"))}
    for name, seconds in sorted(parse.items(), key=lambda entry: -entry[1]):
        print(f"  {name:30} {seconds:.3f} s over bare airflow.sdk", flush=True)
    slowest = max(parse, key=lambda name: parse[name])
    scheduled, script = _by_the_scheduler(), _in_one_process()
    allowed = 1.1 * script + 1.2 * _CRITICAL_PATH
    print(f"  {_DAG}: {scheduled:.2f} s by the scheduler, {script:.2f} s in one process, {_CRITICAL_PATH} tasks on the critical path")
    return [
        Result("airflow", f"slowest DAG file to parse ({slowest}) / 0.3 s", parse[slowest], 0.3, "s", "<= 1"),
        Result("airflow", f"{_DAG} by the scheduler / 1.1 x one process + 1.2 s a task", scheduled, allowed, "s", "<= 1"),
    ]


def _parse(path: str) -> float:
    """Median seconds to run a DAG file in a process that has `airflow.sdk`."""
    environment = {**os.environ, "AIRFLOW_HOME": str(STATE / "bench-airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    found = []
    for _ in range(_ROUNDS):
        command = [sys.executable, "-c", _PARSE, str(REPO), path]
        output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        found.append(float(output.rpartition("SECONDS ")[2]))
    return median(found)


def _by_the_scheduler() -> float:
    """Median seconds from a run's start to its end."""
    from stack.airflow_api import FINISHED, AirflowApi, seconds_of
    from stack.installation import Installation

    api = AirflowApi(Installation(STATE, int(os.environ.get("PORT_OFFSET") or 0)))
    api.unpause(_DAG)
    found = []
    for _ in range(_ROUNDS):
        run_id = api.trigger(_DAG, _CONF)
        while api.run(_DAG, run_id)["state"] not in FINISHED:
            time.sleep(0.5)
        found.append(seconds_of(api.run(_DAG, run_id)))
    return median(found)


_TEST = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from airflow.utils import db
db.initdb()
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=sys.argv[1], bundle_path=Path(sys.argv[1]), bundle_name="dags-folder")
seconds = []
for _ in range(3):
    started = time.perf_counter()
    assert bag.dags[sys.argv[2]].test(run_conf=eval(sys.argv[3])).state == "success"
    seconds.append(time.perf_counter() - started)
print("SECONDS", sorted(seconds)[1])
"""


def _in_one_process() -> float:
    """Median seconds of the same tasks one after the other in one process (`dag.test()`)."""
    import json
    import tempfile

    open_catalog()  # puts the stack's connections into the environment
    bundle = {"classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {"path": str(REPO)}}
    with tempfile.TemporaryDirectory() as home:
        settings = {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "LAKEHOUSE_WITHOUT_DEADLINES": "1",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([{"name": "dags-folder", **bundle}]),
        }
        command = [sys.executable, "-c", _TEST, str(REPO), _DAG, repr(_CONF)]
        output = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **settings}).stdout
    return float(output.rpartition("SECONDS ")[2])
