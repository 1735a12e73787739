"""What a run left behind: read from Trino, OpenSearch, Airflow and the pages themselves, not from what the tasks said of themselves."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import requests

from stack.airflow_api import AirflowApi, seconds_of
from stack.errors import StackError
from stack.installation import HOST, Installation

TABLES = (
    "option_ticks_db.bronze_option_ticks",
    "option_ticks_db.collected_option_ticks",
    "option_ticks_db.daily_option_summary",
    "logs_db.raw_logs",
    "media_db.image_metadata",
    "ops_db.loaded_files",
    "ops_db.refused_records",
    "ops_db.refused_files",
    "ops_db.shipments",
    "ops_db.check_results",
    "ops_db.service_level_events",
)
MANUAL = "not run"


@dataclass(frozen=True)
class Report:
    """The run report; `as_dict` is the content of `run-report.json`."""

    dags: list[dict[str, Any]]
    tables: dict[str, dict[str, Any]]
    documents: dict[str, int]
    images: dict[str, int]
    dashboards: list[dict[str, Any]]
    checks: dict[str, int]
    service_levels: list[dict[str, Any]]
    pages: list[dict[str, Any]]
    peak_memory_mb: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @property
    def good(self) -> bool:
        """Whether the data and the pages are right; a missed timing does not count."""
        dags = all(dag["state"] in ("success", MANUAL) for dag in self.dags)
        charts = bool(self.dashboards) and not any(board["charts_failed"] for board in self.dashboards)
        return dags and charts and not self.checks["failed"] and all(page["http_status"] == 200 for page in self.pages)


def _number(stack: Installation, sql: str) -> int:
    try:
        return int(query(stack, sql)[0][0])
    except StackError:  # The table is not there after a failed first run; the report says so elsewhere.
        return 0


def build_report(stack: Installation, api: AirflowApi, runs: dict[str, str], peak_memory_mb: int) -> Report:
    """Ask the services what there is now.

    Args:
        runs: the run of each DAG that the pipeline had.
    """
    counts = {name: _table(stack, name) for name in TABLES}
    quality = runs.get("quality_and_service_levels")
    return Report(
        dags=[_dag(api, dag_id, runs.get(dag_id)) for dag_id in sorted(api.dags())],
        tables=counts,
        documents={"logs-*": _documents(stack)},
        images={
            "registered": counts["media_db.image_metadata"]["rows"] or 0,
            "refused": _number(stack, "SELECT count(*) FROM ops_db.refused_files WHERE table_name = 'media_db.image_metadata'"),
        },
        dashboards=[board for task in ("superset", "grafana") for board in _xcom(api, runs, "sync_dashboards", task, "dashboards") or []],
        checks=_checks(api, quality),
        service_levels=_levels(api, runs),
        pages=_pages(stack),
        peak_memory_mb=peak_memory_mb,
    )


def _dag(api: AirflowApi, dag_id: str, run_id: str | None) -> dict[str, Any]:
    if run_id is None:
        return {"dag_id": dag_id, "state": MANUAL, "seconds": None}
    run = api.run(dag_id, run_id)
    return {"dag_id": dag_id, "state": run["state"], "seconds": round(seconds_of(run), 1)}


def _xcom(api: AirflowApi, runs: dict[str, str], dag_id: str, task_id: str, key: str) -> Any:
    return api.xcom(dag_id, runs[dag_id], task_id, key) if dag_id in runs else None


def _checks(api: AirflowApi, run_id: str | None) -> dict[str, int]:
    total = {"passed": 0, "warned": 0, "failed": 0, "skipped": 0}
    if run_id is None:
        return total
    dag_id = "quality_and_service_levels"
    for task in api.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100")["task_instances"]:
        for verdict, count in (api.xcom(dag_id, run_id, task["task_id"], "checks") or {}).items():
            total[verdict] += count
    return total


def _levels(api: AirflowApi, runs: dict[str, str]) -> list[dict[str, Any]]:
    measured = _xcom(api, runs, "quality_and_service_levels", "service_levels", "return_value") or []
    return [{key: level[key] for key in ("name", "target", "measured", "unit", "met")} for level in measured]


def _table(stack: Installation, name: str) -> dict[str, Any]:
    schema, table = name.split(".")
    if not query(stack, f"SHOW TABLES FROM {schema} LIKE '{table}'"):
        return {"rows": None, "snapshot_id": None}
    rows = query(stack, f"SELECT count(*) FROM {name}")[0][0]  # noqa: S608  # a constant of this module
    snapshots = query(stack, f'SELECT snapshot_id FROM {schema}."{table}$snapshots" ORDER BY committed_at DESC LIMIT 1')  # noqa: S608
    return {"rows": rows, "snapshot_id": snapshots[0][0] if snapshots else None}


def query(stack: Installation, sql: str) -> list[list[Any]]:
    """Rows of a statement, over Trino's client protocol (trino.io/docs, "Trino client REST API")."""
    headers = {"X-Trino-User": "report", "X-Trino-Catalog": "hive_prod"}
    statements = f"http://{HOST}:{stack.ports['trino']}/v1/statement"
    answer = requests.post(statements, data=sql.encode(), headers=headers, timeout=60).json()
    rows: list[list[Any]] = list(answer.get("data", []))
    while address := answer.get("nextUri"):
        answer = requests.get(address, headers=headers, timeout=60).json()
        rows += answer.get("data", [])
        if answer.get("stats", {}).get("state") == "QUEUED":
            time.sleep(0.05)
    if error := answer.get("error"):
        raise StackError(f"Trino refused {sql!r}: {error['message']}")
    return rows


def _documents(stack: Installation) -> int:
    url = f"https://{HOST}:{stack.ports['opensearch']}/logs-*/_count"
    auth = ("log_reader", stack.secrets["OPENSEARCH_READER_PASSWORD"])
    response = requests.get(url, auth=auth, verify=str(stack.etc / "opensearch" / "ca.pem"), timeout=30)
    return int(response.json()["count"]) if response.ok else 0


def _pages(stack: Installation) -> list[dict[str, Any]]:
    """Every page a person may open, and what it answers."""
    ca = str(stack.etc / "opensearch" / "ca.pem")
    reader = ("log_reader", stack.secrets["OPENSEARCH_READER_PASSWORD"])
    pages: list[tuple[str, str, dict[str, Any]]] = [
        ("Airflow", f"http://localhost:{stack.ports['airflow']}/dags", {}),
        ("Superset", f"http://localhost:{stack.ports['superset']}/superset/dashboard/lakehouse-analytics/", {}),
        ("Operations", f"http://localhost:{stack.ports['superset']}/superset/dashboard/lakehouse-operations/", {}),
        ("Gallery", f"http://localhost:{stack.ports['gallery']}/", {}),
        ("Trino", f"http://localhost:{stack.ports['trino']}/ui/", {}),
        ("OpenSearch", f"https://localhost:{stack.ports['opensearch']}/", {"auth": reader, "verify": ca}),
    ]
    if (stack.logs / "prometheus.log").exists():
        # Debian's build looks for its web pages under /usr/share alone; unpacked under var/ it has its API.
        pages.append(("Prometheus", f"http://localhost:{stack.ports['prometheus']}/api/v1/targets", {}))
    if (stack.logs / "alertmanager.log").exists():
        # Debian's build has no pages; this is what is firing.
        pages.append(("Alerts", f"http://localhost:{stack.ports['alertmanager']}/api/v2/alerts", {}))
    if (stack.logs / "pushgateway.log").exists():
        pages.append(("Pushgateway", f"http://localhost:{stack.ports['pushgateway']}/", {}))
    return [{"name": name, "url": url, "http_status": _status(url, options)} for name, url, options in pages]


def _status(url: str, options: dict[str, Any]) -> int:
    try:
        return requests.get(url, timeout=20, **options).status_code
    except requests.RequestException:
        return 0
