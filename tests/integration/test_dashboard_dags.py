"""The DAGs of the dashboards through the real scheduler, on the product's own boards: drift, what is done about it, and a prune."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from include.assets import SUPERSET_FOLDER
from lakehouse.dashboards.objects import Key
from lakehouse.dashboards.record import Memory
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.exceptions import VerificationError
from lakehouse.objects import ObjectStore
from stack.airflow_api import AirflowApi
from stack.installation import REPO, Installation
from tests.integration.airflow_runs import run_to_end
from tests.integration.superset_boards import Board, session

pytestmark = pytest.mark.integration

EXAMPLE = REPO / "tests" / "system" / "example_superset_sync.py"
OPERATIONS = "lakehouse-operations"


@pytest.fixture
def admin(stack: Installation) -> SupersetClient:
    return session(f"http://127.0.0.1:{stack.ports['superset']}", "admin", stack.secrets["SUPERSET_ADMIN_PASSWORD"])


@pytest.fixture
def edited(admin: SupersetClient, pipeline: dict[str, Any]) -> Iterator[str]:
    """The board Operations with another title, as a person would leave it."""
    number = admin.request("GET", f"/api/v1/dashboard/{OPERATIONS}").json()["result"]["id"]
    admin.request("PUT", f"/api/v1/dashboard/{number}", json={"dashboard_title": "Operations, by hand"})
    yield OPERATIONS
    admin.request("PUT", f"/api/v1/dashboard/{number}", json={"dashboard_title": "Lakehouse Operations"})


def title(admin: SupersetClient, slug: str) -> str:
    return str(admin.request("GET", f"/api/v1/dashboard/{slug}").json()["result"]["dashboard_title"])


def test_drift_is_reported_turned_into_a_patch_and_reverted_and_comes_back_from_the_backup(
    api: AirflowApi, admin: SupersetClient, store: ObjectStore, edited: str
) -> None:
    run = run_to_end(api, "dashboard_drift", {"then": "accept"})
    assert run.state == "success"
    found = api.xcom("dashboard_drift", run.run_id, "superset")
    assert found["rows"] == 1
    assert "dashboard_title: Lakehouse Operations → Operations, by hand" in found["drift"]
    assert "Admin Lakehouse" in found["drift"]
    assert title(admin, edited) == "Operations, by hand"
    patch = store.read(found["patch"]).decode()
    path = next(path for path in (SUPERSET_FOLDER / "dashboards").glob("*.yaml") if f"slug: {OPERATIONS}" in path.read_text())
    assert f"b/include/dashboards/superset/dashboards/{path.name}" in patch
    assert [line for line in patch.splitlines() if line.startswith(("-", "+"))][2:] == [
        "-dashboard_title: Lakehouse Operations",
        "+dashboard_title: Operations, by hand",
    ]

    run = run_to_end(api, "dashboard_drift", {"then": "revert"})
    assert run.state == "success"
    assert title(admin, edited) == "Lakehouse Operations"
    backup = api.xcom("dashboard_drift", run.run_id, "superset")["backup"]
    assert run_to_end(api, "sync_dashboards", {"restore": backup}).state == "success"
    assert title(admin, edited) == "Operations, by hand"


@pytest.mark.fault(19)
def test_a_prune_shows_the_plan_asks_and_removes_only_when_a_person_approves(
    stack: Installation, api: AirflowApi, admin: SupersetClient, store: ObjectStore, pipeline: dict[str, Any], tmp_path: Path
) -> None:
    board = Board(tmp_path, admin, store, stack.ports["trino"])
    try:
        board.sync().apply()
        # As if the product's folder had once had this chart, and had taken it off its board.
        ours, key = Memory(store, "dashboards/superset"), Key("charts", board.remove_chart("two"))
        board.sync().apply()
        orphan = {key: board.memory.record().applied[key]}
        record = ours.record()
        ours.write_record(replace(record, applied={**record.applied, **orphan}))

        run = run_to_end(api, "sync_dashboards", {"prune": True}, answer="Reject")
        assert run.state == "success"
        assert "Remove 1 objects" in run.asked["approve_prune"]["subject"]
        assert f"{board.name} " in run.asked["approve_prune"]["body"]
        assert key.id in {entry["uuid"] for entry in admin.list("chart", ["uuid"])}
        run = run_to_end(api, "sync_dashboards", {"prune": True}, answer="Approve")
        assert api.xcom("sync_dashboards", run.run_id, "prune_superset")["removed"] == [str(key)]
        assert key.id not in {entry["uuid"] for entry in admin.list("chart", ["uuid"])}
    finally:
        board.clean()


def test_the_example_dag_says_which_chart_of_a_folder_is_broken(
    stack: Installation,
    admin: SupersetClient,
    store: ObjectStore,
    connections: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Task by task: `dag.test()` runs only what the DAG processor has serialized, and this is no DAG of the bundle."""
    board = Board(tmp_path, admin, store, stack.ports["trino"])
    try:
        board.add_chart("broken", where="no_such_column = 1")
        for name, value in (("FOLDER", tmp_path), ("PREFIX", board.prefix), ("VIEWER", "lakehouse_superset")):
            monkeypatch.setenv(f"SUPERSET_{name}", str(value))
        tasks = runpy.run_path(str(EXAMPLE))["dag"].task_dict
        context: Any = {"ti": MagicMock(), "outlet_events": {}}
        with pytest.raises(VerificationError) as caught:
            tasks["sync"].execute(context)
        assert f"{board.name} board / {board.name} broken, as Viewer: " in str(caught.value)
        assert str(caught.value).count("as Viewer") == 1
        board.add_chart("broken")
        facts = tasks["sync"].execute(context)
        assert facts["written"] is True
        assert facts["dashboards"][0]["charts_ok"] == 3
        assert tasks["drift"].execute(context)["rows"] == 0
    finally:
        board.clean()
