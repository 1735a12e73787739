from __future__ import annotations

from typing import Any

import pytest

from lakehouse.dashboards.objects import Key, Live, Shape, Wanted
from lakehouse.dashboards.plan import Action, Change, Difference, Plan, make_plan
from lakehouse.dashboards.record import Record, Recorded

KEY = Key("charts", "u1")
SHAPE = Shape(exact=("params",), names=("column_name",))
SHAPES = {"datasets": SHAPE, "charts": SHAPE}
CHART: dict[str, Any] = {
    "uuid": "u1",
    "slice_name": "Volume",
    "params": {"metrics": ["sum"], "limit": 10},
    "columns": [{"column_name": "a", "type": "INT"}, {"column_name": "b", "type": "TEXT"}],
    "description": None,
}
OTHER = CHART | {"slice_name": "By file"}
EDIT = CHART | {"slice_name": "By hand"}


def only(wanted: dict | None, live: dict | None, base: dict | None = None, *, pending: bool = False, editor: str = "Ada") -> Change:
    (change,) = make_plan(
        {KEY: Wanted(wanted, "Volume")} if wanted else {},
        {KEY: Live(live, "Volume", "http://s/1", editor, "today")} if live else {},
        Record({KEY: Recorded("Volume", base)} if base else {}, {}, frozenset([KEY] if pending else [])),
        "Sync",
        SHAPES,
    ).changes
    return change


@pytest.mark.parametrize(
    ("wanted", "live", "base", "options", "action"),
    [
        pytest.param(CHART, None, None, {}, Action.CREATE, id="not there"),
        pytest.param(CHART, None, CHART, {}, Action.CREATE, id="removed by hand"),
        pytest.param(CHART, CHART, None, {}, Action.UNCHANGED, id="as filed, never recorded"),
        pytest.param(CHART, CHART, OTHER, {}, Action.UNCHANGED, id="brought by hand to what the file says"),
        pytest.param(OTHER, CHART, CHART, {}, Action.CHANGE, id="the file has changed"),
        pytest.param(CHART, EDIT, CHART, {}, Action.DRIFTED, id="edited by hand"),
        pytest.param(OTHER, EDIT, CHART, {}, Action.DRIFTED, id="edited by hand, and the file too"),
        pytest.param(CHART, EDIT, CHART, {"pending": True, "editor": "Sync"}, Action.CHANGE, id="a write of ours that was cut off"),
        pytest.param(CHART, EDIT, CHART, {"pending": True}, Action.DRIFTED, id="edited by hand after a write of ours was cut off"),
        pytest.param(CHART, EDIT, None, {"editor": "Sync"}, Action.CHANGE, id="ours, before there was a record"),
        pytest.param(CHART, EDIT, None, {}, Action.DRIFTED, id="another's, before there was a record"),
        pytest.param(CHART, CHART | {"id": 7}, CHART | {"id": 7}, {}, Action.UNCHANGED, id="more than the file says"),
        pytest.param(CHART, CHART | {"id": 7}, CHART, {}, Action.DRIFTED, id="set by hand where the file says nothing"),
        pytest.param(None, CHART, CHART, {}, Action.ORPHANED, id="in no file any more"),
    ],
)
def test_file_record_and_service_decide_together(wanted, live, base, options, action):
    assert only(wanted, live, base, **options).action is action


@pytest.mark.parametrize(("wanted", "conflict"), [(CHART, False), (OTHER, True)])
def test_drift_on_a_changed_file_is_a_conflict(wanted, conflict):
    assert only(wanted, EDIT, CHART).conflict is conflict


def test_drift_leads_from_what_was_applied_to_what_is_live_and_a_change_from_what_is_live_to_the_file():
    assert only(CHART, EDIT, CHART).differences == (Difference("slice_name", "Volume", "By hand"),)
    assert only(CHART, EDIT, None).differences == (Difference("slice_name", "Volume", "By hand"),)
    assert only(OTHER, CHART, CHART).differences == (Difference("slice_name", "Volume", "By file"),)


@pytest.mark.parametrize(
    "live",
    [
        pytest.param(CHART | {"id": 17, "owners": ["admin"]}, id="more than the file says"),
        pytest.param(CHART | {"columns": CHART["columns"][::-1]}, id="columns in another order"),
        pytest.param(CHART | {"description": ""}, id="empty where the file says null"),
        pytest.param({key: CHART[key] for key in CHART if key != "description"}, id="nothing where the file says null"),
    ],
)
def test_what_the_server_adds_is_no_difference(live):
    assert only(CHART, live).action is Action.UNCHANGED


@pytest.mark.fault(20)
@pytest.mark.parametrize(
    ("edit", "field"),
    [
        pytest.param({"params": CHART["params"] | {"zoom": True}}, "params.zoom", id="a param that the file does not have"),
        pytest.param({"params": {"metrics": ["sum"]}}, "params.limit", id="a param that is gone"),
        pytest.param({"params": {"metrics": ["sum"], "limit": 11}}, "params.limit", id="a value deep inside"),
        pytest.param({"params": {"metrics": ["avg"], "limit": 10}}, "params.metrics[0]", id="an entry of a list"),
        pytest.param({"params": {"metrics": ["sum", "avg"], "limit": 10}}, "params.metrics", id="a longer list"),
        pytest.param({"params": None}, "params", id="a mapping that is gone"),
        pytest.param(
            {"columns": [{"column_name": "a", "type": "INT"}, {"column_name": "b", "type": "INT"}]}, "columns[b].type", id="a column"
        ),
        pytest.param({"columns": [*CHART["columns"], {"column_name": "c", "type": "INT"}]}, "columns[c]", id="a column more"),
        pytest.param({"columns": CHART["columns"][:1]}, "columns[b]", id="a column less"),
        pytest.param({"description": "by hand"}, "description", id="text where the file says null"),
    ],
)
@pytest.mark.parametrize("base", [None, CHART])
def test_an_edit_by_hand_is_named_by_its_place(edit, field, base):
    change = only(CHART, CHART | edit, base)
    assert change.action is Action.DRIFTED
    assert [difference.path for difference in change.differences] == [field]


def test_what_a_record_has_and_the_service_lacks_on_both_sides_is_no_part_of_the_plan():
    record = Record({KEY: Recorded("Volume", CHART)})
    assert make_plan({}, {}, record, "Sync", SHAPES) == Plan(())


def test_a_secret_that_was_not_sent_yet_is_a_change_and_is_not_shown():
    wanted, live = {KEY: Wanted(CHART, "Volume", secret="s3cret")}, {KEY: Live(CHART, "Volume")}
    plan = make_plan(wanted, live, Record(), "Sync", SHAPES)
    assert [change.differences for change in plan.of(Action.CHANGE)] == [(Difference("password", "", ""),)]
    assert "s3cret" not in plan.to_markdown() + repr(wanted)
    sent = Record().with_secrets(wanted)
    assert make_plan(wanted, live, sent, "Sync", SHAPES).of(Action.CHANGE) == ()
    assert "s3cret" not in repr(sent)


def test_the_plan_is_a_table_in_the_order_of_writing_that_names_cannot_break():
    made = make_plan(
        {KEY: Wanted(OTHER, "a|b\nc"), Key("datasets", "d"): Wanted({}, "first")},
        {KEY: Live(CHART, "a|b\nc", "http://s/1?a=<b>")},
        Record({KEY: Recorded("x", CHART)}),
        "Sync",
        SHAPES,
    )
    lines = made.to_markdown().splitlines()
    assert lines[0] == "1 create, 1 change, 0 unchanged, 0 drifted, 0 orphaned"
    assert lines[4:] == [
        "| datasets | first | create |  |  |",
        "| charts | [a\\|b c](<http://s/1?a=%3Cb%3E>) | change | slice_name: Volume → By file |  |",
    ]


REPLACED = {"charts": Shape(names=("id",), replaces=True)}
PANEL: dict[str, Any] = {"id": 2, "unit": "s", "min": 0}


def replaced(said: dict, wanted: dict, live: dict, base: dict | None = None) -> Change:
    record = Record({KEY: Recorded("Volume", base or live, said=said)})
    (change,) = make_plan({KEY: Wanted(wanted, "Volume")}, {KEY: Live(live, "Volume", editor="Ada")}, record, "Sync", REPLACED).changes
    return change


def test_what_a_file_no_longer_says_at_any_depth_is_a_change_where_a_write_replaces():
    said = {"title": "a", "panels": [{"id": 1}, PANEL]}
    wanted = {"panels": [{"id": 1}, {"id": 2, "unit": "s"}]}
    change = replaced(said, wanted, {**said, "version": 3})
    assert change.action is Action.CHANGE
    assert [d.path for d in change.differences] == ["title", "panels[2].min"]


def test_the_order_of_named_entries_counts_where_a_document_is_kept_as_it_was_sent():
    said = {"panels": [{"id": 1}, {"id": 2}, {"id": 3}]}
    change = replaced(said, {"panels": [{"id": 3}, {"id": 1}]}, said)
    assert [d.path for d in change.differences] == ["panels[2]", "panels, their order"]


def test_what_a_server_adds_by_itself_is_no_difference_at_any_depth():
    said = {"title": "a", "panels": [PANEL]}
    assert (
        replaced(said, said, {"title": "a", "panels": [PANEL | {"transparent": False, "links": ["x"]}], "version": 3}).action
        is Action.UNCHANGED
    )


def test_a_file_that_says_less_while_someone_edited_is_a_conflict():
    said = {"title": "a", "panels": [PANEL]}
    change = replaced(said, {"panels": [PANEL]}, {"title": "by hand", "panels": [PANEL]}, base=said)
    assert (change.action, change.conflict) == (Action.DRIFTED, True)


def test_entries_that_share_a_name_are_compared_by_their_place():
    change = replaced({}, {"panels": [PANEL, {"id": 2, "unit": "ms"}]}, {"panels": [PANEL, PANEL]})
    assert [d.path for d in change.differences] == ["panels[1].unit"]


def test_what_the_service_locks_is_shown_and_not_written():
    live = {KEY: Live(EDIT, "Volume", locked="provisioned from a file")}
    made = make_plan({KEY: Wanted(CHART, "Volume")}, live, Record(), "Sync", SHAPES)
    assert made.writes(overwrite_drift=True) == ()
    assert "change, left alone: provisioned from a file" in made.to_markdown()
