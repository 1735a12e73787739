"""The files of Grafana, held against Grafana's own Foundation SDK, and what its models do not say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import alerting, elasticsearch, librarypanel
from grafana_foundation_sdk.models.dashboard import Dashboard

INCLUDE = Path(__file__).resolve().parents[2] / "include"
FOLDER = INCLUDE / "dashboards" / "grafana"
BOARDS = sorted(FOLDER.glob("dashboards/*/*.json"))
MODELS: dict[str, Any] = {
    "dashboards": Dashboard,
    "library_panels": librarypanel.LibraryPanel,
    "contact_points": alerting.ContactPoint,
    "notification_policies": alerting.NotificationPolicy,
    "rule_groups": alerting.RuleGroup,
}
# What Grafana writes and these models of the SDK do not have, with where Grafana has it (grafana/grafana).
UNKNOWN_TO_THE_SDK = {
    "/templating/list/*/definition",  # public/app/features/dashboard-scene/serialization/sceneVariablesSetToVariables.ts
    "/rules/*/data/*/model/intervalMs",  # pkg/services/ngalert/models/alert_query.go
    "/rules/*/data/*/model/maxDataPoints",
    "/kind",  # pkg/services/libraryelements/model/model.go, CreateLibraryElementCommand
}
PANELS = ("timeseries", "stat", "gauge", "bargauge", "piechart", "barchart", "table", "logs", "state-timeline", "library-panel-ref", "row")
# src/types.ts of grafana/opensearch-datasource 2.34.2
OF_OPENSEARCH = {
    "alias", "bucketAggs", "datasource", "format", "hide", "index", "isLogsQuery", "luceneQueryType", "metrics", "query", "queryType",
    "refId", "timeField",
}  # fmt: skip

register_default_plugins()


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def lost(sent: Any, back: Any, place: str = "") -> Iterator[str]:
    """Where `back` has not what `sent` has; that a model adds its defaults is no loss."""
    if isinstance(sent, dict) and isinstance(back, dict):
        for key, value in sent.items():
            if key in back:
                yield from lost(value, back[key], f"{place}/{key}")
            else:
                yield f"{place}/{key}"
    elif isinstance(sent, list) and isinstance(back, list) and len(sent) == len(back):
        for one, other in zip(sent, back, strict=True):
            yield from lost(one, other, f"{place}/*")
    elif sent != back:
        yield f"{place}: {sent!r} became {back!r}"


def through(model: Any, document: Any) -> Any:
    return json.loads(JSONEncoder().encode(model.from_json(document)))


def panels_of(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [inner for panel in board["panels"] for inner in (panel, *panel.get("panels", []))]


def with_queries() -> list[Any]:
    found = [
        pytest.param(panel, id=f"{path.stem}-{panel['title']}")
        for path in BOARDS
        for panel in panels_of(read(path))
        if panel["type"] not in ("row", "library-panel-ref")
    ]
    return found + [pytest.param(read(path)["model"], id=path.stem) for path in sorted(FOLDER.glob("library_panels/*.json"))]


@pytest.mark.parametrize("path", [path for kind in MODELS for path in sorted((FOLDER / kind).rglob("*.json"))], ids=lambda path: path.stem)
def test_grafanas_own_models_read_a_file_and_lose_nothing(path: Path) -> None:
    document = read(path)
    back = through(MODELS[path.relative_to(FOLDER).parts[0]], document)
    assert set(lost(document, back)) <= UNKNOWN_TO_THE_SDK


def test_a_key_that_grafana_does_not_have_is_found() -> None:
    board = read(FOLDER / "dashboards/lakehouse/logs.json")
    panel = board["panels"][0]
    board["refreshes"] = panel["fieldConfig"]["defaults"]["units"] = panel["options"]["graphmode"] = "x"
    found = set(lost(board, through(Dashboard, board)))
    assert {"/refreshes", "/panels/*/fieldConfig/defaults/units", "/panels/*/options/graphmode"} <= found


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.json")), ids=lambda path: path.stem)
def test_a_file_is_written_as_grafana_exports_it(path: Path) -> None:
    text = path.read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_board_says_what_every_board_of_ours_says(path: Path) -> None:
    board = read(path)
    assert board["uid"] == f"lakehouse-{path.stem}"
    assert board["description"]
    assert "lakehouse" in board["tags"]
    assert board["timezone"] == "utc"
    assert not board.keys() & {"id", "version", "__inputs", "__requires", "__elements", "apiVersion"}
    deploys = [one["target"]["tags"] for one in board["annotations"]["list"] if "target" in one]
    assert deploys == [["lakehouse-deploy"]]
    assert any(link["type"] == "dashboards" and link["tags"] == ["lakehouse"] for link in board["links"])


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_panels_lie_in_the_grid_and_on_no_other(path: Path) -> None:
    panels = panels_of(read(path))
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for cell in [(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])]:
            assert taken.setdefault(cell, panel["title"]) == panel["title"]


@pytest.mark.parametrize("panel", with_queries())
def test_a_panel_says_what_it_shows_in_which_unit_and_asks_whom(panel: dict[str, Any]) -> None:
    assert panel["type"] in PANELS
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    assert {source["uid"] for source in sources} <= {"lakehouse-prometheus", "lakehouse-opensearch"}
    assert len({json.dumps(source) for source in sources}) == 1
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for target in panel["targets"]:
        if source_is_prometheus(target):
            assert target["instant"] is not target["range"]
        else:
            assert target.keys() <= OF_OPENSEARCH
            kept = {key: target[key] for key in ("bucketAggs", "metrics", "query", "alias", "timeField", "refId")}
            # Elasticsearch's plugin, whose model this is, calls the number of lines `limit`.
            assert set(lost(kept, through(elasticsearch.Dataquery, kept))) <= {"/metrics/*/settings/size"}


def source_is_prometheus(target: dict[str, Any]) -> bool:
    return bool(target["datasource"]["type"] == "prometheus")


def test_no_text_is_drawn_as_html() -> None:
    """Text of logs comes from anybody. Only the panel `text` and the cell type `html` of tables draw HTML, and neither is here."""
    text = "".join(path.read_text() for path in FOLDER.rglob("*.json"))
    assert not re.search(r'"type": "(text|html|markdown|dynamictext|marcusolsson[^"]*)"', text)
    assert not re.search(r"<\s*\w", text)


def test_a_search_of_others_is_quoted_and_the_box_is_the_only_one_that_is_not() -> None:
    """Grafana escapes and quotes what a variable puts into a Lucene query, unless the query says `:raw`."""
    raw = {found for path in BOARDS for found in re.findall(r"\$\{(\w+):raw\}", path.read_text())}
    assert raw == {"search"}
    assert not re.search(r"\[\[", (FOLDER / "dashboards/lakehouse/logs.json").read_text())


def test_library_panels_are_used_by_two_boards_under_their_own_names() -> None:
    for path in FOLDER.glob("library_panels/*.json"):
        element = read(path)
        named = [panel["libraryPanel"] for board in BOARDS for panel in read(board)["panels"] if "libraryPanel" in panel]
        used = [one for one in named if one["uid"] == element["uid"]]
        assert len(used) >= 2
        assert all(one["name"] == element["name"] == element["model"]["title"] for one in used)


def test_every_rule_leads_to_the_panel_that_shows_it() -> None:
    boards = {read(path)["uid"]: {str(panel["id"]) for panel in read(path)["panels"]} for path in BOARDS}
    (group,) = [read(path) for path in FOLDER.glob("rule_groups/*.json")]
    assert [rule["uid"] for rule in group["rules"]] == ["lakehouse-cpu", "lakehouse-disk", "lakehouse-error-logs", "lakehouse-query-errors"]
    for rule in group["rules"]:
        assert rule["annotations"]["__panelId__"] in boards[rule["annotations"]["__dashboardUid__"]]
        assert rule["labels"]["team"] == "lakehouse"
        assert rule["condition"] in {entry["refId"] for entry in rule["data"]}
        assert not rule.keys() & {"id", "orgID", "folderUID", "ruleGroup", "updated", "provenance"}


def test_rules_send_what_prometheus_would_send() -> None:
    """The same name and labels, so that Alertmanager can keep its copy back while Grafana sends."""
    text = (INCLUDE / "prometheus" / "alerts.yml").read_text()
    for rule in read(FOLDER / "rule_groups/lakehouse.json")["rules"]:
        found = re.search(rf"alert: {rule['title']}\n.*?labels: {{(.*?)}}", text, re.DOTALL)
        assert found, f"include/prometheus/alerts.yml has no alert {rule['title']}"
        assert dict(pair.split(": ") for pair in found[1].split(", ")) == rule["labels"]


def test_the_route_takes_our_alerts_and_holds_warnings_alone_in_the_maintenance() -> None:
    policy = read(FOLDER / "notification_policies/lakehouse.json")
    timings = {read(path)["name"] for path in FOLDER.glob("mute_timings/*.json")}
    points = [read(path) for path in FOLDER.glob("contact_points/*.json")]
    assert policy["object_matchers"] == [["team", "=", "lakehouse"]]
    (held,) = policy["routes"]
    assert "mute_time_intervals" not in policy
    assert set(held["mute_time_intervals"]) <= timings
    assert held["object_matchers"] == [["severity", "=", "warning"]]
    assert {point["name"] for point in points} == {policy["receiver"]}
    assert {point["type"] for point in points} == {"email", "slack"}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("mute_timings/*.json")), ids=lambda path: path.stem)
def test_a_mute_timing_is_as_the_provisioning_api_has_it(path: Path) -> None:
    """Texts, in prometheus/alertmanager's `timeinterval.go`; the SDK's model has numbers, which Grafana refuses."""
    for interval in read(path)["time_intervals"]:
        assert interval.keys() <= {"times", "weekdays", "days_of_month", "months", "years", "location"}
        assert all(re.fullmatch(r"([01]\d|2[0-4]):[0-5]\d", value) for span in interval["times"] for value in span.values())
        assert all(re.fullmatch(r"[a-z]+day(:[a-z]+day)?", day) for day in interval.get("weekdays", []))


def test_secrets_are_named_and_certificates_are_looked_at() -> None:
    source = read(FOLDER / "data_sources/opensearch.json")
    assert source["jsonData"]["tlsAuthWithCACert"] is True
    assert source["jsonData"]["tlsSkipVerify"] is False
    assert all(re.fullmatch(r"\$\{[A-Z_]+\}", value) for value in source["secureJsonData"].values())
    assert read(FOLDER / "contact_points/slack.json")["settings"]["url"] == "${SLACK_WEBHOOK_URL}"


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.json")), ids=lambda path: path.stem)
def test_every_expression_is_promql(path: Path) -> None:
    for expression in re.findall(r'"expr": ("(?:[^"\\]|\\.)*")', path.read_text()):
        filled = re.sub(r"\$__(rate_)?interval", "1m", json.loads(expression)).replace("$instance", ".*").replace("$bucket", ".*")
        promql_parser.parse(filled)
