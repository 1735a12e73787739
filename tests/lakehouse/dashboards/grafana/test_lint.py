from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.dashboards.__main__ import main
from lakehouse.dashboards.grafana.lint import lint, read_metrics

REPOSITORY = Path(__file__).resolve().parents[4]
OURS = REPOSITORY / "include/dashboards/grafana"
PROMETHEUS = {"type": "prometheus", "uid": "p"}
SEARCH = {"type": "grafana-opensearch-datasource", "uid": "o"}
SPAN = {"from": 600, "to": 0}
HOOK = "https://hooks.slack.com/services/T0000000/B0000000/abcdefghijkl"
FILES: dict[str, Any] = {
    "folders/f.json": {"uid": "f", "title": "F", "permissions": [{"role": "Viewer", "permission": 1}]},
    "data_sources/p.json": {"uid": "p", "name": "P", "type": "prometheus", "jsonData": {"timeInterval": "15s"}},
    "data_sources/o.json": {"uid": "o", "name": "O", "type": SEARCH["type"], "secureJsonData": {"basicAuthPassword": "${PASSWORD}"}},
    "library_panels/l.json": {
        "uid": "l", "name": "L", "kind": 1, "folderUid": "f",
        "model": {"type": "stat", "title": "L", "datasource": PROMETHEUS, "targets": [{"refId": "A", "expr": "up"}]},
    },
    "dashboards/f/b.json": {
        "uid": "b",
        "title": "B",
        "templating": {"list": [{"name": "v", "type": "query", "datasource": PROMETHEUS, "query": "label_values(up, job)"}]},
        "panels": [
            {
                "id": 1, "type": "timeseries", "title": "One", "datasource": PROMETHEUS, "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8},
                "targets": [{"refId": "A", "datasource": PROMETHEUS, "expr": "rate(x{job=~\"$v\"}[$__rate_interval])"}],
            },
            {
                "id": 2, "type": "logs", "title": "Two", "datasource": SEARCH, "gridPos": {"x": 12, "y": 0, "w": 12, "h": 8},
                "targets": [{"refId": "A", "query": "level:ERROR AND at:[1 TO 5} AND x:/a(b/"}],
            },
            {"id": 3, "gridPos": {"x": 0, "y": 8, "w": 24, "h": 8}, "libraryPanel": {"uid": "l", "name": "L"}},
        ],
    },
    "mute_timings/m.json": {
        "name": "M", "time_intervals": [{"times": [{"start_time": "01:00", "end_time": "24:00"}], "weekdays": ["monday:friday"]}],
    },
    "contact_points/c.json": {"uid": "c", "name": "C", "type": "slack", "settings": {"url": "${HOOK}", "title": "{{ template \"a\" . }}"}},
    "notification_policies/n.json": {
        "receiver": "C", "object_matchers": [["team", "=", "t"]], "mute_time_intervals": ["M"], "repeat_interval": "4h",
    },
    "rule_groups/g.json": {
        "folderUid": "f",
        "title": "G",
        "interval": 60,
        "rules": [
            {
                "uid": "r", "title": "R", "condition": "B", "for": "5m", "noDataState": "OK", "execErrState": "Error",
                "labels": {"team": "t"},
                "annotations": {"summary": "{{ $values.B.Value }}", "__dashboardUid__": "b", "__panelId__": "1"},
                "data": [
                    {"refId": "A", "datasourceUid": "p", "relativeTimeRange": SPAN, "model": {"refId": "A", "expr": "up"}},
                    {"refId": "B", "datasourceUid": "__expr__", "model": {"type": "threshold", "expression": "A"}},
                ],
            }
        ],
    },
}  # fmt: skip
BOARD, GROUP, POINT, POLICY, TIMING = (
    "dashboards/f/b.json", "rule_groups/g.json", "contact_points/c.json", "notification_policies/n.json", "mute_timings/m.json",
)  # fmt: skip
GONE = object()
Change = tuple[str, tuple[Any, ...], Any]


def write(root: Path, files: dict[str, Any]) -> Path:
    for name, document in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document, indent=1))
    return root


def changed(*changes: Change) -> dict[str, Any]:
    files = copy.deepcopy(FILES)
    for name, place, value in changes:
        if not place:
            files[name] = value
            continue
        owner = files[name]
        for step in place[:-1]:
            owner = owner[step]
        if value is GONE:
            del owner[place[-1]]
        elif isinstance(owner, list) and place[-1] == len(owner):
            owner.append(value)
        else:
            owner[place[-1]] = value
    return files


@pytest.fixture
def rules(tmp_path: Path) -> Callable[..., list[str]]:
    def run(*changes: Change, metrics: frozenset[str] | None = None) -> list[str]:
        findings = lint(write(tmp_path, changed(*changes)), metrics)
        return [f"{'' if one.severity == 'error' else one.severity + ' '}{one.rule} {Path(one.path).name}:{one.line}" for one in findings]

    return run


def test_a_whole_folder_has_no_finding(rules):
    assert rules() == []


def test_our_own_files_have_no_finding():
    assert [str(one) for one in lint(OURS)] == []


PANEL, QUERY, RULE = ("panels", 0), ("panels", 0, "targets", 0, "expr"), ("rules", 0)


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param((BOARD, (), "{\n"), "json b.json:2", id="a file that ends in the middle"),
        pytest.param((BOARD, (), ""), "json b.json:1", id="an empty file"),
        pytest.param((BOARD, (), "[]"), "json b.json:1", id="a list"),
        pytest.param((BOARD, (), '{"a": NaN}'), "json b.json:1", id="a number that JSON does not have"),
        pytest.param((BOARD, (), "[" * 100_000), "json b.json:1", id="nested without end"),
        pytest.param((BOARD, (), '{"title": "B",\n "title": "C", "uid": "b"}'), "warning doubled-key b.json:2", id="a key twice"),
        pytest.param((BOARD, (), " " * (6 << 20)), "too-large b.json:1", id="a huge file"),
        pytest.param((BOARD, (), {"apiVersion": "dashboard.grafana.app/v2beta1", "spec": {}}), "v2 b.json:2", id="the new format"),
        pytest.param((BOARD, (), {"title": "x", "elements": {}, "layout": {}}), "v2 b.json:3", id="the new format by itself"),
        pytest.param((BOARD, (), {"dashboard": {"uid": "b", "title": "B"}}), "wrapped b.json:2", id="an answer of the API"),
        pytest.param(
            (BOARD, (), {"apiVersion": "dashboard.grafana.app/v1", "spec": {"uid": "b", "title": "B"}}), "wrapped b.json:2", id="a resource"
        ),
        pytest.param((BOARD, ("title",), ""), "title b.json:3", id="no title"),
        pytest.param((BOARD, ("uid",), GONE), "uid b.json:1", id="no uid"),
        pytest.param((BOARD, ("uid",), "a b"), "uid b.json:2", id="a uid with a blank"),
        pytest.param((BOARD, ("uid",), "a" * 41), "uid b.json:2", id="a uid of 41 letters"),
        pytest.param((BOARD, ("id",), 7), "warning server-field b.json:78", id="a server's id"),
        pytest.param((BOARD, ("version",), 7), "warning server-field b.json:78", id="a server's version"),
        pytest.param((BOARD, ("tittle",), "x"), "warning unknown-key b.json:78", id="an unknown key"),
        pytest.param((BOARD, ("__inputs",), [{"name": "DS"}]), "inputs b.json:78", id="the form for sharing"),
        pytest.param(("dashboards/f/c.json", (), {"uid": "b", "title": "C"}), "doubled c.json:2", id="a uid twice"),
        pytest.param(("dashboards/f/c.json", (), {"uid": "c", "title": "B"}), "warning doubled c.json:3", id="a title twice"),
        pytest.param(("dashboards/x/c.json", (), {"uid": "c", "title": "C"}), "dangling c.json:1", id="a folder that is not there"),
        pytest.param(("dashboards/f/x/c.json", (), {"uid": "c", "title": "C"}), "path c.json:1", id="a folder in a folder"),
        pytest.param(("other/c.json", (), {}), "warning path c.json:1", id="a folder that nobody reads"),
        pytest.param((BOARD, (*PANEL, "id"), GONE), "warning panel-id b.json:18", id="a panel without an id"),
        pytest.param((BOARD, (*PANEL, "id"), 2), "warning panel-id b.json:44", id="a panel's id twice"),
        pytest.param((BOARD, (*PANEL, "title"), GONE), "warning panel-title b.json:18", id="a panel without a title"),
        pytest.param((BOARD, (*PANEL, "type"), GONE), "panel-type b.json:18", id="a panel without a type"),
        pytest.param((BOARD, (*PANEL, "type"), "graph"), "warning removed-panel b.json:20", id="a panel that was replaced"),
        pytest.param((BOARD, (*PANEL, "type"), "vonage-status-panel"), "removed-panel b.json:20", id="a panel that is gone"),
        pytest.param((BOARD, (*PANEL, "datasource"), "P"), "warning data-source b.json:22", id="a data source by name"),
        pytest.param((BOARD, ("panels", 1, "datasource"), GONE), "warning data-source b.json:43", id="no data source"),
        pytest.param((BOARD, (*PANEL, "datasource", "uid"), "x"), "data-source b.json:33", id="an unknown data source"),
        pytest.param((BOARD, (*PANEL, "gridPos", "w"), 13), "warning layout b.json:51", id="a panel over another"),
        pytest.param((BOARD, ("panels", 1, "gridPos", "w"), 13), "warning layout b.json:51", id="a panel past the last column"),
        pytest.param((BOARD, (*PANEL, "gridPos"), GONE), "warning layout b.json:18", id="a panel without a place"),
        pytest.param((BOARD, (*PANEL, "gridPos", "h"), 0), "warning layout b.json:26", id="a panel without height"),
        pytest.param((BOARD, ("panels", 2, "libraryPanel", "uid"), "x"), "library-panel b.json:73", id="a library panel not there"),
        pytest.param((BOARD, QUERY, 'up{job=~"$v", x="$w"}'), "warning variable b.json:39", id="an unknown variable in a text"),
        pytest.param((BOARD, QUERY, "up{job=~\"$v\"} + $w"), "variable b.json:39", id="an unknown variable that breaks PromQL"),
        pytest.param((BOARD, QUERY, "up"), "warning unused-variable b.json:7", id="a variable that nothing uses"),
        pytest.param((BOARD, (*PANEL, "repeat"), "w"), "warning variable b.json:42", id="repeated for nothing"),
        pytest.param((BOARD, QUERY, "sum(up{job=~\"$v\"}"), "promql b.json:39", id="PromQL that is not closed"),
        pytest.param((BOARD, QUERY, "nope(up{job=\"$v\"})"), "promql b.json:39", id="an unknown function"),
        pytest.param((BOARD, QUERY, "rate(up{job=\"$v\"}[20s])"), "warning rate-window b.json:39", id="a window of one scrape"),
        pytest.param((BOARD, ("panels", 1, "targets", 0, "query"), "a:(b"), "lucene b.json:60", id="Lucene that is not closed"),
        pytest.param((BOARD, ("panels", 1, "targets", 0, "query"), 'a:"b'), "lucene b.json:60", id="a quote that is not closed"),
        pytest.param((BOARD, ("panels", 1, "targets", 0, "query"), "a:b)"), "lucene b.json:60", id="Lucene that closes nothing"),
        pytest.param((GROUP, ("interval",), 15), "rule-group g.json:4", id="an interval of 15 seconds"),
        pytest.param((GROUP, ("folderUid",), "x"), "dangling g.json:2", id="rules in a folder that is not there"),
        pytest.param((GROUP, ("title",), ""), "rule-group g.json:3", id="a group without a title"),
        pytest.param((GROUP, (*RULE, "for"), "5 min"), "duration g.json:10", id="a for that is no duration"),
        pytest.param((GROUP, (*RULE, "for"), "30s"), "warning duration g.json:10", id="a for below the interval"),
        pytest.param((GROUP, (*RULE, "condition"), "C"), "expression g.json:9", id="a condition that is no query"),
        pytest.param((GROUP, (*RULE, "data", 1, "model", "expression"), "X"), "expression g.json:39", id="an expression of nothing"),
        pytest.param((GROUP, (*RULE, "data", 1, "model", "expression"), "B"), "expression g.json:39", id="an expression of itself"),
        pytest.param((GROUP, (*RULE, "data", 1, "refId"), "A"), "expression g.json:35", id="a refId twice"),
        pytest.param((GROUP, (*RULE, "data"), []), "rule g.json:21", id="a rule without a query"),
        pytest.param((GROUP, (*RULE, "data", 0, "relativeTimeRange", "from"), 0), "expression g.json:25", id="a query of no time"),
        pytest.param((GROUP, (*RULE, "data", 0, "datasourceUid"), "x"), "data-source g.json:24", id="a rule's unknown data source"),
        pytest.param((GROUP, (*RULE, "data", 0, "model", "expr"), "up{"), "promql g.json:31", id="a rule's broken PromQL"),
        pytest.param((GROUP, (*RULE, "noDataState"), "Fine"), "rule g.json:11", id="an unknown state of no data"),
        pytest.param((GROUP, (*RULE, "execErrState"), "Fine"), "rule g.json:12", id="an unknown state of errors"),
        pytest.param((GROUP, (*RULE, "labels", "team"), "{{ $labels.x"), "template g.json:14", id="a template that is not closed"),
        pytest.param((GROUP, (*RULE, "annotations", "summary"), "{{ $values.X }}"), "warning template g.json:17", id="an unknown value"),
        pytest.param((GROUP, (*RULE, "annotations", "__panelId__"), GONE), "rule g.json:16", id="a board without its panel"),
        pytest.param((GROUP, (*RULE, "annotations", "__panelId__"), "8"), "warning dangling g.json:19", id="a panel that is not there"),
        pytest.param((GROUP, (*RULE, "annotations", "__dashboardUid__"), "x"), "warning dangling g.json:18", id="a board not there"),
        pytest.param((GROUP, (*RULE, "uid"), "a/b"), "uid g.json:7", id="a rule's uid"),
        pytest.param((GROUP, (*RULE, "title"), ""), "rule g.json:8", id="a rule without a title"),
        pytest.param((GROUP, ("rules", 1), FILES[GROUP]["rules"][0]), "doubled g.json:45", id="a rule's uid twice"),
        pytest.param((POINT, ("type",), "pigeon"), "warning contact-point c.json:4", id="an unknown contact point"),
        pytest.param((POINT, ("settings", "url"), ""), "contact-point c.json:5", id="a setting that is missing"),
        pytest.param((POINT, ("name",), ""), "contact-point c.json:3", id="a contact point without a name"),
        pytest.param((POINT, ("settings", "title"), "{{ a"), "template c.json:7", id="a contact point's template"),
        pytest.param((POINT, ("settings", "url"), HOOK), "secret c.json:6", id="a webhook"),
        pytest.param((POINT, ("settings", "token"), "abc"), "secret c.json:8", id="a token"),
        pytest.param(("data_sources/o.json", ("secureJsonData", "basicAuthPassword"), "x1"), "secret o.json:6", id="a password"),
        pytest.param(("data_sources/o.json", ("url",), "http://u:hunter2@h"), "secret o.json:8", id="a password in an address"),
        pytest.param((BOARD, (*PANEL, "title"), HOOK), "secret b.json:21", id="a webhook in a board"),
        pytest.param((POLICY, ("receiver",), "X"), "dangling n.json:2", id="a receiver that is not there"),
        pytest.param((POLICY, ("mute_time_intervals", 0), "X"), "dangling n.json:11", id="a mute timing that is not there"),
        pytest.param((POLICY, ("object_matchers",), []), "policy n.json:3", id="a policy that takes everything"),
        pytest.param((POLICY, ("object_matchers", 0, 1), "~"), "policy n.json:4", id="an unknown operator"),
        pytest.param((POLICY, ("object_matchers", 0), ["a", "=~", "("]), "policy n.json:4", id="a matcher's broken pattern"),
        pytest.param((POLICY, ("repeat_interval",), "0s"), "duration n.json:13", id="an interval of nothing"),
        pytest.param((POLICY, ("group_by",), ["...", "a"]), "policy n.json:14", id="grouped by all and one"),
        pytest.param((POLICY, ("routes",), [{"receiver": "X"}]), "dangling n.json:16", id="a child's receiver"),
        pytest.param((TIMING, ("time_intervals", 0, "times", 0, "end_time"), "00:30"), "mute-timing m.json:6", id="past midnight"),
        pytest.param((TIMING, ("time_intervals", 0, "times", 0, "end_time"), "3 pm"), "mute-timing m.json:6", id="no time"),
        pytest.param((TIMING, ("time_intervals", 0, "weekdays", 0), "funday"), "mute-timing m.json:12", id="no day"),
        pytest.param((TIMING, ("time_intervals", 0, "location"), "here!"), "mute-timing m.json:14", id="no zone"),
        pytest.param((TIMING, ("time_intervals",), []), "warning mute-timing m.json:3", id="a mute timing of nothing"),
        pytest.param(("folders/f.json", ("permissions", 0, "permission"), 3), "permission f.json:7", id="an unknown permission"),
        pytest.param(("folders/f.json", ("permissions", 0, "role"), "Boss"), "permission f.json:6", id="an unknown role"),
        pytest.param(("folders/f.json", ("permissions", 0, "user"), "kim"), "permission f.json:5", id="a permission of two"),
        pytest.param(("folders/f.json", ("title",), ""), "title f.json:3", id="a folder without a title"),
        pytest.param(("library_panels/l.json", ("model",), GONE), "library-panel l.json:1", id="a library panel without a model"),
        pytest.param(("data_sources/p.json", ("name",), "O"), "doubled p.json:3", id="a data source's name twice"),
        pytest.param(("data_sources/p.json", ("jsonData", "tlsSkipVerify"), True), "warning data-source p.json:7", id="TLS not verified"),
    ],
)  # fmt: skip
def test_a_fault_is_found_in_its_line(rules, change: Change, found: str):
    assert found in rules(change)


def test_metrics_that_nobody_exports_are_found_where_a_list_is_given(rules):
    assert rules(metrics=frozenset(("x", "up"))) == []
    assert rules(metrics=read_metrics("# HELP x y\nup 1\n")) == ["no-such-metric b.json:39"]


def test_other_peoples_boards_may_refer_to_what_is_elsewhere(tmp_path: Path):
    board = changed()[BOARD]
    board["panels"][2]["libraryPanel"]["uid"] = "x"
    assert lint(write(tmp_path, {"b.json": board, "package.json": {"name": "x"}})) == lint(tmp_path / "b.json") + lint(
        tmp_path / "package.json"
    )
    assert [one.rule for one in lint(tmp_path)] == ["unknown-kind"]


def test_a_secret_is_not_said(tmp_path: Path):
    findings = lint(write(tmp_path, changed((POINT, ("settings", "url"), HOOK), (BOARD, ("description",), "http://u:hunter2@h"))))
    assert len(findings) == 2
    assert not any("abcdefghijkl" in str(one) or "hunter2" in str(one) for one in findings)


def test_a_variable_whose_values_a_server_knows_may_be_anything(rules):
    for text in ("rate(up[$v])", "$v{a='b'}", "topk($v, up)", "sum by ($v) (up)"):
        assert rules((BOARD, QUERY, text)) == []


def test_a_link_that_leads_out_is_not_followed(tmp_path: Path):
    (tmp_path / "secret.json").write_text("{}")
    root = write(tmp_path / "root", FILES)
    (root / "folders/out.json").symlink_to(tmp_path / "secret.json")
    assert [(one.rule, Path(one.path).name) for one in lint(root)] == [("path", "out.json")]


def test_the_command_takes_what_is_in_the_folder(tmp_path: Path, capsys):
    assert main(["lint", str(write(tmp_path, FILES))]) == 0
    write(tmp_path, changed((GROUP, ("interval",), 15)))
    (tmp_path / "metrics.txt").write_text("up\n")
    assert main(["lint", str(tmp_path), "--metrics", str(tmp_path / "metrics.txt")]) == 1
    said = capsys.readouterr().out
    assert "g.json:4: `interval` is 15" in said
    assert "asks for x, which nobody exports" in said
    assert main(["lint", str(tmp_path / "gone")]) == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["$v", "[[", "A", "-1h"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["uid", "type", "name", "refId"]), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
REAL = {
    path.relative_to(OURS).as_posix(): json.loads(path.read_text())
    for path in OURS.rglob("*.json")
    if path.stem in ("logs", "lakehouse", "email", "maintenance", "disk-used", "prometheus")
}


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, child in children for place in places(child, (*at, key)))]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_input_crashes_the_lint(tmp_path: Path, data: st.DataObject):
    files = copy.deepcopy(REAL)
    for _ in range(data.draw(st.integers(1, 6))):
        name = data.draw(st.sampled_from(sorted(files)))
        place = data.draw(st.sampled_from(places(files[name])))
        value = data.draw(VALUES)
        if not place:
            files[name] = value
            continue
        owner = files[name]
        for step in place[:-1]:
            owner = owner[step]
        owner[place[-1]] = value
    for one in lint(write(tmp_path, {name: json.dumps(document) for name, document in files.items()})):
        assert one.line >= 1
