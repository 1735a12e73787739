from __future__ import annotations

import pytest

from lakehouse.dashboards.plan import Change, plan, to_markdown

CHART = {
    "uuid": "u1",
    "slice_name": "Volume",
    "params": {"metrics": ["sum"], "limit": 10},
    "columns": [{"column_name": "a", "type": "INT"}, {"column_name": "b", "type": "TEXT"}],
    "description": None,
}


def only(desired: dict, live: dict | None) -> Change:
    (change,) = plan({"charts/volume.yaml": desired}, {"charts/Volume_17.yaml": live} if live else {})
    return change


def test_what_is_not_live_is_created():
    assert only(CHART, None) == Change("charts", "Volume", "u1", "create")
    assert only(CHART, CHART | {"uuid": "another"}).action == "create"


@pytest.mark.parametrize(
    "live",
    [
        pytest.param(CHART, id="the same"),
        pytest.param(CHART | {"id": 17, "owners": ["admin"]}, id="more than the file says"),
        pytest.param(CHART | {"columns": CHART["columns"][::-1]}, id="columns in another order"),
        pytest.param(CHART | {"description": ""}, id="empty where the file says null"),
    ],
)
def test_what_the_server_adds_is_no_difference(live):
    assert only(CHART, live) == Change("charts", "Volume", "u1", "unchanged")


@pytest.mark.fault(20)
@pytest.mark.parametrize(
    ("edit", "field"),
    [
        pytest.param({"params": CHART["params"] | {"zoom": True}}, "params.zoom", id="a param that the file no longer has"),
        pytest.param({"params": {"metrics": ["sum"], "limit": 11}}, "params.limit", id="a value deep inside"),
        pytest.param({"params": {"metrics": ["avg"], "limit": 10}}, "params.metrics[0]", id="an entry of a list"),
        pytest.param({"params": {"metrics": ["sum", "avg"], "limit": 10}}, "params.metrics", id="a longer list"),
        pytest.param({"params": CHART["params"] | {"zoom": True}}, "params.zoom", id="a param that the file does not have"),
        pytest.param({"params": None}, "params", id="a mapping that is gone"),
        pytest.param(
            {"columns": [{"column_name": "a", "type": "INT"}, {"column_name": "b", "type": "INT"}]}, "columns[1].type", id="a column"
        ),
        pytest.param({"slice_name": "Volume!"}, "slice_name", id="a name"),
        pytest.param({"description": "by hand"}, "description", id="text where the file says null"),
    ],
)
def test_an_edit_by_hand_is_named_by_its_place(edit, field):
    assert only(CHART, CHART | edit) == Change("charts", "Volume", "u1", "change", (field,))


def test_the_plan_is_a_table_that_names_cannot_break():
    text = to_markdown([Change("charts", "a|b\nc", "u1", "change", ("x", "y|z"))])
    assert text.splitlines()[2:] == ["| charts | a\\|b c | change | x, y\\|z |"]
