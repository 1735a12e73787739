"""`make scale-out`: the pipeline's counts are the same with one process for each engine and with several."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import STATE, run_stack

pytestmark = pytest.mark.scale_out

DAY, ROWS = "2026-11-20", 20_000


@pytest.fixture(scope="module")
def reports() -> dict[str, dict[str, Any]]:
    """The reports of two new installations, one after the other, for the same day."""
    found = {}
    run_stack("down", check=False)
    for scale in ("no", "yes"):
        state = STATE.parent / f"test-scale-{scale}"
        run_stack("down", check=False, state=state)
        shutil.rmtree(state, ignore_errors=True)
        try:
            run_stack(f"--scale-out={scale}", "run", f"--rows={ROWS}", f"--date={DAY}", state=state)
            found[scale] = json.loads((state / "run-report.json").read_text()) | {"tasks": _tasks(state)}
        finally:
            run_stack("down", check=False, state=state)
        shutil.rmtree(state, ignore_errors=True)
    return found


def _tasks(state: Path) -> dict[str, int]:
    """How much each process did: tasks of Celery's workers, and executors that Spark's workers started."""
    logs = {log.stem: log.read_text().count("succeeded in") for log in (state / "logs").glob("airflow_worker_*.log")}
    # A worker logs warnings alone; each executor has a folder there.
    return logs | {folder.name: len(list(folder.glob("app-*/*"))) for folder in (state / "data" / "spark").glob("worker-*")}


@pytest.mark.timeout(2_400)
def test_the_counts_are_equal(reports: dict[str, dict[str, Any]]) -> None:
    one, many = reports["no"], reports["yes"]
    made = ("option_ticks_db.bronze_option_ticks", "option_ticks_db.collected_option_ticks", "option_ticks_db.daily_option_summary")

    assert {name: many["tables"][name]["rows"] for name in made} == {name: one["tables"][name]["rows"] for name in made}
    assert many["images"] == one["images"]
    assert many["checks"]["failed"] == one["checks"]["failed"] == 0
    assert [(board["name"], board["charts_ok"], board["charts_failed"]) for board in many["dashboards"]] == [
        (board["name"], board["charts_ok"], board["charts_failed"]) for board in one["dashboards"]
    ]
    for report in (one, many):
        # How many lines the services log is chance; that every row became a document is not.
        assert report["documents"]["logs-*"] == report["tables"]["logs_db.raw_logs"]["rows"] > 5_000


def test_every_process_had_work(reports: dict[str, dict[str, Any]]) -> None:
    assert reports["no"]["tasks"] == {}
    assert all(count > 0 for count in reports["yes"]["tasks"].values()), reports["yes"]["tasks"]
    assert len(reports["yes"]["tasks"]) == 4
