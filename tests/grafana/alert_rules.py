"""Groups of alert rules, over the provisioning API."""

from __future__ import annotations

import copy
from typing import Any

from tests.grafana.alerting import provenance
from tests.grafana.folders import check_uid
from tests.grafana.policies import duration
from tests.grafana.routing import Call, Document, Refused, Result, route
from tests.grafana.rules import rule
from tests.grafana.state import State, now

_READ, _WRITE = "alert.provisioning:read", "alert.provisioning:write"
_CODE = "pkg/services/ngalert/provisioning/alert_rules.go, stored file 335917733"
_MODEL = "pkg/services/ngalert/models/alert_rule.go, stored file 8401885"
_API = "pkg/services/ngalert/api/api_provisioning.go, stored file 22565327"
_GROUP = "/api/v1/provisioning/folder/{folder}/rule-groups/{group}"
_SENT: dict[str, Any] = {
    "title": "",
    "condition": "",
    "data": [],
    "noDataState": "",
    "execErrState": "",
    "for": "0s",
    "keep_firing_for": "0s",
    "annotations": {},
    "labels": {},
    "isPaused": False,
    "notification_settings": None,
    "record": None,
}
_SERVER = ("id", "uid", "orgID", "folderUID", "ruleGroup", "updated", "provenance")


@rule(f"{_MODEL} ValidateRuleGroupInterval()")
def check_interval(group: Document) -> None:
    """The interval is a multiple of ten seconds and more than none: else 400."""
    seconds = group.get("interval")
    if not isinstance(seconds, int) or seconds <= 0 or seconds % 10:
        message = f"invalid alert rule: interval ({seconds}s) should be non-zero and divided exactly by scheduler interval: 10"
        raise Refused(400, message)


@rule(f"{_MODEL} ValidateAlertRule()")
def check_rule(alert: Document) -> None:
    """A rule without a title or without queries: 400."""
    if not alert["data"]:
        raise Refused(400, "invalid alert rule: no queries or expressions are found")
    if not alert["title"]:
        raise Refused(400, "invalid alert rule: title is empty")


@rule(f"{_MODEL} SetDashboardAndPanelFromAnnotations()")
def check_panel(alert: Document) -> None:
    """__dashboardUid__ and __panelId__ come together, and the latter is a number: else 400."""
    board, panel = (alert["annotations"].get(name, "") for name in ("__dashboardUid__", "__panelId__"))
    if bool(board) != bool(panel):
        raise Refused(400, "invalid alert rule: both annotations __dashboardUid__ and __panelId__ must be specified")
    if board and not panel.lstrip("-").isdigit():
        raise Refused(400, "invalid alert rule: annotation __panelId__ must be a valid integer Panel ID")


@rule(f"{_CODE} ReplaceRuleGroup(), the validator of notification settings")
def check_receiver(state: State, alert: Document) -> None:
    """A rule's own contact point must be there: else 400."""
    name = (alert["notification_settings"] or {}).get("receiver")
    if name and name not in {point["name"] for point in state.contact_points.values()}:
        raise Refused(400, f"invalid alert rule: invalid notification settings: receiver {name} does not exist")


@rule(
    "pkg/services/ngalert/provisioning/validation/provenance.go CanUpdateProvenanceInRuleGroup(), stored file 53148625060; " + _CODE,
)
def check_transition(alert: Document, given: str, operation: str) -> None:
    """A rule from a file is neither changed nor deleted over this API: 409; one of this API's may lose its provenance."""
    stored = alert["provenance"]
    if stored not in ("", given) and (stored != "api" or given):
        message = f"cannot {operation} with provided provenance '{given}', needs '{stored}'"
        raise Refused(409, message, message_id="alerting.provenanceMismatch")


@rule(f"{_MODEL} PatchPartialAlertRule(), stored file 34865693")
def patched(sent: Document, stored: Document | None) -> Document:
    """What a rule does not say is empty, but for title, condition, queries and both states: these it keeps from before."""
    alert = {key: copy.deepcopy(sent.get(key) or default) for key, default in _SENT.items()}
    if stored:
        for key in ("title", "condition", "data", "noDataState", "execErrState"):
            alert[key] = alert[key] or stored[key]
    alert["for"], alert["keep_firing_for"] = duration(alert["for"]), duration(alert["keep_firing_for"])
    return alert


@rule("pkg/services/ngalert/models/alert_query.go PreSave(), stored file 431301857")
def completed(query: Document) -> Document:
    """A query's model is kept as it was sent, but a missing intervalMs is set to 1000 and a missing maxDataPoints to 43200."""
    model = {"intervalMs": 1000, "maxDataPoints": 43200, **(query.get("model") or {})}
    times = query.get("relativeTimeRange") or {"from": 0, "to": 0}
    kind = query.get("queryType") or model.get("queryType") or ""
    return {"refId": query.get("refId", ""), "queryType": kind, "relativeTimeRange": times,
            "datasourceUid": query.get("datasourceUid", ""), "model": model}  # fmt: skip


def write(state: State, folder: str, group: str, sent: Document, given: str) -> Document:
    """Write one rule of a group."""
    uid = sent.get("uid") or f"auto{next(state.ids)}"
    check_uid(uid)
    stored = state.rules.get(uid)
    alert = patched(sent, stored)
    alert["data"] = [completed(query) for query in alert["data"]]
    check_rule(alert)
    check_panel(alert)
    check_receiver(state, alert)
    where = {"folderUID": folder, "ruleGroup": group}
    if stored and {key: stored[key] for key in (*_SENT, *where)} == {**alert, **where}:
        return stored
    if stored:
        check_transition(stored, given, "update")
    number = stored["id"] if stored else next(state.ids)
    return {"id": number, "uid": uid, "orgID": 1, **where, **alert, "updated": now(), "provenance": given}


@route("PUT", _GROUP, _WRITE)
@rule(f"{_API} RoutePutAlertRuleGroup(); {_CODE} ReplaceRuleGroup()")
def put_group(call: Call) -> Result:
    """The group that is sent replaces the one that was there, rules that it does not name are deleted; the answer echoes what was sent."""
    folder, group, sent = call.parameters["folder"], call.parameters["group"], call.document()
    check_interval(sent)
    given, before = provenance(call), _inside(call.state, folder, group)
    after = [write(call.state, folder, group, alert, given) for alert in sent.get("rules") or []]
    gone = [alert for alert in before if alert["uid"] not in {kept["uid"] for kept in after}]
    for alert in gone:
        check_transition(alert, given, "delete")
    for alert in [*gone, *after]:
        call.state.rules.pop(alert["uid"], None)
    call.state.rules.update({alert["uid"]: {**alert, "interval": sent["interval"]} for alert in after})
    return 200, {**sent, "folderUid": folder, "title": group}


@route("GET", _GROUP, _READ)
@rule(f"{_API} RouteGetAlertRuleGroup(); {_CODE} GetRuleGroup()")
def get_group(call: Call) -> Result:
    """A group comes with its rules in their order, each with what the server knows of it; one that is not there, or is empty: 404."""
    folder, group = call.parameters["folder"], call.parameters["group"]
    rules = _inside(call.state, folder, group)
    if not rules:
        raise Refused(404, "Not found", message_id="alerting.alert-rule.notFound")
    return 200, {"title": group, "folderUid": folder, "interval": rules[0]["interval"], "rules": [shown(alert) for alert in rules]}


@route("DELETE", _GROUP, _WRITE)
@rule(f"{_API} RouteDeleteAlertRuleGroup(); {_CODE} DeleteRuleGroups(); pkg/services/ngalert/store/deltas.go, stored file 209113776")
def delete_group(call: Call) -> Result:
    """A deleted group is answered with 204; one that is not there with 404."""
    rules = _inside(call.state, call.parameters["folder"], call.parameters["group"])
    if not rules:
        raise Refused(404, "Not found", message_id="alerting.alert-rule.notFound")
    for alert in rules:
        check_transition(alert, provenance(call), "delete")
    for alert in rules:
        del call.state.rules[alert["uid"]]
    return 204, None


@route("GET", "/api/v1/provisioning/alert-rules", _READ)
@rule(f"{_API} RouteGetAlertRules()")
def list_rules(call: Call) -> Result:
    """All rules come in one list, each with its folder and its group."""
    return 200, [shown(alert) for alert in call.state.rules.values()]


@route("GET", "/api/v1/provisioning/alert-rules/{uid}", _READ)
@rule(f"{_API} RouteRouteGetAlertRule()")
def get_rule(call: Call) -> Result:
    """A rule comes alone too; one that is not there: 404."""
    if call.parameters["uid"] not in call.state.rules:
        raise Refused(404, "")
    return 200, shown(call.state.rules[call.parameters["uid"]])


@route("DELETE", "/api/v1/provisioning/alert-rules/{uid}", _WRITE)
@rule(f"{_API} RouteDeleteAlertRule()", doubt="12 and 13 are taken to answer 204 for a rule that is not there, too")
def delete_rule(call: Call) -> Result:
    """A deleted rule is answered with 204."""
    alert = call.state.rules.get(call.parameters["uid"])
    if alert is not None:
        check_transition(alert, provenance(call), "delete")
        del call.state.rules[alert["uid"]]
    return 204, None


@rule("pkg/services/ngalert/api/compat.go ProvisionedAlertRuleFromAlertRule(), stored file 463961651")
def shown(alert: Document) -> Document:
    """A rule that is read has id, orgID, folderUID, ruleGroup, updated and provenance beside what was sent."""
    return {key: alert[key] for key in (*_SERVER, *_SENT)}


def _inside(state: State, folder: str, group: str) -> list[Document]:
    return [alert for alert in state.rules.values() if (alert["folderUID"], alert["ruleGroup"]) == (folder, group)]
