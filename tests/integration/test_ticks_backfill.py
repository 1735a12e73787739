"""A backfill of several days, as the form of Airflow's UI starts it, through the real scheduler."""

from __future__ import annotations

import time
from typing import Any

import pytest

from stack.airflow_api import AirflowApi, parse_time, polling
from stack.installation import Installation
from stack.report import query

pytestmark = pytest.mark.integration

DAG = "bronze_option_ticks"
DAYS = ("2026-04-14", "2026-04-15", "2026-04-16")


def _at_once(tasks: list[dict[str, Any]]) -> int:
    """How many of these tasks ran at the same moment at most."""
    changes = [(parse_time(task["start_date"]), 1) for task in tasks] + [(parse_time(task["end_date"]), -1) for task in tasks]
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most


def test_a_backfill_writes_every_day_whole_with_no_more_at_once_than_its_pools_allow(
    stack: Installation, api: AirflowApi, pipeline: dict[str, Any]
) -> None:
    api.unpause(DAG)
    rows = 1_000 + time.time_ns() % 1_000  # days that are there with the same rows are left alone
    wanted = {
        "dag_id": DAG,
        "from_date": f"{DAYS[0]}T00:00:00Z",
        "to_date": f"{DAYS[-1]}T23:59:59Z",
        "dag_run_conf": {"rows": rows},
        "max_active_runs": 3,
        "reprocess_behavior": "completed",
    }
    backfill = api.call("POST", "/backfills", json=wanted)["id"]
    with polling(400, "the backfill did not end") as ticks:
        for _ in ticks:
            if api.call("GET", f"/backfills/{backfill}")["completed_at"]:
                break
    runs = [run for run in api.runs(DAG, limit=100) if run["run_type"] == "backfill" and (run["logical_date"] or "").startswith(DAYS)]
    assert [run["state"] for run in runs] == ["success"] * len(DAYS)
    tasks = [
        task
        for run in runs
        for task in api.call("GET", f"/dags/{DAG}/dagRuns/{run['dag_run_id']}/taskInstances")["task_instances"]
        if task["start_date"] and task["end_date"]
    ]
    assert _at_once(tasks) > 1, "the days go side by side"
    slots = {pool["name"]: pool["slots"] for pool in api.call("GET", "/pools")["pools"]}
    assert [task for task in tasks if task["pool"] == "decode"], "small days are written by Arrow"
    for pool in ("decode", "spark", "trino"):
        assert _at_once([task for task in tasks if task["pool"] == pool]) <= slots[pool]
    day = 'date("timestamp")'
    between = f"{day} BETWEEN DATE '{DAYS[0]}' AND DATE '{DAYS[-1]}'"
    by_day = f"SELECT cast({day} AS varchar), count(*) FROM option_ticks_db.bronze_option_ticks WHERE {between} GROUP BY 1 ORDER BY 1"
    assert query(stack, by_day) == [[one, rows] for one in DAYS]
