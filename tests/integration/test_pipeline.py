"""The whole pipeline through the real scheduler, looked at from outside."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import requests
from pyiceberg.catalog import Catalog

from lakehouse.objects import ObjectStore
from stack.airflow_api import AirflowApi, polling
from stack.installation import REPO, Installation
from stack.report import query
from tests.conftest import ROWS, STATE, run_stack, spark_submit
from tests.integration.airflow_runs import run_to_end

pytestmark = pytest.mark.integration

TICKS = "option_ticks_db.bronze_option_ticks"
COUNTED = (TICKS, "option_ticks_db.daily_option_summary", "media_db.image_metadata")


def test_every_dag_succeeds_and_the_report_says_so(pipeline: dict[str, Any]) -> None:
    assert {dag["dag_id"]: dag["state"] for dag in pipeline["dags"]} == dict.fromkeys(
        (
            "bronze_option_ticks",
            "bronze_raw_logs",
            "collect_tick_files",
            "daily_option_summary",
            "preflight",
            "quality_and_service_levels",
            "ship_logs",
            "sync_dashboards",
            "table_maintenance",
            "back_up_services",
            "upload_images",
        ),
        "success",
    ) | dict.fromkeys(("act_on_incident", "redrive_refused", "reconcile_images", "dashboard_drift"), "not run")
    assert pipeline["checks"]["failed"] == 0
    assert pipeline["checks"]["passed"] > 10
    assert pipeline["images"] == {"registered": 49, "refused": 4}
    assert [(board["name"], board["charts_ok"], board["charts_failed"]) for board in pipeline["dashboards"]] == [
        ("Lakehouse Analytics", 9, 0),
        ("Lakehouse Operations", 18, 0),
    ]
    answers = {page["name"]: page["http_status"] for page in pipeline["pages"]}
    assert answers.items() >= {"Airflow": 200, "Superset": 200, "Operations": 200}.items()
    assert {level["name"] for level in pipeline["service_levels"]} >= {"trino_million_rows", "superset_chart", "log_search"}
    assert pipeline["peak_memory_mb"] > 1000


def test_a_run_in_the_place_of_the_schedulers_own_lets_the_next_day_come(api: AirflowApi, pipeline: dict[str, Any]) -> None:
    dag = api.call("GET", "/dags/bronze_option_ticks")
    assert datetime.fromisoformat(dag["next_dagrun_run_after"]) > datetime.now(UTC)


def test_collected_files_are_counted_and_the_bad_one_is_kept(stack: Installation, store: ObjectStore, pipeline: dict[str, Any]) -> None:
    assert pipeline["tables"]["option_ticks_db.collected_option_ticks"]["rows"] == 1496
    table = "option_ticks_db.collected_option_ticks"
    assert query(stack, f"SELECT count(*) FROM ops_db.refused_records WHERE table_name = '{table}'") == [[4]]
    kept = query(stack, f"SELECT kept_at FROM ops_db.refused_files WHERE table_name = '{table}'")
    assert len(kept) == 1
    assert store.read(kept[0][0].removeprefix("s3://lakehouse/")).startswith(b"<?xml")
    summed = query(stack, "SELECT sum(tick_count) FROM option_ticks_db.daily_option_summary")[0][0]
    assert summed == pipeline["tables"][TICKS]["rows"] + 1496


def test_assets_say_what_a_run_added(api: AirflowApi, pipeline: dict[str, Any]) -> None:
    for name in ("bronze_option_ticks", "collected_option_ticks", "daily_option_summary", "raw_logs", "image_metadata"):
        found = api.call("GET", f"/assets/events?name_pattern={name}&order_by=-timestamp&limit=50")["asset_events"]
        extras = [event["extra"] for event in found if event["extra"].get("rows")]
        assert extras, name
        assert extras[0]["bytes"] > 0, name
        assert extras[0]["files"] > 0, name
        assert extras[0]["snapshot_id"], name
        assert extras[0]["days"], name


def test_the_report_has_the_rows_that_were_asked_for(stack: Installation, pipeline: dict[str, Any]) -> None:
    assert pipeline["tables"][TICKS]["rows"] == ROWS + 29 * 10_000
    assert pipeline["documents"]["logs-*"] > 4_000
    _wait_until_shipped(stack)


def test_trino_spark_and_pyiceberg_count_the_same_rows_of_a_day(stack: Installation, catalog: Catalog, pipeline: dict[str, Any]) -> None:
    yesterday = date.fromisoformat(query(stack, f"SELECT cast(max(date(timestamp)) AS varchar) FROM {TICKS}")[0][0])
    by_trino = query(stack, f"SELECT count(*) FROM {TICKS} WHERE date(timestamp) = DATE '{yesterday}'")[0][0]
    table = catalog.load_table(TICKS)
    condition = f"timestamp >= '{yesterday}T00:00:00+00:00' and timestamp < '{yesterday + timedelta(days=1)}T00:00:00+00:00'"
    by_pyiceberg = table.scan(condition, selected_fields=("symbol",)).to_arrow().num_rows
    job = REPO / "include" / "spark" / "preflight.py"
    where = f"date(timestamp) = DATE '{yesterday}'"
    by_spark = spark_submit(stack, job, "--table", f"hive_prod.{TICKS}", "--rows", str(ROWS), "--where", where)
    assert by_trino == by_pyiceberg == ROWS
    assert by_spark.returncode == 0, by_spark.stdout + by_spark.stderr[-2000:]


@pytest.mark.fault(11)
def test_running_the_same_day_again_changes_no_count_and_writes_no_board(
    stack: Installation, api: AirflowApi, catalog: Catalog, store: ObjectStore, pipeline: dict[str, Any]
) -> None:
    ids = _document_ids(stack)
    objects = {entry.key for entry in store.list("raw/")}
    board = api.runs("sync_dashboards", limit=1)[0]["dag_run_id"]
    snapshot = catalog.load_table(TICKS).metadata.current_snapshot_id  # drills change it
    run_stack("run", f"--rows={ROWS}")
    again = json.loads((STATE / "run-report.json").read_text())
    for table in COUNTED:
        assert again["tables"][table]["rows"] == pipeline["tables"][table]["rows"], table
    assert again["images"] == pipeline["images"]
    assert again["tables"][TICKS]["snapshot_id"] == snapshot
    # Slots of sample logs that ended meanwhile are new; those of before are there once.
    assert ids <= _document_ids(stack)
    _wait_until_shipped(stack)
    assert query(stack, "SELECT count(*) - count(DISTINCT log_id) FROM logs_db.raw_logs") == [[0]]
    assert objects <= {entry.key for entry in store.list("raw/")}
    newest = api.runs("sync_dashboards", limit=1)[0]["dag_run_id"]
    assert newest != board
    assert api.xcom("sync_dashboards", newest, "superset")["written"] is False


def test_every_row_is_counted_from_landing_to_opensearch(stack: Installation, pipeline: dict[str, Any]) -> None:
    rows = query(stack, "SELECT rows_read, indexed + already_there + refused FROM ops_db.shipments")
    assert rows
    for read, accounted in rows:
        assert read == accounted
    _wait_until_shipped(stack)


def test_the_services_own_logs_go_the_same_way(stack: Installation, api: AirflowApi, pipeline: dict[str, Any]) -> None:
    if not (REPO / "var" / "software" / "rsyslog").exists():
        pytest.skip("rsyslog could not be had when the stack was installed")
    services = {"airflow_api", "airflow_scheduler", "opensearch", "postgres", "seaweedfs", "spark", "superset", "trino"}
    of_services = "SELECT DISTINCT json_extract_scalar(meta, '$.service') FROM logs_db.raw_logs"
    with polling(180, "the logs of every service were not loaded") as ticks:  # a minute's file is closed when the minute is over
        for _ in ticks:
            if {name for (name,) in query(stack, of_services)} >= services:
                break
            run_to_end(api, "bronze_raw_logs")


def test_a_run_with_a_misspelt_param_fails_and_says_which(api: AirflowApi, pipeline: dict[str, Any]) -> None:
    run_id = api.trigger("ship_logs", {"ful": True})
    _wait(api, "ship_logs", run_id)
    failures = api.failures("ship_logs", run_id)
    assert "unknown params ['ful']" in failures[0]


def test_tasks_link_to_their_result_and_runbook(stack: Installation, api: AirflowApi, pipeline: dict[str, Any]) -> None:
    run = next(run["dag_run_id"] for run in api.runs("sync_dashboards") if run["state"] == "success")
    links = api.call("GET", f"/dags/sync_dashboards/dagRuns/{run}/taskInstances/superset/links")["extra_links"]
    assert links["Result"].endswith("/superset/dashboard/lakehouse-analytics/")
    assert links["Runbook"].endswith("/lakehouse/runbooks/sync_dashboards")
    without_login = requests.get(links["Runbook"], allow_redirects=False, timeout=30)
    assert without_login.status_code == 401


def _wait_until_shipped(stack: Installation) -> None:
    """Wait until rows, documents and what was read for them are the same: an hourly run may have loaded more logs a moment ago."""
    from stack.airflow_api import polling

    read_of = "SELECT sum(rows_read) FROM ops_db.shipments WHERE source_table = 'logs_db.raw_logs'"
    statement = f"SELECT (SELECT count(*) FROM logs_db.raw_logs), ({read_of})"
    with polling(240, "rows, documents and shipped rows did not become the same") as ticks:
        for _ in ticks:
            rows, read = query(stack, statement)[0]
            if rows == read == _documents(stack):
                return


def _wait(api: AirflowApi, dag_id: str, run_id: str, seconds: int = 180) -> str:
    from stack.airflow_api import FINISHED, polling

    with polling(seconds, f"{dag_id} did not finish") as ticks:
        for _ in ticks:
            state = api.run(dag_id, run_id)["state"]
            if state in FINISHED:
                return str(state)
    raise AssertionError


def _documents(stack: Installation) -> int:
    url = f"https://127.0.0.1:{stack.ports['opensearch']}/logs-*/_count"
    auth = ("log_reader", stack.secrets["OPENSEARCH_READER_PASSWORD"])
    return int(requests.get(url, auth=auth, verify=str(stack.etc / "opensearch" / "ca.pem"), timeout=30).json()["count"])


def _document_ids(stack: Installation) -> set[str]:
    url = f"https://127.0.0.1:{stack.ports['opensearch']}/logs-*/_search"
    auth = ("log_reader", stack.secrets["OPENSEARCH_READER_PASSWORD"])
    # Those of the sample logs: with the collected ones there may be more than one answer holds.
    sample = {"terms": {"service": ["web", "order-gateway", "risk", "market-data", "settlement"]}}
    body = {"size": 10_000, "_source": False, "query": sample}
    found = requests.post(url, json=body, auth=auth, verify=str(stack.etc / "opensearch" / "ca.pem"), timeout=60).json()
    return {hit["_id"] for hit in found["hits"]["hits"]}
