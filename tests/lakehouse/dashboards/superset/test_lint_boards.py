from __future__ import annotations

import pytest

from .conftest import CHART, DATASET, Lint, said

BOARD = "dashboards/board.yaml"


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        pytest.param("children: [CHART-a]", "children: []", ["board.yaml:14 layout"], id="a place that no other has as its child"),
        pytest.param("children: [GRID_ID]", "children: []", ["board.yaml:14 layout"], id="a tree that is cut above it"),
        pytest.param("children: [CHART-a]", "children: [CHART-a, CHART-b]", ["board.yaml:12 layout"], id="a child that has no place"),
        pytest.param("parents: [ROOT_ID, GRID_ID]", "parents: [ROW-9]", ["board.yaml:18 layout"], id="a parent that has no place"),
        pytest.param("id: CHART-a", "id: CHART-b", ["board.yaml:16 layout"], id="an id that is not its key"),
        pytest.param("    type: CHART\n", "", ["board.yaml:14 layout"], id="a place without a type"),
        pytest.param(f"      uuid: {CHART}\n", "", ["board.yaml:19 dangling"], id="a place that names no chart"),
        pytest.param(
            "metadata:\n",
            "metadata:\n  timed_refresh_immune_slices: [7]\n",
            ["board.yaml:23 dangling"],
            id="the number of a chart that is not here",
        ),
        pytest.param("metadata:\n", "metadata:\n  expanded_slices: {'7': true}\n", ["board.yaml:23 dangling"], id="a number as a key"),
        pytest.param(f"datasetUuid: {DATASET}", "datasetId: 7", ["board.yaml:28 dangling"], id="a filter that names its dataset by number"),
        pytest.param("name: symbol", "name: ticker", ["board.yaml:29 no-such-column"], id="a filter on a column that is not there"),
    ],
)
def test_a_fault_of_a_board_is_found_in_its_line(broken: Lint, old: str, new: str, found: list[str]):
    assert said(broken(BOARD, old, new)) == found


def test_what_superset_itself_puts_right_is_only_a_warning(broken: Lint):
    for old, new in (("parents: [ROOT_ID, GRID_ID]", "parents: [ROW-9]"), ("children: [CHART-a]", "children: [CHART-a, CHART-b]")):
        assert [finding.severity for finding in broken(BOARD, old, new)] == ["warning"]


def test_numbers_of_charts_that_have_a_place_are_known(broken: Lint):
    place = f"      uuid: {CHART}\n"
    text = "metadata:\n  timed_refresh_immune_slices: [7]\n  expanded_slices: {'7': true}\n"
    assert said(broken(BOARD, f"{place}      sliceName: Volume\nmetadata:\n", f"{place}      chartId: 7\n{text}")) == []


def test_a_filter_of_time_needs_no_dataset(broken: Lint):
    target = f"- datasetUuid: {DATASET}\n      column:\n        name: symbol\n"
    assert broken(BOARD, target, "- {}\n") == []


@pytest.mark.parametrize(
    "text",
    [
        "position: []",
        "position: {}",
        "position: {ROOT_ID: 7, A: {type: CHART}}",
        "metadata: 5",
        "metadata: {native_filter_configuration: {a: 1}}",
        "metadata: {native_filter_configuration: [1, {targets: [2, {column: 3, datasetUuid: [4]}]}]}",
    ],
)
def test_a_board_of_any_shape_is_no_crash(broken: Lint, text: str):
    broken(BOARD, "", text)
