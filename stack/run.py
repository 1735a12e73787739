"""`make run`: the pipeline through the real scheduler, in an order that lets quality come last, and the report about it."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from typing import Any

from rich.table import Table

from stack.airflow_api import FINISHED, AirflowApi, last_daily_interval, parse_time, seconds_of
from stack.errors import StackError
from stack.installation import Installation
from stack.lifecycle import console, failing
from stack.memory import MemoryWatch
from stack.report import Report, build_report
from stack.supervisor import Supervisor

PIPELINE = (
    "bronze_raw_logs",
    "ship_logs",
    "upload_images",
    "collect_tick_files",
    "bronze_option_ticks",
    "daily_option_summary",
    "table_maintenance",
    "back_up_services",
    "sync_dashboards",
    "quality_and_service_levels",
)
PREFLIGHT = "preflight"
# These have no clock that would start them at once; paused, they would miss their event.
ON_EVENTS_ALONE = ("ship_logs", "sync_dashboards")
# The generated walk of prices begins in 2024; 29 more days come before the one that is asked for.
FIRST_DAY = date(2024, 2, 1)
# When the schedule of `bronze_option_ticks` runs.
TICKS_TIME = clock(0, 15)
DAYS, EARLIER_ROWS, LOG_ROWS = 30, 10_000, 5_000
# How long an asset's event may take to start its consumer before the consumer is started by hand.
_EVENT_SECONDS = 20
_RUN_SECONDS = 1800


def run_pipeline(stack: Installation, day: date, *, rows: int) -> int:
    """Run everything and report; returns the exit code, 0 when the data and every page are right.

    Args:
        day: the day to write.
        rows: ticks of that day.
    """
    console.rule("Preflight", align="left")
    if problems := failing(stack):
        raise StackError("these services do not answer:\n  " + "\n  ".join(problems))
    api = AirflowApi(stack)
    api.wait_for_dags([PREFLIGHT, *PIPELINE])
    started = datetime.now(UTC)
    pid = int(Supervisor(stack).pid_file.read_text())
    runs: dict[str, str] = {}
    with MemoryWatch(pid) as memory:
        runs[PREFLIGHT] = _run(api, PREFLIGHT)
        _require(api, runs)
        console.rule(f"Pipeline for {day}", align="left")
        _pipeline(api, runs, day, rows)
    report = build_report(stack, api, runs, memory.peak_mb)
    target = stack.state / "run-report.json"
    target.write_text(json.dumps(report.as_dict(), indent=2) + "\n")
    _print(report, api, runs)
    console.print(f"report: {target} (pipeline took {(datetime.now(UTC) - started).total_seconds():.0f} s)")
    return 0 if report.good else 1


def _yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


def parse_day(text: str | None) -> date:
    """The day of `DATE=`, or yesterday (UTC).

    Raises:
        StackError: it is no day, or none that can be written.
    """
    if text is None:
        return _yesterday()
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise StackError(f"DATE={text}: write a day as YYYY-MM-DD") from error
    if not FIRST_DAY <= day <= _yesterday():
        raise StackError(f"DATE={text}: write a day from {FIRST_DAY} to yesterday, {_yesterday()}")
    return day


def _pipeline(api: AirflowApi, runs: dict[str, str], day: date, rows: int) -> None:
    """Producers first; each consumer runs after the newest event of what it reads."""
    for dag_id in ON_EVENTS_ALONE:
        api.unpause(dag_id)
    logs = _start(api, "bronze_raw_logs", {"sample_rows": LOG_ROWS})
    images = _start(api, "upload_images", {"sample": True})
    files = _start(api, "collect_tick_files", {"sample": True, "date": day.isoformat(), "quiet_seconds": 0})
    ticks_conf = {"date": day.isoformat(), "days": DAYS, "rows": rows, "earlier_rows": EARLIER_ROWS, "engine": "spark"}
    # It takes the place of the run that the scheduler makes at once, with the default rows.
    own = last_daily_interval(TICKS_TIME, datetime.now(UTC))
    taken = {run["logical_date"] and parse_time(run["logical_date"]) for run in api.runs("bronze_option_ticks", limit=100)}
    ticks = _start(api, "bronze_option_ticks", ticks_conf, None if own in taken else own)
    # Beside the writers, as at night.
    maintenance, backup = _start(api, "table_maintenance"), _start(api, "back_up_services")
    runs["bronze_raw_logs"] = _finish(api, "bronze_raw_logs", logs)
    runs["ship_logs"] = _consumer(api, "ship_logs", runs, "bronze_raw_logs")
    runs["table_maintenance"] = _finish(api, "table_maintenance", maintenance)
    runs["back_up_services"] = _finish(api, "back_up_services", backup)
    runs["upload_images"] = _finish(api, "upload_images", images)
    runs["collect_tick_files"] = _finish(api, "collect_tick_files", files)
    runs["bronze_option_ticks"] = _finish(api, "bronze_option_ticks", ticks)
    for consumer, producer in (
        ("daily_option_summary", "bronze_option_ticks"),
        ("sync_dashboards", "daily_option_summary"),
        ("quality_and_service_levels", "sync_dashboards"),
    ):
        if api.run(producer, runs[producer])["state"] != "success":
            return
        runs[consumer] = _consumer(api, consumer, runs, producer)


def _run(api: AirflowApi, dag_id: str, conf: dict[str, Any] | None = None) -> str:
    return _finish(api, dag_id, _start(api, dag_id, conf))


def _start(api: AirflowApi, dag_id: str, conf: dict[str, Any] | None = None, day_of: datetime | None = None) -> str:
    run_id = api.trigger(dag_id, conf, day_of)
    api.unpause(dag_id)
    return run_id


def _consumer(api: AirflowApi, dag_id: str, runs: dict[str, str], producer: str) -> str:
    """The run of an asset-scheduled DAG that began after its producer's end; started by hand when no event did."""
    produced = parse_time(api.run(producer, runs[producer])["end_date"])
    api.unpause(dag_id)
    deadline = time.monotonic() + _EVENT_SECONDS
    while time.monotonic() < deadline:
        newer = [
            run for run in api.runs(dag_id, limit=5) if parse_time(run["queued_at"] or run["run_after"]) >= produced - timedelta(seconds=5)
        ]
        if newer:
            return _finish(api, dag_id, newer[0]["dag_run_id"])
        time.sleep(1)
    return _finish(api, dag_id, api.trigger(dag_id))


def _finish(api: AirflowApi, dag_id: str, run_id: str) -> str:
    """Wait for a run's end, saying what goes on."""
    started = time.monotonic()
    last = ""
    while time.monotonic() - started < _RUN_SECONDS:
        run = api.run(dag_id, run_id)
        if run["state"] in FINISHED:
            colour = "green" if run["state"] == "success" else "red"
            console.print(f"  [{colour}]{run['state']:8}[/{colour}] {dag_id} in {seconds_of(run):.0f} s")
            return run_id
        if run["state"] != last:
            last = run["state"]
            console.print(f"  {last:8} {dag_id}")
        time.sleep(1)
    raise StackError(f"{dag_id} did not finish in {_RUN_SECONDS} s; see {api.base}/dags/{dag_id}/runs/{run_id}")


def _require(api: AirflowApi, runs: dict[str, str]) -> None:
    failures = api.failures(PREFLIGHT, runs[PREFLIGHT])
    if failures:
        raise StackError("preflight failed, so the pipeline was not started:\n  " + "\n  ".join(failures))


def _print(report: Report, api: AirflowApi, runs: dict[str, str]) -> None:
    """What failed, then one table for people."""
    for dag_id, run_id in runs.items():
        for failure in api.failures(dag_id, run_id):
            console.print(failure, style="red", markup=False)
    table = Table("what", "value", "", title="Run report", title_justify="left")
    for column in table.columns:
        column.overflow = "fold"
    for dag in report.dags:
        table.add_row(dag["dag_id"], _state(dag["state"]), f"{dag['seconds']:.0f} s" if dag["seconds"] else "")
    table.add_section()
    for name, facts in report.tables.items():
        rows = "not there" if facts["rows"] is None else f"{facts['rows']:,} rows"
        table.add_row(name, rows, f"snapshot {facts['snapshot_id']}" if facts["snapshot_id"] else "")
    table.add_row("documents logs-*", f"{report.documents['logs-*']:,}", "")
    table.add_row("images", f"{report.images['registered']} registered", f"{report.images['refused']} refused")
    table.add_section()
    for board in report.dashboards:
        table.add_row(board["name"], f"{board['charts_ok']} charts ok", f"{board['charts_failed']} failed")
    checks = report.checks
    table.add_row("checks", ", ".join(f"{count} {verdict}" for verdict, count in checks.items()), "")
    for level in report.service_levels:
        verdict = "met" if level["met"] else ("[yellow]missed[/yellow]" if level["met"] is False else "not measured")
        table.add_row(level["name"], f"{level['measured']} {level['unit']}", f"target {level['target']:g} {level['unit']}: {verdict}")
    table.add_row("peak memory", f"{report.peak_memory_mb} MB", "proportional set size of the whole stack while the pipeline ran")
    console.print(table)
    for page in report.pages:
        console.print(f"  {page['name']:11} HTTP {page['http_status']}  {page['url']}", markup=False)
    console.print("sign in with what `make passwords` shows; what was refused, and why, is in ops_db.refused_files and refused_records")


def _state(state: str) -> str:
    colour = {"success": "green", "failed": "red"}.get(state)
    return f"[{colour}]{state}[/{colour}]" if colour else state
