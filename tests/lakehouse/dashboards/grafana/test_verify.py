from __future__ import annotations

from typing import Any

import pytest

from lakehouse.dashboards.grafana.pull import patch
from lakehouse.dashboards.grafana.verify import verify
from lakehouse.dashboards.objects import Key
from lakehouse.dashboards.plan import Action
from lakehouse.dashboards.results import BoardResult
from tests.lakehouse.dashboards.grafana.folder import FILES, Grafana, board, panel


class Answer:
    """What a data source gave."""

    def __init__(self, rows: int, error: str | None = None) -> None:
        values = [list(range(rows)), list(range(rows))]
        fields = [{"name": "time", "type": "time"}, {"name": "value", "type": "number"}]
        self.frames: list[dict[str, Any]] = [{"schema": {"fields": fields}, "data": {"values": values}}]
        self.error = error


def results(grafana: Grafana, answers: dict[str, Answer]) -> dict[str, BoardResult]:
    """How each board fared when these expressions answer so, and every other one with three rows."""
    grafana.server.state.query = lambda query, _start, _end: answers.get(str(query.get("expr")), Answer(3))
    target = grafana.target()
    return {board.name: board for board in verify(grafana.client, target.documents)}


def test_every_panel_rule_and_data_source_is_asked(grafana):
    grafana.apply()
    found = results(grafana, {})
    assert {name: [chart.name for chart in board.charts] for name, board in found.items()} == {
        "One": ["first", "second"],
        "Two": ["Shared"],
        "alert rules t rules": ["Rule one"],
        "data sources": ["T Prometheus"],
    }
    assert not [board for board in found.values() if board.failed]
    assert found["One"].url.endswith("/d/t-one")


def test_a_panel_without_data_and_one_with_an_error_are_named(grafana):
    nothing_is_fine = panel(3, "third", "quiet")
    nothing_is_fine["fieldConfig"]["defaults"]["noValue"] = "no errors"
    panels = panel(1, "first", "refused"), panel(2, "second", "gone"), nothing_is_fine
    grafana.put("dashboards/t/one.json", board("t-one", "One", *panels))
    grafana.apply()
    one = results(grafana, {"refused": Answer(0, "parse error"), "gone": Answer(0), "quiet": Answer(0)})["One"]
    assert [(chart.name, chart.error) for chart in one.failed] == [("first", "parse error"), ("second", "")]


def test_a_data_source_that_is_not_well_is_named_in_its_own_words(grafana):
    grafana.apply()
    grafana.server.break_health("t-prometheus", "Bad Gateway")
    (chart,) = results(grafana, {})["data sources"].failed
    assert chart.name == "T Prometheus"
    assert chart.error.startswith("Bad Gateway")


def test_edits_by_hand_become_a_patch_of_just_these_lines(grafana):
    grafana.apply()
    live = grafana.by_hand("GET", "/api/dashboards/uid/t-one")["dashboard"]
    live["panels"][0]["fieldConfig"]["defaults"]["unit"] = "percentunit"
    grafana.edit_board("t-one", panels=live["panels"])
    source = grafana.by_hand("GET", "/api/datasources/uid/t-prometheus")
    grafana.by_hand("PUT", "/api/datasources/uid/t-prometheus", {**source, "jsonData": {"timeInterval": "30s"}})
    drifted = [change.key for change in grafana.plan().of(Action.DRIFTED)]
    base = {key: entry.content for key, entry in grafana.memory.record().applied.items()}
    text, left = patch(grafana.target(), grafana.root, [*drifted, Key("dashboards", "gone")], base, grafana.root)
    assert [line.strip() for line in text.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")] == [
        '-    "timeInterval": "15s"',
        '+    "timeInterval": "30s"',
        '-          "unit": "short"',
        '+          "unit": "percentunit"',
    ]
    assert "s3cret" not in text
    assert left == [Key("dashboards", "gone")]


@pytest.mark.parametrize("path", [path for path in FILES if path.startswith(("folders", "dashboards/t/one"))])
def test_a_file_that_says_what_is_live_makes_no_patch(grafana, path):
    grafana.apply()
    base = {key: entry.content for key, entry in grafana.memory.record().applied.items()}
    (key,) = [key for key, one in grafana.target().wanted().items() if one.path == path]
    assert patch(grafana.target(), grafana.root, [key], base, grafana.root) == ("", [])
