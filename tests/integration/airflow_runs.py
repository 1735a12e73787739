"""A DAG run by the real scheduler, with someone who answers when it asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from stack.airflow_api import FINISHED, AirflowApi, parse_time, polling


@dataclass
class Run:
    """A run that has ended, and what it asked on the way, by task."""

    dag_id: str
    run_id: str
    state: str = ""
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)


def run_to_end(api: AirflowApi, dag_id: str, conf: dict[str, Any] | None = None, *, answer: str = "") -> Run:
    """Run a DAG to its end; with `answer` (Approve or Reject) each question is answered."""
    api.unpause(dag_id)
    run = Run(dag_id, api.trigger(dag_id, conf))
    with polling(240, f"{dag_id} did not finish") as ticks:
        for _ in ticks:
            run.state = str(api.run(dag_id, run.run_id)["state"])
            if run.state in FINISHED:
                return run
            if answer:
                _answer(api, run, answer)
    raise AssertionError


def _answer(api: AirflowApi, run: Run, answer: str) -> None:
    path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}"
    for question in api.call("GET", f"{path}/hitlDetails")["hitl_details"]:
        # Airflow takes an answer that comes before its scheduler saw the task wait for a failure: no person is that fast.
        old_enough = datetime.now(UTC) - parse_time(question["created_at"]) > timedelta(seconds=4)
        if not question["response_received"] and old_enough:
            task = question["task_instance"]["task_id"]
            run.asked[task] = question
            api.call("PATCH", f"{path}/taskInstances/{task}/-1/hitlDetails", json={"chosen_options": [answer], "params_input": {}})
