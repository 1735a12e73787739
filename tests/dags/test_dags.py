"""The DAGs as the DAG processor sees them: no connections, no network, no heavy imports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from include.assets import DOWNSTREAM, Tag
from lakehouse import exceptions

REPO = Path(__file__).resolve().parents[2]
DAG_IDS = {
    "preflight",
    "bronze_option_ticks",
    "collect_tick_files",
    "daily_option_summary",
    "bronze_raw_logs",
    "ship_logs",
    "redrive_refused",
    "table_maintenance",
    "back_up_services",
    "upload_images",
    "reconcile_images",
    "sync_dashboards",
    "dashboard_drift",
    "quality_and_service_levels",
    "act_on_incident",
}
HEAVY = {"pyspark", "pyarrow", "pyiceberg", "pandas", "PIL", "boto3", "duckdb", "opensearchpy", "trino"}
HEADINGS = ["What it means", "First look", "Fix", "When to wake someone", "Past causes"]

# Parses in a process of its own, with sockets and files of the lakehouse out of reach, and tells what it found.
PARSE = f"""
import json, pathlib, socket, sys
repo = pathlib.Path({str(REPO)!r})
sys.path.append(str(repo))
from airflow.dag_processing.dagbag import DagBag
from airflow.configuration import conf
before = set(sys.modules)
def refuse(*args, **kwargs):
    raise AssertionError("a DAG file used the network while it was parsed")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
from lakehouse_provider.notifiers import key_of
bag = DagBag(dag_folder=str(repo), bundle_path=repo, bundle_name="lakehouse")
print("RESULT" + json.dumps({{
    "errors": bag.import_errors,
    "heavy": sorted({HEAVY!r} & (set(sys.modules) - before)),
    "dags": {{
        dag_id: {{
            "doc": dag.doc_md or "",
            "tags": sorted(dag.tags),
            "key": key_of(dag),
            "deadlines": [[one.name, one.interval.total_seconds(), one.callback.path, one.callback.kwargs] for one in dag.deadline or []],
            "told": [type(one).__name__ for one in [dag.on_failure_callback, dag.on_success_callback]],
            "schedule": [asset.name for asset in getattr(dag.timetable.asset_condition, "objects", [])],
            "outlets": [asset.name for task in dag.tasks for asset in task.outlets],
            "params": {{
                name: dag.params.get_param(name).schema | {{"description": dag.params.get_param(name).description}} for name in dag.params
            }},
            "tasks": {{
                task.task_id: {{
                    "owner": task.owner,
                    "timeout": bool(task.execution_timeout),
                    "retry_policy": task.retry_policy is not None,
                    "pool": task.pool,
                    "told": [
                        (type(one).__name__, one.retry) for one in [*(task.on_failure_callback or []), *(task.on_retry_callback or [])]
                    ],
                    "operator": type(task).__name__,
                    "links": [link.name for link in task.operator_extra_links],
                }} for task in dag.tasks
            }},
        }} for dag_id, dag in bag.dags.items()
    }},
}}))
"""


@pytest.fixture(scope="module")
def parsed() -> dict[str, Any]:
    result = subprocess.run([sys.executable, "-c", PARSE], capture_output=True, text=True, check=False, timeout=120)
    lines = [line for line in result.stdout.splitlines() if line.startswith("RESULT")]
    assert lines, result.stdout[-2000:] + result.stderr[-2000:]
    found: dict[str, Any] = json.loads(lines[0].removeprefix("RESULT"))
    return found


def test_exactly_these_dags_are_found_and_none_has_an_error(parsed: dict[str, Any]) -> None:
    assert parsed["errors"] == {}
    assert set(parsed["dags"]) == DAG_IDS


def test_parsing_imports_nothing_heavy(parsed: dict[str, Any]) -> None:
    assert parsed["heavy"] == []


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_a_dag_says_what_on_call_needs(parsed: dict[str, Any], dag_id: str) -> None:
    dag = parsed["dags"][dag_id]
    assert dag["doc"].strip().startswith(f"# {dag_id}")
    assert "**On call**" in dag["doc"]
    assert f"/lakehouse/runbooks/{dag_id}" in dag["doc"]
    assert dag["tags"]
    assert set(dag["tags"]) <= {str(tag) for tag in Tag}
    for task_id, task in dag["tasks"].items():
        assert task["owner"] not in ("", "airflow"), task_id
        assert task["timeout"], task_id
        assert task["retry_policy"], task_id
        # Who acts on an incident sees whether that failed.
        assert task["told"] == ([] if dag_id == "act_on_incident" else [["ReportFailure", False], ["ReportFailure", True]]), task_id
    assert dag["told"] == (["NoneType"] * 2 if dag_id == "act_on_incident" else ["ReportFailure", "SettleIncidents"])


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_a_deadline_warns_early_and_belongs_to_the_dags_own_incident(parsed: dict[str, Any], dag_id: str) -> None:
    dag = parsed["dags"][dag_id]
    by_hand = {"preflight", "redrive_refused", "act_on_incident"}
    assert bool(dag["deadlines"]) == (dag_id not in by_hand)
    for name, _, path, kwargs in dag["deadlines"]:
        assert path == "lakehouse_provider.notifiers.report_deadline"
        assert kwargs["key"] == dag["key"], name
        assert kwargs["breach"] == (name == "late")
    if dag["deadlines"]:
        (early, late) = sorted(seconds for _, seconds, _, _ in dag["deadlines"])
        assert early == late / 2


def test_what_is_said_to_be_downstream_is_what_the_dags_wait_for(parsed: dict[str, Any]) -> None:
    waits: dict[str, set[str]] = {}
    for dag in parsed["dags"].values():
        for asset in dag["schedule"]:
            waits.setdefault(asset, set()).update(dag["outlets"] or {dag["key"]})
    # The summary sums both tables of ticks, though only one of them starts it.
    waits.setdefault("collected_option_ticks", set()).add("daily_option_summary")
    assert waits.keys() <= DOWNSTREAM.keys()
    for asset, text in DOWNSTREAM.items():
        assert all(name in text for name in waits.get(asset, set())), asset
    assert {outlet for dag in parsed["dags"].values() for outlet in dag["outlets"]} == DOWNSTREAM.keys()


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_every_param_explains_itself_in_the_trigger_form(parsed: dict[str, Any], dag_id: str) -> None:
    for name, schema in parsed["dags"][dag_id]["params"].items():
        assert schema.get("description"), name
        assert "type" in schema or "enum" in schema, name


def test_heavy_tasks_name_a_pool(parsed: dict[str, Any]) -> None:
    tasks = {(dag_id, task_id): task for dag_id, dag in parsed["dags"].items() for task_id, task in dag["tasks"].items()}
    for place, task in tasks.items():
        if task["operator"] == "SparkSubmitOperator":
            assert task["pool"] == "spark", place
        if task["operator"] in ("ContractCheckOperator", "ServiceLevelsOperator", "AuditBranchOperator"):
            assert task["pool"] == "trino", place


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_every_dag_has_a_runbook_with_the_fixed_headings(dag_id: str) -> None:
    text = (REPO / "docs" / "runbooks" / f"{dag_id}.md").read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("dag_id", sorted(DAG_IDS))
def test_a_runbooks_sections_are_the_anchors_of_our_errors(dag_id: str) -> None:
    anchors = {error.runbook_anchor for error in vars(exceptions).values() if hasattr(error, "runbook_anchor")}
    text = (REPO / "docs" / "runbooks" / f"{dag_id}.md").read_text()
    sections = [re.sub(r"[^a-z0-9]+", "-", heading.lower()) for heading in re.findall(r"^### (.+)$", text, re.MULTILINE)]
    assert sections
    assert set(sections) <= anchors


def test_no_plugin_module_is_registered_under_its_bare_stem() -> None:
    """Airflow executes every file of a plugins folder that `.airflowignore` does not keep from it."""
    code = (
        "import os; os.environ['AIRFLOW__CORE__PLUGINS_FOLDER'] = 'plugins'\n"
        "from airflow import plugins_manager as pm\n"
        "import sys; plugins, errors = pm._get_plugins()\n"
        "print('RESULT', [p.name for p in plugins if p.name == 'lakehouse'], errors, 'links' in sys.modules, 'contract' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=REPO, timeout=60)
    assert "RESULT ['lakehouse'] {} False False" in result.stdout, result.stdout[-500:] + result.stderr[-1500:]
