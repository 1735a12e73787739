"""The sync on the real Superset, with a board, a database and a record of its own for each test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from lakehouse.dashboards.objects import Key
from lakehouse.dashboards.plan import Action, Plan
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.verify import verify_board
from lakehouse.exceptions import ConfigurationError, PruneLimitError, ServiceError, TransientError, VerificationError
from lakehouse.objects import ObjectStore
from stack.installation import REPO, Installation
from tests.integration.superset_boards import Board, session

pytestmark = pytest.mark.integration

PLANTED = "planted-secret-5f2c"
IMPORT = "POST /api/v1/assets/import/"


@pytest.fixture
def url(stack: Installation) -> str:
    return f"http://127.0.0.1:{stack.ports['superset']}"


@pytest.fixture
def viewer(stack: Installation, url: str) -> SupersetClient:
    return session(url, "viewer", stack.secrets["SUPERSET_VIEWER_PASSWORD"])


@pytest.fixture
def board(stack: Installation, store: ObjectStore, url: str, tmp_path: Path) -> Iterator[Board]:
    made = Board(tmp_path, session(url, "admin", stack.secrets["SUPERSET_ADMIN_PASSWORD"]), store, stack.ports["trino"])
    yield made
    made.clean()


def actions(plan: Plan) -> dict[str, Action]:
    return {change.name: change.action for change in plan.changes if change.action is not Action.UNCHANGED}


def writes(board: Board) -> list[str]:
    made = list(board.client.writes)  # type: ignore[attr-defined]
    board.client.writes.clear()  # type: ignore[attr-defined]
    return made


def applied(board: Board) -> Board:
    board.sync().apply()
    writes(board)
    return board


def test_what_is_new_is_written_in_one_request_and_nothing_changed_means_no_write_at_all(board):
    plan, written = board.sync().apply()
    assert set(actions(plan).values()) == {Action.CREATE}
    assert len(written.keys) == 5
    assert writes(board) == [IMPORT]
    plan, written = board.sync().apply()
    assert (actions(plan), written.keys, written.backup, writes(board)) == ({}, (), "", [])


def test_one_changed_chart_is_one_write_of_that_chart_alone(board):
    applied(board).add_chart("one", where="volume > 1")
    plan, written = board.sync().apply()
    assert actions(plan) == {f"{board.name} one": Action.CHANGE}
    assert [difference.path for difference in plan.of(Action.CHANGE)[0].differences] == ["query_context.queries[0].extras.where"]
    assert written.keys == (Key("charts", board.charts["one"]),)
    assert writes(board) == [IMPORT]
    assert actions(board.sync().plan()) == {}


@pytest.mark.fault(20)
def test_an_edit_in_the_ui_is_named_with_its_fields_and_its_editor_and_left_alone_unless_told(board):
    applied(board).put("chart", board.charts["two"], {"slice_name": f"{board.name} by hand"})
    board.put("dashboard", board.ids["board"], {"dashboard_title": f"{board.name} by hand"})
    writes(board)
    board.add_chart("one", where="volume > 1")  # the files go on changing meanwhile
    plan, _ = board.sync().apply()
    drifted = {change.key.kind: change for change in plan.of(Action.DRIFTED)}
    assert [difference.path for difference in drifted["charts"].differences] == ["slice_name"]
    assert [difference.path for difference in drifted["dashboards"].differences] == ["dashboard_title"]
    assert drifted["charts"].editor == "Admin Lakehouse"
    assert drifted["charts"].edited_at
    assert writes(board) == [IMPORT]
    assert actions(board.sync().plan()) == {f"{board.name} two": Action.DRIFTED, f"{board.name} board": Action.DRIFTED}
    _, written = board.sync().apply(overwrite_drift=True)
    assert {key.kind for key in written.keys} == {"charts", "dashboards"}
    assert actions(board.sync().plan()) == {}
    # What the person had made is not lost.
    kept = board.memory.backup(written.backup).objects[Key("charts", board.charts["two"])]
    assert kept is not None
    assert kept.content["slice_name"] == f"{board.name} by hand"


def test_an_object_that_drifted_while_its_file_changed_is_a_conflict_and_is_left_alone(board):
    applied(board).put("dashboard", board.ids["board"], {"dashboard_title": f"{board.name} by hand"})
    board.write_board(f"{board.name} by file")
    (change,) = board.sync().apply()[0].of(Action.DRIFTED)
    assert change.conflict
    assert "its file has changed too" in board.sync().plan().to_markdown()


def test_without_a_record_what_we_changed_last_is_a_change(board):
    applied(board)
    board.store.delete(f"{board.prefix}/applied.json")
    board.write_board(f"{board.name} by file")
    assert actions(board.sync().plan()) == {f"{board.name} by file": Action.CHANGE}


def test_restore_brings_back_what_a_backup_holds_and_the_next_sync_leaves_it(board):
    applied(board).put("chart", board.charts["two"], {"slice_name": f"{board.name} by hand"})
    _, written = board.sync().apply(overwrite_drift=True)
    backup, newer = board.sync().restore(written.backup)
    assert backup.name == written.backup
    assert newer > written.backup
    plan, written = board.sync().apply()
    assert actions(plan) == {f"{board.name} two": Action.DRIFTED}
    assert written.keys == ()
    assert board.sync().restore(backup.name)[1] == ""  # it is as the backup says: nothing to write
    with pytest.raises(ConfigurationError, match=f"no backup '20000101T000000.000000Z'; the newest are: {newer}"):
        board.sync().restore("20000101T000000.000000Z")


@pytest.mark.fault(19)
def test_a_chart_out_of_the_files_is_listed_and_goes_only_by_an_explicit_capped_prune(board):
    applied(board).add_chart("three")
    board.sync().apply()
    gone = {Key("charts", board.remove_chart(name)) for name in ("two", "three")}
    plan, _ = board.sync().apply()
    assert {change.key for change in plan.of(Action.ORPHANED)} == gone
    assert gone <= {Key("charts", entry["uuid"]) for entry in board.client.list("chart", ["uuid"])}
    with pytest.raises(PruneLimitError, match="2 objects would be removed, the limit is 1"):
        board.sync().prune(gone, limit=1)
    others = {entry["uuid"] for entry in board.client.list("chart", ["uuid"])} - {key.id for key in gone}
    removed, backup = board.sync().prune(gone | {Key("charts", board.charts["one"])}, limit=2)
    assert {change.key for change in removed} == gone  # what a file has is never removed, whatever was approved
    assert set(board.memory.backup(backup).objects) == gone
    assert {entry["uuid"] for entry in board.client.list("chart", ["uuid"])} == others
    assert board.sync().plan().of(Action.ORPHANED) == ()


def test_an_orphan_that_someone_edited_since_is_said_to_be_and_is_not_removed(board):
    gone = applied(board).remove_chart("two")
    board.sync().apply()
    board.put("chart", gone, {"slice_name": f"{board.name} mine now"})
    assert "orphaned, edited since" in board.sync().plan().to_markdown()
    assert board.sync().prune({Key("charts", gone)}, limit=10) == ((), "")


@pytest.mark.fault(21)
@pytest.mark.fault(23)
def test_a_new_password_is_seen_as_a_change_and_stands_in_no_plan_record_or_backup(board, caplog):
    board.add_database(f"postgresql+psycopg2://reader:{PLANTED}@127.0.0.1:1/x")
    _, first = board.sync().apply()
    assert board.sync().apply()[1].keys == ()
    board.add_database(f"postgresql+psycopg2://reader:{PLANTED}-2@127.0.0.1:1/x")
    plan, second = board.sync().apply()
    assert [difference.path for difference in plan.of(Action.CHANGE)[0].differences] == ["password"]
    assert board.sync().apply()[1].keys == ()
    kept = [board.store.read(entry.key).decode() for entry in board.store.list(f"{board.prefix}/")]
    assert len(kept) == 3
    assert first.backup < second.backup
    assert PLANTED not in plan.to_markdown() + caplog.text + "".join(kept)


@pytest.mark.fault(17)
def test_a_lost_csrf_token_and_a_run_out_session_are_renewed_once_and_a_login_page_is_no_answer(board, stack):
    applied(board)
    board.client.session.headers["X-CSRFToken"] = "stale"
    board.client.session.cookies.clear()
    board.add_chart("one", where="volume > 1")
    board.sync().apply()
    assert actions(board.sync().plan()) == {}
    token = str(board.client.session.headers["Authorization"]).removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False}) | {"exp": 1}
    run_out = jwt.encode(claims, stack.secrets["SUPERSET_SECRET_KEY"], algorithm="HS256")
    board.client.session.headers["Authorization"] = f"Bearer {run_out}"
    board.client.session.cookies.clear()
    assert actions(board.sync().plan()) == {}
    with pytest.raises(ServiceError, match=r"with text/html.*, not with JSON"):
        board.client.request("GET", "/login/")


@pytest.mark.fault(21)
def test_a_user_without_the_right_to_import_is_refused_by_name_and_nothing_is_written(board, viewer):
    board.client, admin = viewer, board.client
    with pytest.raises(ServiceError, match="rights of its connection") as caught:
        board.sync().apply()
    assert caught.value.status == 403
    board.client = admin
    assert set(actions(board.sync().plan()).values()) == {Action.CREATE}


@pytest.mark.fault(22)
def test_a_server_that_is_down_is_said_plainly(board):
    board.client, there = session("http://127.0.0.1:1", "admin", "x"), board.client
    with pytest.raises(TransientError, match=r"Superset at http://127\.0\.0\.1:1 does not answer"):
        board.target()
    board.client = there


def results(board: Board) -> dict[str, str]:
    document = board.target().documents["dashboards/board.yaml"]
    outcome = verify_board(board.client, board.client, document, "Admin")
    assert outcome.url.endswith(f"/superset/dashboard/{board.name}/")
    return {chart.name.split()[-1]: chart.error[:60] or ("no rows" if chart.failed else "fine") for chart in outcome.charts}


def test_every_chart_is_run_and_a_broken_or_empty_one_is_named(board):
    board.add_chart("broken", where="no_such_column = 1")
    board.add_chart("empty", where="volume > 100")
    board.add_chart("late", window="2001-01-01 : 2001-02-01")
    board.sync().apply()
    found = results(board)
    assert "no_such_column" in found.pop("broken") or found
    assert found == {"one": "fine", "two": "fine", "empty": "no rows", "late": "fine"}


def test_a_chart_that_is_off_the_live_board_is_named(board):
    applied(board)
    document = board.target().documents["dashboards/board.yaml"]
    board.remove_chart("two")
    board.sync().apply()
    charts = {chart.name: chart.error for chart in verify_board(board.client, board.client, document, "Admin").charts}
    assert charts[f"{board.name} two"] == "it is not on the board"


STEPS = ("back up", "note what is begun", "write", "read back", "note what is done", "after")
RUN = """
import os, signal, sys
from pathlib import Path
from lakehouse.dashboards.record import Memory
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.target import SupersetTarget
from lakehouse.dashboards.sync import Sync
from lakehouse.objects import ObjectStore
import json

said = json.loads(os.environ["RUN"])

def stop(name):
    if name.startswith(said["step"]):
        os.kill(os.getpid(), signal.SIGKILL)

client = SupersetClient(said["url"], "admin", said["password"])
target = SupersetTarget(client, Path(said["folder"]), said["variables"])
Sync(target, Memory(ObjectStore(**said["store"]), said["prefix"]), point=stop).apply()
stop("after")
"""


def test_killed_at_each_step_the_next_run_ends_as_the_files_say_and_backups_are_whole(board, stack, connections):
    """One board, changed once per step: the run that changes it is killed there, and the next one has to heal it."""
    applied(board)
    s3 = connections["lakehouse_s3"]
    store = {
        "endpoint_url": s3["extra"]["endpoint_url"],
        "access_key": s3["login"],
        "secret_key": s3["password"],
        "region": "us-east-1",
        "bucket": "lakehouse",
    }
    for number, step in enumerate(STEPS):
        board.add_chart("one", where=f"volume > {-number - 1}")
        said = {
            "step": step,
            "url": board.client.base_url,
            "password": stack.secrets["SUPERSET_ADMIN_PASSWORD"],
            "folder": str(board.folder),
            "variables": board.variables,
            "store": store,
            "prefix": board.prefix,
        }
        environment = {**os.environ, "RUN": json.dumps(said), "PYTHONPATH": str(REPO / "plugins")}
        killed = subprocess.run([sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        # Also when the files have moved on meanwhile: what was half written is ours, and no edit of a person's.
        board.add_chart("one", where=f"volume > {-number - 100}")
        plan, _ = board.sync().apply()
        assert set(actions(plan).values()) == {Action.CHANGE}, step
        assert actions(board.sync().plan()) == {}, step
        assert not board.memory.record().pending, step
        for name in board.memory.backups():
            assert board.memory.backup(name).objects, step


def test_an_object_may_be_locked_in_the_ui(board):
    board.edit_file("charts/one.yaml", is_managed_externally=True)
    board.sync().apply()
    assert actions(board.sync().plan()) == {}


def test_what_superset_does_not_keep_is_named_after_the_write(board):
    board.edit_file("charts/one.yaml", external_url="https://example.org")
    with pytest.raises(VerificationError, match=r"reads back differently:\n  charts .* one: change external_url"):
        board.sync().apply()
