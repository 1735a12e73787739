"""Airflow's REST API, as far as running and reporting the pipeline needs it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from typing import Any

import requests

from stack.errors import StackError
from stack.installation import HOST, Installation

FINISHED = ("success", "failed")


class AirflowApi:
    """A session of the installation's admin."""

    def __init__(self, stack: Installation) -> None:
        self.base = f"http://{HOST}:{stack.ports['airflow']}"
        self._password = stack.secrets["AIRFLOW_ADMIN_PASSWORD"]
        self._session = requests.Session()
        self._sign_in()

    def _sign_in(self) -> None:
        body = {"username": "admin", "password": self._password}
        response = requests.post(f"{self.base}/auth/token", json=body, timeout=30)
        if response.status_code != 201:
            raise StackError(
                f"Airflow refused the admin's password with {response.status_code}: is the stack in var/ of this installation?"
            )
        self._session.headers["Authorization"] = f"Bearer {response.json()['access_token']}"

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The JSON answer of `/api/v2<path>`.

        Raises:
            StackError: any status but 2xx.
        """
        response = self._session.request(method, f"{self.base}/api/v2{path}", timeout=60, **options)
        if response.status_code == 401:
            self._sign_in()
            response = self._session.request(method, f"{self.base}/api/v2{path}", timeout=60, **options)
        if not response.ok:
            raise StackError(f"Airflow answered {response.status_code} to {method} {path}: {response.text[:300]}")
        return response.json() if response.content else None

    def dags(self) -> dict[str, dict[str, Any]]:
        """Every DAG by its id."""
        return {dag["dag_id"]: dag for dag in self.call("GET", "/dags?limit=100")["dags"]}

    def import_errors(self) -> list[str]:
        """Files that could not be parsed, each with the last line of its error."""
        found = self.call("GET", "/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}" for error in found]

    def wait_for_dags(self, dag_ids: list[str], seconds: int = 120) -> None:
        """Wait until the scheduler knows all the DAGs."""
        deadline = time.monotonic() + seconds
        while missing := sorted(set(dag_ids) - self.dags().keys()):
            if time.monotonic() > deadline:
                raise StackError(
                    f"Airflow does not show {missing}: {self.import_errors() or 'see `make logs SERVICE=airflow_dag_processor`'}"
                )
            time.sleep(1)

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run the DAG."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, day_of: datetime | None = None) -> str:
        """Start a run and return its id; with `day_of` it takes the place of the scheduler's own run of the day that begins then.

        Its data interval must be that of the scheduler's run: Airflow goes on from there, and would else ask for the same run for ever.
        """
        body: dict[str, Any] = {"conf": conf or {}, "logical_date": None}
        if day_of is not None:
            ends = day_of + timedelta(days=1)
            body |= {"logical_date": day_of.isoformat(), "data_interval_start": day_of.isoformat(), "data_interval_end": ends.isoformat()}
        return str(self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def runs(self, dag_id: str, limit: int = 20) -> list[dict[str, Any]]:
        """Runs of a DAG, newest first."""
        return list(self.call("GET", f"/dags/{dag_id}/dagRuns?order_by=-run_after&limit={limit}")["dag_runs"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One run."""
        return dict(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}"))

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """A task's XCom; None when there is none."""
        try:
            entry = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}?deserialize=true")
        except StackError:
            return None
        return entry["value"]

    def failures(self, dag_id: str, run_id: str) -> list[str]:
        """For each failed task of a run: its name and the error's own words."""
        tasks = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100")["task_instances"]
        return [f"{dag_id}.{task['task_id']}: {self._error(dag_id, run_id, task)}" for task in tasks if task["state"] == "failed"]

    def _error(self, dag_id: str, run_id: str, task: dict[str, Any]) -> str:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{task['try_number']}?map_index={task['map_index']}"
        try:
            events = self.call("GET", path, headers={"Accept": "application/json"})["content"]
        except StackError as error:
            return f"(its log cannot be read: {error})"
        details = [detail for event in events if isinstance(event, dict) for detail in event.get("error_detail") or []]
        if details:
            return f"{details[0]['exc_type']}: {details[0]['exc_value']}"
        errors = [event["event"] for event in events if isinstance(event, dict) and event.get("level") in ("error", "critical")]
        return str(errors[-1]) if errors else "see its log in the UI"


def seconds_of(run: dict[str, Any]) -> float:
    """How long a run took, from its start to its end."""
    if not run.get("start_date") or not run.get("end_date"):
        return 0.0
    return (parse_time(run["end_date"]) - parse_time(run["start_date"])).total_seconds()


def parse_time(text: str) -> datetime:
    """A moment as the API writes it."""
    return datetime.fromisoformat(text).astimezone(UTC)


def last_daily_interval(at: clock, now: datetime) -> datetime:
    """Start of the last interval that is over, of a daily schedule `at` a time: right after midnight that is not yet yesterday's."""
    latest = datetime.combine(now.date(), at, UTC)
    return latest - timedelta(days=1 if now >= latest else 2)


@contextmanager
def polling(seconds: float, what: str) -> Iterator[Iterator[None]]:
    """Iterate about once a second until the time is over, then say what did not happen."""

    def ticks() -> Iterator[None]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            yield
            time.sleep(1)
        raise StackError(f"{what} in {seconds:.0f} s")

    yield ticks()
