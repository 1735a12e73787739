from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from lakehouse.dashboards.grafana.panels import board_panels
from lakehouse.dashboards.grafana.queries import panels, rule_queries
from lakehouse.dashboards.grafana.sources import expression_references
from lakehouse.dashboards.grafana.times import Times

PROMETHEUS = {"type": "prometheus", "uid": "p"}
SEARCH = {"type": "grafana-opensearch-datasource", "uid": "o"}
HOUR = Times(1_700_000_000_000, 1_700_003_600_000)


def target(expr: str = "up", ref_id: str = "A", **more: Any) -> dict[str, Any]:
    return {"refId": ref_id, "expr": expr, **more}


def board(*listed: Any, **more: Any) -> dict[str, Any]:
    return {"uid": "b", "title": "Board", "panels": list(listed), **more}


def panel(*targets: Any, **more: Any) -> dict[str, Any]:
    return {"id": 1, "title": "P", "type": "timeseries", "datasource": PROMETHEUS, "targets": list(targets), **more}


def asked(dashboard: dict[str, Any], **more: Any) -> list[str]:
    return [one.target.get("expr") or one.target.get("query") or "" for one in panels(dashboard, times=HOUR, **more)]


def test_a_query_is_as_the_query_api_wants_it():
    (query,) = panels(board(panel(target("rate(x[$__rate_interval])"), maxDataPoints=500)), times=HOUR)
    assert query.target == {
        "refId": "A",
        "expr": "rate(x[1m])",
        "datasource": PROMETHEUS,
        "intervalMs": 15_000,
        "maxDataPoints": 500,
    }
    assert (query.board, query.board_title, query.panel, query.panel_title, query.ref_id) == ("b", "Board", 1, "P", "A")
    assert (query.kind, query.place, query.sent) == ("panel", ("panels", 0, "targets", 0), True)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("$__interval", "15s"),
        ("${__interval_ms}", "15000"),
        ("[[__rate_interval]]", "1m"),
        ("$__range", "3600s"),
        ("$__range_s", "3600"),
        ("$__range_ms", "3600000"),
        ("$__from", "1700000000000"),
        ("${__to:date:seconds}", "1700003600"),
        ("${__from:date}", "2023-11-14T22:13:20.000Z"),
        ("$1 and $nobody", "$1 and $nobody"),
    ],
)
def test_variables_of_grafana_itself_are_filled_in(text: str, filled: str):
    assert asked(board(panel(target(text)))) == [filled]


def test_an_interval_follows_from_the_range_and_the_points():
    day = Times(0, 86_400_000, points=1000, scrape=15_000)
    (query,) = panels(board(panel(target("[$__interval] [$__rate_interval]"))), times=day)
    assert query.target["expr"] == "[1m] [75s]"
    (own,) = panels(board(panel(target("$__interval"), interval=">10m")), times=day)
    assert own.target["expr"] == "10m"
    (step,) = panels(board(panel(target("$__interval", interval="2h"))), times=day)
    assert (step.target["expr"], step.target["intervalMs"]) == ("2h", 7_200_000)


def test_a_panel_may_have_a_range_of_its_own():
    (query,) = panels(board(panel(target("$__range"), timeFrom="5m", timeShift="1h")), times=HOUR)
    assert (query.target["expr"], query.times.end) == ("300s", HOUR.end - 3_600_000)


def variable(name: str = "v", **more: Any) -> dict[str, Any]:
    return {"templating": {"list": [{"name": name, "type": "custom", **more}]}}


@pytest.mark.parametrize(
    ("told", "text", "filled"),
    [
        pytest.param({"current": {"value": "a.b"}}, "$v", "a.b", id="one value is put in as it is"),
        pytest.param({"current": {"value": "a.b"}, "multi": True}, "$v", r"a\\.b", id="one of several is escaped twice for PromQL"),
        pytest.param({"current": {"value": ["a", "b"]}, "multi": True}, "$v", "(a|b)", id="several are one of"),
        pytest.param({"current": {"value": ["a", "b"]}}, "${v:csv}", "a,b", id="csv"),
        pytest.param({"current": {"value": ["a", "b"]}}, "[[v:pipe]]", "a|b", id="pipe"),
        pytest.param({"current": {"value": ["a.", "b"]}}, "${v:regex}", r"(a\.|b)", id="regex"),
        pytest.param({"current": {"value": ["a", "b"]}}, "${v:raw}", "a,b", id="raw"),
        pytest.param({"current": {"value": ["a", "b"]}}, "${v:glob}", "{a,b}", id="glob"),
        pytest.param({"current": {"value": ["a", "b"]}}, "${v:json}", '["a", "b"]', id="json"),
        pytest.param({"current": {"value": ["a", "b'"]}}, "${v:sqlstring}", "'a','b'''", id="sqlstring"),
        pytest.param({"current": {"value": ["a", "b"]}}, "${v:doublequote}", '"a","b"', id="doublequote"),
        pytest.param({"current": {"value": ["a", "b"]}}, "${v:queryparam}", "var-v=a&var-v=b", id="queryparam"),
        pytest.param({"current": {"value": ["a", "b"]}}, "${v:distributed}", "a,v=b", id="distributed"),
        pytest.param({"current": {"value": ["a", "b"]}}, "${v:percentencode}", "%7Ba%2Cb%7D", id="percentencode"),
        pytest.param({"current": {"text": "A", "value": "a"}}, "${v:text}", "A", id="text"),
        pytest.param({"current": {"value": ["a b", "c"]}}, "${v:lucene}", '("a\\ b" OR "c")', id="lucene"),
        pytest.param({"current": {"value": "$__all"}, "allValue": ".*"}, "$v", ".*", id="all, in the board's own words"),
        pytest.param(
            {"current": {"value": ["$__all"]}, "includeAll": True, "query": "a, b"}, "$v", "(a|b)", id="all, by what there is to choose"
        ),
        pytest.param(
            {"current": {"value": "$__all"}, "includeAll": True, "type": "query"}, "$v", ".+", id="all, of what only a server knows"
        ),
        pytest.param({"current": {}, "type": "query"}, "$v", ".+", id="a query that was never run"),
        pytest.param({"current": {}, "query": "one : 1, two : 2"}, "$v", "1", id="the first one where none is chosen"),
        pytest.param({"type": "constant", "query": "c"}, "$v", "c", id="a constant"),
        pytest.param({"type": "textbox", "query": "t", "current": {"value": ""}}, "$v", "t", id="a text box"),
        pytest.param({"type": "interval", "query": "1m,10m", "current": {"value": "$__auto_interval_v"}}, "$v", "15s", id="an interval"),
    ],
)
def test_a_template_variable_has_the_value_that_the_board_opens_with(told: dict[str, Any], text: str, filled: str):
    assert asked(board(panel(target(text)), **variable(**told)))[-1] == filled


def test_values_that_are_given_win():
    dashboard = board(panel(target("$v")), **variable(current={"value": "a"}))
    assert asked(dashboard, values={"v": "z"}) == ["z"]


def test_variables_in_values_are_filled_in_but_not_for_ever():
    dashboard = board(panel(target("$v")), **variable(current={"value": "$v x"}))
    assert asked(dashboard)[0].endswith(" x x x x x x")


def test_lucene_has_its_own_way_with_several_values():
    dashboard = board(
        {"id": 1, "datasource": SEARCH, "targets": [{"refId": "A", "query": "level:$v"}]}, **variable(current={"value": ["a", "b"]})
    )
    assert asked(dashboard) == ['level:("a" OR "b")']
    empty = board({"id": 1, "datasource": SEARCH, "targets": [{"refId": "A", "query": "level:$v"}]}, **variable(type="query"))
    assert asked(empty) == ["level:*"]


def test_unknown_and_assumed_variables_are_told():
    (query,) = panels(board(panel(target("$nobody ${v} $1 $__rate_interval")), **variable(type="query")), times=HOUR)
    assert (query.unknown, query.assumed) == (("nobody",), ("v",))


def test_rows_and_old_rows_have_their_panels():
    dashboard = board({"type": "row", "panels": [panel(target("a"))]}, panel(target("b")), rows=[{"panels": [panel(target("c"))]}])
    assert asked(dashboard) == ["a", "b", "c"]
    assert next(one.place for one in panels(dashboard)) == ("panels", 0, "panels", 0, "targets", 0)


def test_a_repeated_panel_sees_one_value():
    many = variable(current={"value": ["a", "b"]}, multi=True)
    assert asked(board(panel(target("$v"), repeat="v"), **many)) == ["a"]
    assert asked(board({"type": "row", "repeat": "v", "panels": [panel(target("$v"))]}, **many)) == ["a"]


def test_a_library_panel_is_looked_up():
    named = {"id": 7, "gridPos": {}, "libraryPanel": {"uid": "l"}}
    library = {"l": {"uid": "l", "model": panel(target("lib"), id=1)}}
    (query,) = panels(board(named), library, times=HOUR)
    assert (query.panel, query.target["expr"], query.library, query.place) == (7, "lib", "l", ("targets", 0))
    assert list(panels(board(named), {}, times=HOUR)) == []
    assert [one.missing for one in board_panels(board(named))] == [True]


def test_hidden_queries_are_left_out_unless_an_expression_needs_them():
    total = target("", "C", type="math", expression="$A + ${B}", datasource={"type": "__expr__", "uid": "__expr__"})
    queries = list(
        panels(board(panel(target("a", hide=True), target("b", "B", hide=True), total, target("d", "D", hide=True))), times=HOUR)
    )
    assert [(one.ref_id, one.hidden, one.source.kind, one.sent) for one in queries] == [
        ("A", True, "server", True),
        ("B", True, "server", True),
        ("C", False, "expression", True),
    ]
    assert queries[2].target["expression"] == "$A + ${B}"


@pytest.mark.parametrize(
    ("own", "targets", "found"),
    [
        ({"type": "datasource", "uid": "-- Mixed --"}, PROMETHEUS, ("prometheus", "p", "server")),
        (PROMETHEUS, SEARCH, ("prometheus", "p", "server")),
        (None, SEARCH, ("grafana-opensearch-datasource", "o", "server")),
        (None, None, ("", "", "server")),
        ("Prometheus", None, ("", "Prometheus", "server")),
        ({"type": "datasource", "uid": "-- Dashboard --"}, None, ("datasource", "-- Dashboard --", "dashboard")),
        ({"type": "datasource", "uid": "grafana"}, None, ("datasource", "grafana", "grafana")),
        ("$ds", None, ("prometheus", "chosen", "server")),
        ({"type": "prometheus", "uid": "${ds}"}, None, ("prometheus", "chosen", "server")),
    ],
)
def test_the_data_source_is_the_one_that_grafana_asks(own: Any, targets: Any, found: tuple[str, str, str]):
    chosen = {"templating": {"list": [{"name": "ds", "type": "datasource", "query": "prometheus", "current": {"value": "chosen"}}]}}
    (query,) = panels(board(panel(target(datasource=targets), datasource=own), **chosen), times=HOUR)
    assert (query.source.type, query.source.uid, query.source.kind) == found


def test_annotations_and_variables_are_their_own_kinds():
    dashboard = board(
        templating={"list": [{"name": "v", "type": "query", "datasource": PROMETHEUS, "query": "label_values(up, job)"}]},
        annotations={
            "list": [
                {"name": "Built in", "builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}},
                {"name": "Off", "enable": False, "datasource": PROMETHEUS},
                {"name": "Restarts", "enable": True, "datasource": PROMETHEUS, "expr": "changes(x[$__interval])"},
            ]
        },
    )
    found = [(one.kind, one.panel_title, one.source.kind, one.sent) for one in panels(dashboard, times=HOUR)]
    assert found == [
        ("variable", "v", "server", False),
        ("annotation", "Built in", "grafana", False),
        ("annotation", "Restarts", "server", True),
    ]
    assert list(panels(dashboard, times=HOUR))[2].target["expr"] == "changes(x[15s])"


@pytest.mark.parametrize(
    ("time", "span"),
    [
        ({"from": "now-6h", "to": "now"}, 6 * 3600),
        ({"from": "now-1d/d", "to": "now"}, 86_400),
        ({"from": "2024-01-01T00:00:00Z", "to": "2024-01-01T01:00:00Z"}, 3600),
        ({"from": "soon"}, 6 * 3600),
        (None, 6 * 3600),
    ],
)
def test_the_range_is_what_the_board_opens_with(time: Any, span: int):
    times = Times.of({"time": time}, dt.datetime(2024, 5, 1, tzinfo=dt.UTC))
    assert (times.end - times.start) // 1000 == span


def test_the_queries_of_rules():
    group = {
        "title": "G",
        "rules": [
            {
                "uid": "r",
                "title": "R",
                "condition": "B",
                "data": [
                    {
                        "refId": "A",
                        "datasourceUid": "p",
                        "relativeTimeRange": {"from": 600, "to": 0},
                        "model": {"refId": "A", "expr": "rate(x[$__rate_interval])", "intervalMs": 60_000, "datasource": PROMETHEUS},
                    },
                    {"refId": "B", "datasourceUid": "__expr__", "model": {"type": "threshold", "expression": "A", "conditions": []}},
                ],
            }
        ],
    }
    first, second = rule_queries(group)
    assert (first.group, first.rule, first.rule_title, first.start, first.end, first.condition) == ("G", "r", "R", 600, 0, False)
    assert first.target["expr"] == "rate(x[75s])"
    assert (second.source.kind, second.condition, second.place) == ("expression", True, ("rules", 0, "data", 1))
    assert second.target["expression"] == "A"


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ({"type": "math", "expression": "$A > 1 && ${B}"}, {"A", "B"}),
        ({"type": "reduce", "expression": "A"}, {"A"}),
        ({"type": "threshold", "expression": "$C"}, {"C"}),
        ({"type": "classic_conditions", "conditions": [{"query": {"params": ["A"]}}]}, {"A"}),
        ({"type": "sql", "expression": "SELECT 1"}, set()),
        ({}, set()),
    ],
)
def test_what_an_expression_asks_for(model: dict[str, Any], found: set[str]):
    assert expression_references(model) == found
