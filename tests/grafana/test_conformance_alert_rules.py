"""Groups of alert rules over the provisioning API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grafana.conftest import Target
from tests.grafana.rules import proves

_BY_HAND = {"X-Disable-Provenance": "true"}
_QUERY: dict[str, Any] = {
    "refId": "A",
    "queryType": "",
    "relativeTimeRange": {"from": 0, "to": 0},
    "datasourceUid": "__expr__",
    "model": {"refId": "A", "type": "math", "expression": "1 > 2", "datasource": {"type": "__expr__", "uid": "__expr__"}},
}


def _rule(target: Target, name: str, **more: Any) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "uid": f"{target.prefix}-{name}",
        "title": name,
        "condition": "A",
        "data": [_QUERY],
        "noDataState": "OK",
        "execErrState": "Error",
    }
    rule |= {"for": "5m", "labels": {"team": "lakehouse"}, "annotations": {"summary": "Too much"}, "isPaused": False}
    return {**rule, "orgID": 1, "folderUID": f"{target.prefix}-folder", "ruleGroup": "lakehouse", **more}


def _path(target: Target, group: str = "lakehouse") -> str:
    return f"/api/v1/provisioning/folder/{target.prefix}-folder/rule-groups/{group}"


def _put(
    target: Target, *rules: dict[str, Any], interval: int = 60, group: str = "lakehouse", headers: dict[str, str] | None = None
) -> Any:
    return target.call("PUT", _path(target, group), {"title": group, "interval": interval, "rules": list(rules)}, headers=headers)


@proves("alert_rules.put_group", "alert_rules.get_group", "alert_rules.shown")
def test_a_group_is_made_and_read(target: Target) -> None:
    folder = target.folder()
    sent = [_rule(target, name) for name in ("first", "second")]
    answer = _put(target, *sent)
    assert answer.status_code == 200
    assert answer.json()["folderUid"] == folder
    found = target.get(_path(target))
    assert (found["title"], found["folderUid"], found["interval"]) == ("lakehouse", folder, 60)
    assert [rule["uid"] for rule in found["rules"]] == [rule["uid"] for rule in sent]
    rule = found["rules"][0]
    kept = (
        "uid",
        "title",
        "condition",
        "noDataState",
        "execErrState",
        "for",
        "labels",
        "annotations",
        "isPaused",
        "folderUID",
        "ruleGroup",
    )
    assert {key: rule[key] for key in kept} == {key: sent[0][key] for key in kept}
    assert rule["provenance"] == "api"
    assert {"id", "orgID", "updated"} <= rule.keys()


@proves("alert_rules.completed")
def test_a_querys_model_is_kept_and_completed(target: Target) -> None:
    target.folder()
    assert _put(target, _rule(target, "first")).status_code == 200
    [query] = target.get(_path(target))["rules"][0]["data"]
    assert {key: query[key] for key in ("refId", "datasourceUid", "relativeTimeRange")} == {
        key: _QUERY[key] for key in ("refId", "datasourceUid", "relativeTimeRange")
    }
    assert query["model"] == {"intervalMs": 1000, "maxDataPoints": 43200, **_QUERY["model"]}


@proves("policies.duration")
@pytest.mark.parametrize(("sent", "read"), [("300s", "5m"), ("90s", "1m30s"), ("60m", "1h"), ("0s", "0s")])
def test_durations_come_back_in_their_shortest_form(target: Target, sent: str, read: str) -> None:
    target.folder()
    assert _put(target, _rule(target, "first", **{"for": sent})).status_code == 200
    assert target.get(_path(target))["rules"][0]["for"] == read


@proves("alert_rules.put_group")
def test_a_group_replaces_its_rules(target: Target) -> None:
    target.folder()
    first, second = _rule(target, "first"), _rule(target, "second")
    _put(target, first, second)
    before = target.get(_path(target))["rules"][1]
    assert _put(target, second, interval=120).status_code == 200
    found = target.get(_path(target))
    assert ([rule["uid"] for rule in found["rules"]], found["interval"]) == ([second["uid"]], 120)
    assert found["rules"][0]["id"] == before["id"]
    assert target.call("GET", f"/api/v1/provisioning/alert-rules/{first['uid']}").status_code == 404


@proves("alert_rules.put_group")
def test_a_rule_moves_with_its_uid(target: Target) -> None:
    target.folder()
    rule = _rule(target, "first")
    _put(target, rule)
    assert _put(target, {**rule, "ruleGroup": "other"}, group="other").status_code == 200
    assert target.call("GET", _path(target)).status_code == 404
    assert target.get(_path(target, "other"))["rules"][0]["uid"] == rule["uid"]


@proves("alert_rules.put_group")
def test_two_rules_may_bear_one_title(target: Target) -> None:
    target.folder()
    assert _put(target, _rule(target, "first", title="Same"), _rule(target, "second", title="Same")).status_code == 200


@proves("alert_rules.patched")
def test_what_a_rule_does_not_say_is_emptied_or_kept(target: Target) -> None:
    target.folder()
    rule = _rule(target, "first")
    _put(target, rule)
    bare = {key: rule[key] for key in ("uid", "title", "condition", "data", "orgID", "folderUID", "ruleGroup")}
    assert _put(target, bare).status_code == 200
    found = target.get(_path(target))["rules"][0]
    assert (found["noDataState"], found["execErrState"]) == (rule["noDataState"], rule["execErrState"])
    assert (found["for"], found.get("labels") or {}, found.get("annotations") or {}) == ("0s", {}, {})


@proves("alert_rules.check_interval")
@pytest.mark.parametrize("interval", [0, 15, -60])
def test_an_interval_must_be_a_multiple_of_ten_seconds(target: Target, interval: int) -> None:
    target.folder()
    assert _put(target, _rule(target, "first"), interval=interval).status_code == 400


@proves("alert_rules.check_rule")
@pytest.mark.parametrize("wrong", [{"title": ""}, {"data": []}])
def test_a_rule_needs_a_title_and_queries(target: Target, wrong: dict[str, Any]) -> None:
    target.folder()
    assert _put(target, _rule(target, "first", **wrong)).status_code == 400
    assert target.call("GET", _path(target)).status_code == 404


@proves("folders.check_uid")
def test_a_bad_uid_is_refused(target: Target) -> None:
    target.folder()
    assert _put(target, _rule(target, "first", uid="x" * 41)).status_code == 400


@proves("alert_rules.check_panel")
@pytest.mark.parametrize("annotations", [{"__dashboardUid__": "a"}, {"__panelId__": "1"}, {"__dashboardUid__": "a", "__panelId__": "one"}])
def test_a_rules_panel_is_named_in_full(target: Target, annotations: dict[str, str]) -> None:
    target.folder()
    assert _put(target, _rule(target, "first", annotations=annotations)).status_code == 400


@proves("alert_rules.check_receiver")
def test_a_rules_own_receiver_must_be_there(target: Target) -> None:
    target.folder()
    assert _put(target, _rule(target, "first", notification_settings={"receiver": f"{target.prefix} nothing"})).status_code == 400


@proves("alerting.check_point_unused")
def test_what_a_rule_uses_cannot_be_deleted(target: Target) -> None:
    target.folder()
    name, path = f"{target.prefix} own", f"/api/v1/provisioning/contact-points/{target.prefix}-own"
    point = {"uid": f"{target.prefix}-own", "name": name, "type": "email", "settings": {"addresses": "one@example.org"}}
    target.make("POST", "/api/v1/provisioning/contact-points", point, status=202)
    assert _put(target, _rule(target, "first", notification_settings={"receiver": name})).status_code == 200
    answer = target.call("DELETE", path)
    assert answer.status_code in (409, 500)
    assert answer.json().get("messageId", "") in ("", "alerting.notifications.contact-points.used-by-rule")
    target.make("DELETE", _path(target), None, status=204)
    assert target.call("DELETE", path).status_code == 202


@proves("alert_rules.check_transition")
def test_a_group_of_this_apis_may_lose_its_provenance(target: Target) -> None:
    target.folder()
    _put(target, _rule(target, "first"))
    assert _put(target, _rule(target, "first", title="Changed"), headers=_BY_HAND).status_code == 200
    assert not target.get(_path(target))["rules"][0].get("provenance")


@proves("alert_rules.check_transition")
def test_a_group_from_a_file_is_not_changed(target: Target) -> None:
    target.folder()
    group = {"folderUid": f"{target.prefix}-folder", "title": "lakehouse", "interval": 60, "rules": [_rule(target, "first")]}
    uid = target.provisioned("rule_group", {**group, "uid": f"{target.prefix}-first"})
    rule = target.get(f"/api/v1/provisioning/alert-rules/{uid}")
    path = f"/api/v1/provisioning/folder/{rule['folderUID']}/rule-groups/{rule['ruleGroup']}"
    found = target.get(path)
    found["rules"] = [{**alert, "title": f"{alert['title']} changed"} for alert in found["rules"]]
    for answer in (target.call("PUT", path, found), target.call("DELETE", path)):
        assert answer.status_code == 409
        assert answer.json()["messageId"] == "alerting.provenanceMismatch"


@proves("alert_rules.delete_group")
def test_a_deleted_group_is_gone(target: Target) -> None:
    target.folder()
    _put(target, _rule(target, "first"))
    assert target.call("DELETE", _path(target)).status_code == 204
    assert target.call("GET", _path(target)).status_code == 404
    assert target.call("DELETE", _path(target)).status_code == 404


@proves("alert_rules.list_rules", "alert_rules.get_rule", "alert_rules.delete_rule")
def test_a_rule_comes_and_goes_alone(target: Target) -> None:
    target.folder()
    rule = _rule(target, "first")
    _put(target, rule)
    [listed] = [found for found in target.get("/api/v1/provisioning/alert-rules") if found["uid"] == rule["uid"]]
    assert (listed["folderUID"], listed["ruleGroup"]) == (rule["folderUID"], "lakehouse")
    path = f"/api/v1/provisioning/alert-rules/{rule['uid']}"
    assert target.get(path)["title"] == "first"
    assert target.call("DELETE", path).status_code == 204
    assert target.call("GET", path).status_code == 404
