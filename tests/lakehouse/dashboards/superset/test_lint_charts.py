from __future__ import annotations

import pytest

from .conftest import DATASET, FILES, Lint, said

VOLUME, SET = "charts/volume.yaml", "datasets/lake/ticks.yaml"
STORED = '{"queries": [{"columns": ["symbol"], "metrics": ["volume"]}]}'


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        pytest.param("- symbol", "- ticker", ["volume.yaml:6 no-such-column"], id="a group by a column that is not there"),
        pytest.param("metric: volume", "metric: turnover", ["volume.yaml:7 no-such-metric"], id="a metric that is not there"),
        pytest.param("metric: volume", "metrics: [volume, turnover]", ["volume.yaml:7 no-such-metric"], id="one metric of several"),
        pytest.param(
            "metric: volume",
            "metric: {expressionType: SIMPLE, column: {column_name: size}}",
            ["volume.yaml:7 no-such-column"],
            id="a metric of its own",
        ),
        pytest.param("subject: at", "subject: time", ["volume.yaml:11 no-such-column"], id="a filter"),
        pytest.param(
            '"columns": ["symbol"]', '"columns": ["ticker"]', ["volume.yaml:14 no-such-column"], id="a column of the stored query"
        ),
        pytest.param(
            '"metrics": ["volume"]', '"metrics": ["turnover"]', ["volume.yaml:14 no-such-metric"], id="a metric of the stored query"
        ),
        pytest.param(
            '"columns": ["symbol"]',
            '"filters": [{"col": "ticker", "op": "==", "val": 1}]',
            ["volume.yaml:14 no-such-column"],
            id="a filter of the stored query",
        ),
        pytest.param("  viz_type: pie\n  groupby", "  viz_type: table\n  groupby", ["volume.yaml:4 stale"], id="two chart types"),
    ],
)
def test_what_a_chart_names_is_in_its_dataset(broken: Lint, old: str, new: str, found: list[str]):
    assert said(broken(VOLUME, old, new)) == found


def test_a_filter_of_time_that_lets_all_through_is_only_a_warning(broken: Lint):
    changed = "subject: time\n    operator: TEMPORAL_RANGE\n    comparator: No filter"
    findings = broken(VOLUME, "subject: at\n    operator: TEMPORAL_RANGE\n    comparator: Last week", changed)
    assert [finding.severity for finding in findings] == ["warning"]
    assert "leaves the filter out" in findings[0].message


def test_a_stored_query_of_an_earlier_state_is_a_warning(broken: Lint):
    stored = '{"queries": [], "form_data": {"viz_type": "pie", "metric": "volume", "groupby": []}}'
    (finding,) = broken(VOLUME, STORED, stored)
    assert (finding.rule, finding.severity, finding.line) == ("stale", "warning", 14)
    assert "groupby" in finding.message
    assert broken(VOLUME, STORED, stored.replace('"groupby": []', '"groupby": ["symbol"]')) == []


def test_a_metric_of_its_own_is_compared_by_what_people_see_of_it(broken: Lint):
    stored = '{"form_data": {"metric": {"label": "V", "optionName": "metric_1"}}}'
    text = FILES[VOLUME].replace(STORED, stored).replace("metric: volume", "metric: {label: V, optionName: metric_2}")
    assert broken(VOLUME, "", text) == []


def test_names_with_jinja_calculated_columns_and_saved_metrics_in_filters_are_known(broken: Lint):
    for old, new in (("- symbol", "- '{{ column }}'"), ("- symbol", "- big")):
        assert broken(VOLUME, old, new) == []
    assert broken(VOLUME, '"columns": ["symbol"]', '"filters": [{"col": "volume", "op": ">", "val": 1}]') == []


def test_the_other_face_of_a_table_of_rows_is_not_looked_at(broken: Lint):
    rows = "  query_mode: raw\n  all_columns: [symbol]\n  metrics: [gone]\n"
    assert broken(VOLUME, "  groupby:\n  - symbol\n", f"{rows}  groupby:\n  - gone\n") == []
    assert said(broken(VOLUME, "  groupby:\n  - symbol\n", rows.replace("symbol", "ticker"))) == ["volume.yaml:6 no-such-column"]


def test_a_dataset_without_a_list_of_columns_is_not_held_against_a_chart(broken: Lint):
    before, rest = FILES[SET].split("columns:\n")
    assert broken(SET, "", f"{before}columns: []\n{rest[rest.index('database_uuid') :]}") == []


def test_a_table_that_draws_html_is_warned_of_in_our_own_folder(broken: Lint):
    change = (VOLUME, "viz_type: pie\nparams:\n  viz_type: pie\n", "viz_type: table\nparams:\n  viz_type: table\n")
    assert broken(*change) == []
    assert [finding.rule for finding in broken(*change, variables={})] == ["html"]
    assert broken(change[0], change[1], f"{change[2]}  allow_render_html: false\n", variables={}) == []


@pytest.mark.parametrize(
    "text",
    [
        "params: []",
        "params: {metrics: 5, groupby: {a: 1}, adhoc_filters: [1, {}]}",
        "query_context: '[1]'",
        'query_context: \'{"queries": [1, {"metrics": [1], "filters": [{}], "columns": 5}], "form_data": 1}\'',
    ],
)
def test_a_chart_of_any_shape_is_no_crash(broken: Lint, text: str):
    broken(VOLUME, "", f"{text}\ndataset_uuid: {DATASET}\n")
