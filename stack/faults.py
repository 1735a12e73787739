"""Known ways to break a running stack, and to heal it again: what `make drill FAULT=…` can do.

Nothing of the user's is lost: what a fault puts in, its healing takes out.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil
import psycopg2
import requests

from stack.airflow_api import AirflowApi
from stack.errors import StackError
from stack.installation import HOST, Installation
from stack.report import query

if TYPE_CHECKING:
    from stack.supervisor import Supervisor

Heal = Callable[[], None]


@dataclass(frozen=True)
class Broken:
    """The stack that is broken, and what a fault may need of it."""

    stack: Installation
    api: AirflowApi


@dataclass(frozen=True)
class Fault:
    """One way to break the stack.

    Attributes:
        what: one line for people.
        dag_id: the DAG that meets it.
        key: of the incident.
        cause: what the incident's cause must say, as a regular expression; "" where the run has to ride over it, without an incident.
        apply: breaks the stack, and returns what heals it.
        during: done once the run has begun, with its id.
        fix: what the runbook says, for the transcript.
        clear: the task that is cleared in the end, with those after it; "failed" for the failed ones, "" where the run goes on by itself.
    """

    name: str
    what: str
    dag_id: str
    key: str
    cause: str
    apply: Callable[[Broken], Heal]
    fix: str
    conf: dict[str, Any] = field(default_factory=dict)
    during: Callable[[Broken, str], None] | None = None
    clear: str = "failed"


def _supervisor(stack: Installation) -> Supervisor:
    """The process manager; imported late, because the tests read the list of faults without the stack tool's own packages."""
    from stack.supervisor import Supervisor

    return Supervisor(stack)


def _stopped(service: str) -> Callable[[Broken], Heal]:
    def apply(broken: Broken) -> Heal:
        _supervisor(broken.stack).stop(service)
        return lambda: _start(broken.stack, service)

    return apply


def _start(stack: Installation, name: str) -> None:
    from stack import lifecycle
    from stack.services import waves

    supervisor = _supervisor(stack)
    supervisor.start(name)
    service = next(one for wave in waves(stack) for one in wave if one.name == name)
    lifecycle.wait_ready(stack, supervisor, service)


def _frozen(service: str) -> Callable[[Broken], Heal]:
    def apply(broken: Broken) -> Heal:
        root = psutil.Process(_supervisor(broken.stack).states()[service]["pid"])
        frozen = [root, *root.children(recursive=True)]
        for process in frozen:
            process.suspend()

        def heal() -> None:
            for process in frozen:
                if process.is_running():
                    process.resume()

        return heal

    return apply


def _wrong_password(conn_id: str, conn_type: str, secret: str) -> Callable[[Broken], Heal]:
    """Somebody changed a password, and the connection still has the old one."""

    def put(broken: Broken, password: str) -> None:
        body = {"connection_id": conn_id, "conn_type": conn_type, "password": password}
        broken.api.call("PATCH", f"/connections/{conn_id}?update_mask=password", json=body)

    def apply(broken: Broken) -> Heal:
        put(broken, "of-yesterday-0000")
        return lambda: put(broken, broken.stack.secrets[secret])

    return apply


def _opensearch(broken: Broken, method: str, path: str, body: Any = None) -> None:
    answer = requests.request(
        method,
        f"https://{HOST}:{broken.stack.ports['opensearch']}{path}",
        json=body,
        auth=("admin", broken.stack.secrets["OPENSEARCH_ADMIN_PASSWORD"]),
        verify=str(broken.stack.etc / "opensearch" / "ca.pem"),
        timeout=30,
    )
    if not answer.ok:
        raise StackError(f"OpenSearch answered {answer.status_code} to {method} {path}: {answer.text[:300]}")


def _with_something_to_ship(broken: Broken, heal: Heal) -> Heal:
    """Without new rows nothing is sent, and nothing can go wrong; if they cannot be loaded, what was broken is healed."""
    try:
        broken.api.unpause("bronze_raw_logs")
        run_id = broken.api.trigger("bronze_raw_logs", {"sample_rows": 200})
        wait_for_end(broken.api, "bronze_raw_logs", run_id)
    except BaseException:
        heal()
        raise
    return heal


def _read_only(broken: Broken) -> Heal:
    block = "index.blocks.write"
    _opensearch(broken, "PUT", "/logs-*/_settings", {block: True})
    return _with_something_to_ship(broken, lambda: _opensearch(broken, "PUT", "/logs-*/_settings", {block: None}))


def _mapping_conflict(broken: Broken) -> Heal:
    index = f"/logs-{datetime.now(UTC) + timedelta(days=3):%Y.%m.%d}"
    # In the template `level` is a keyword; somebody made an index of days to come by hand.
    _opensearch(broken, "PUT", index, {"mappings": {"properties": {"level": {"type": "long"}}}})
    return _with_something_to_ship(broken, lambda: _opensearch(broken, "DELETE", index))


def _sql(broken: Broken, statement: str) -> None:
    query(broken.stack, statement)


def _renamed_column(broken: Broken) -> Heal:
    rename = "ALTER TABLE hive_prod.logs_db.raw_logs RENAME COLUMN"
    _sql(broken, f"{rename} message TO message_of_somebody")
    return lambda: _sql(broken, f"{rename} message_of_somebody TO message")


def _bad_ticks(broken: Broken) -> Heal:
    table = "hive_prod.option_ticks_db.bronze_option_ticks"
    moment = "TIMESTAMP '2026-01-02 15:00:00.000000 UTC'"
    columns = '"timestamp", symbol, bid_price, bid_size, ask_price, ask_size, last_price, volume, ingest_time'
    row = f"{moment}, 'DRILL', 9e0, 1, 1e0, 1, 5e0, 1, {moment}"
    _sql(broken, f"INSERT INTO {table} ({columns}) VALUES ({row})")  # noqa: S608  # constants
    return lambda: _sql(broken, f"DELETE FROM {table} WHERE symbol = 'DRILL'")  # noqa: S608  # constants


def _bad_feed(broken: Broken) -> Heal:
    name = f"drill-{time.time_ns()}.xml"  # its content names it too: the same file landed again would be there already
    address = f"http://{HOST}:{broken.stack.ports['seaweedfs_filer']}/buckets/lakehouse/landing/ticks/{name}"
    records = "".join(f'<tick timestamp="yesterday {number}" symbol="SPY"/>' for number in range(20))
    body = f'<?xml version="1.0"?><ticks xmlns="urn:lakehouse:ticks:1" source="{name}">{records}</ticks>'
    requests.put(address, data=body.encode(), timeout=30).raise_for_status()
    return lambda: None  # the file lies under refused/, and its records are in ops_db.refused_records


def _nothing(_: Broken) -> Heal:
    return lambda: None


def _bring_forward(broken: Broken, run_id: str) -> None:
    """Let the run's deadlines be over now, as if it had taken that long."""
    connection = psycopg2.connect(
        host=HOST,
        port=broken.stack.ports["postgres"],
        user="airflow",
        password=broken.stack.secrets["POSTGRES_AIRFLOW_PASSWORD"],
        dbname="airflow",
    )
    try:
        with connection, connection.cursor() as cursor:
            statement = (
                "UPDATE deadline SET deadline_time = now() FROM dag_run WHERE dag_run.id = deadline.dagrun_id AND dag_run.run_id = %s"
            )
            cursor.execute(statement, (run_id,))
    finally:
        connection.close()


def _kill_worker(broken: Broken, run_id: str) -> None:
    """SIGKILL to the process of the first task of the run that runs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        tasks = broken.api.call("GET", f"/dags/upload_images/dagRuns/{run_id}/taskInstances?limit=100")["task_instances"]
        pids = [task["pid"] for task in tasks if task["state"] == "running" and task["pid"]]
        if pids:
            os.kill(pids[0], signal.SIGKILL)
            return
        time.sleep(0.2)
    raise StackError("no task of the run was seen running")


def _killed(service: str) -> Callable[[Broken, str], None]:
    """SIGKILL, to all of its processes; the supervisor starts it again, as systemd or a container engine would."""

    def during(broken: Broken, _: str) -> None:
        root = psutil.Process(_supervisor(broken.stack).states()[service]["pid"])
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    return during


def wait_for_end(api: AirflowApi, dag_id: str, run_id: str, seconds: int = 300) -> str:
    """The state in which a run ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(StackError, requests.RequestException):  # Airflow itself, or its database, may be what was killed
            state = str(api.run(dag_id, run_id)["state"])
            if state in ("success", "failed"):
                return state
        time.sleep(1)
    raise StackError(f"run {run_id} of {dag_id} did not end in {seconds} s")


_SAMPLES = {"sample": True, "tag": "analytics"}
_RIDES = "nothing: it is started again, and the task is tried again"
_START = "make start SERVICE={}, then clear the failed task"
FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            "opensearch_down",
            "OpenSearch is stopped",
            "ship_logs",
            "opensearch_logs",
            "OpenSearch.*does not answer",
            _stopped("opensearch"),
            _START.format("opensearch"),
        ),
        Fault(
            "opensearch_frozen",
            "OpenSearch takes connections and answers nothing",
            "ship_logs",
            "opensearch_logs",
            "OpenSearch at .*(does not answer|took too long)",
            _frozen("opensearch"),
            "make stop and start SERVICE=opensearch, then clear the failed task",
        ),
        Fault(
            "opensearch_password",
            "the password of OpenSearch's admin was changed",
            "ship_logs",
            "opensearch_logs",
            "401",
            _wrong_password("lakehouse_opensearch_admin", "opensearch", "OPENSEARCH_ADMIN_PASSWORD"),
            "put the new password into connection lakehouse_opensearch_admin, then clear the failed task",
        ),
        Fault(
            "opensearch_read_only",
            "somebody made OpenSearch's indices read-only",
            "ship_logs",
            "opensearch_logs",
            "no writes",
            _read_only,
            "take the block index.blocks.write off, then clear the failed task",
        ),
        Fault(
            "mapping_conflict",
            "somebody made an index by hand, with another type",
            "ship_logs",
            "opensearch_logs",
            "level",
            _mapping_conflict,
            "delete the index that was made by hand, then clear the failed task",
        ),
        Fault(
            "trino_down",
            "Trino is stopped",
            "daily_option_summary",
            "daily_option_summary",
            "Trino at .* does not answer",
            _stopped("trino"),
            _START.format("trino"),
        ),
        Fault(
            "store_down",
            "the object store is stopped, and the catalog with it",
            "bronze_raw_logs",
            "raw_logs",
            "(catalog|store) at .*does not answer",
            _stopped("seaweedfs"),
            _START.format("seaweedfs"),
        ),
        Fault(
            "store_key",
            "the secret key of the object store was changed",
            "bronze_raw_logs",
            "raw_logs",
            "403|SignatureDoesNotMatch|refuse",
            _wrong_password("lakehouse_s3", "aws", "S3_SECRET_KEY"),
            "put the new key into connection lakehouse_s3, then clear the failed task",
        ),
        Fault(
            "superset_down",
            "Superset is stopped",
            "sync_dashboards",
            "dashboards",
            "Superset.*does not answer",
            _stopped("superset"),
            _START.format("superset"),
        ),
        Fault(
            "superset_password",
            "the password of Superset's admin was changed",
            "sync_dashboards",
            "dashboards",
            "Superset.*401",
            _wrong_password("lakehouse_superset", "superset", "SUPERSET_ADMIN_PASSWORD"),
            "put the new password into connection lakehouse_superset, then clear the failed task",
        ),
        Fault(
            "bad_feed",
            "a feed whose every record is broken",
            "collect_tick_files",
            "collected_option_ticks",
            "refused",
            _bad_feed,
            "tell the sender; the good rows are safe. Clear the task load with those after it: its files have left the landing prefix",
            {"quiet_seconds": 0},
            clear="load",
        ),
        Fault(
            "schema_changed",
            "somebody renamed a column in Trino",
            "bronze_raw_logs",
            "raw_logs",
            "message",
            _renamed_column,
            "rename the column back, then clear the failed task",
        ),
        Fault(
            "bad_rows",
            "a row in the table breaks its contract (bid above ask)",
            "quality_and_service_levels",
            "bronze_option_ticks",
            "bronze_option_ticks fails",
            _bad_ticks,
            "delete the row that the link Failed rows shows, then clear the check",
        ),
        Fault(
            "deadline_missed",
            "OpenSearch hangs, and the run is late before it fails",
            "ship_logs",
            "opensearch_logs",
            "has not ended within 30 minutes",
            _frozen("opensearch"),
            "make stop and start SERVICE=opensearch; the run goes on",
            during=_bring_forward,
            clear="",
        ),
        Fault(
            "worker_killed",
            "a worker's process is killed in the middle of a task",
            "upload_images",
            "image_metadata",
            "",
            _nothing,
            "nothing: the task is tried again",
            _SAMPLES,
            during=_kill_worker,
        ),
        *(
            Fault(
                f"{service}_killed",
                f"{service} is killed in the middle of a run",
                dag_id,
                key,
                "",
                _nothing,
                _RIDES,
                conf,
                _killed(service),
            )
            for service, dag_id, key, conf in (
                ("seaweedfs", "upload_images", "image_metadata", _SAMPLES),
                ("trino", "daily_option_summary", "daily_option_summary", {}),
                ("opensearch", "ship_logs", "opensearch_logs", {}),
                ("superset", "sync_dashboards", "dashboards", {}),
                ("postgres", "bronze_raw_logs", "raw_logs", {"sample_rows": 500}),
                ("airflow_scheduler", "bronze_raw_logs", "raw_logs", {"sample_rows": 500}),
                ("airflow_api", "bronze_raw_logs", "raw_logs", {"sample_rows": 500}),
            )
        ),
    )
}
