"""Contact points and mute timings, over the provisioning API, and whose an alerting object is."""

from __future__ import annotations

import copy
import hashlib
import json
import re

from tests.grafana.folders import check_uid
from tests.grafana.routing import Call, Document, Refused, Result, route
from tests.grafana.rules import rule
from tests.grafana.state import State

REDACTED = "[REDACTED]"
_READ, _WRITE = "alert.provisioning:read", "alert.provisioning:write"
_POINTS = "pkg/services/ngalert/provisioning/contactpoints.go, stored file 130920181"
_MUTES = "pkg/services/ngalert/provisioning/mute_timings.go, stored files 2015207384 and 58684894802 (13)"
_API = "pkg/services/ngalert/api/api_provisioning.go, stored file 22565327"
_ERRORS = "pkg/services/ngalert/provisioning/errors.go, stored file 596122335"
_SECRETS = {"slack": ("url", "token"), "webhook": ("password", "authorization_credentials"), "pagerduty": ("integrationKey",)}
_REQUIRED = {"email": ("addresses",), "webhook": ("url",), "pagerduty": ("integrationKey",), "slack": ()}
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")


@rule(f"{_API} determineProvenance(); docs/sources/shared/alerts/alerting_provisioning.md")
def provenance(call: Call) -> str:
    """What is written over this API bears the provenance `api`, or none with the header X-Disable-Provenance, whatever its value."""
    return "" if "x-disable-provenance" in call.headers else "api"


@rule(
    "pkg/services/ngalert/provisioning/validation/provenance.go, stored files 2807941054 (12) and 53148625060 (later 13)",
    doubt="later 13 allow it to who may set the status; from which release on is not known",
)
def check_transition(state: State, stored: str, given: str) -> None:
    """What has a provenance cannot lose it: 403 for policies and mute timings; later 13 allow it."""
    if stored and not given and not state.at_least(13, 2):
        message = (
            f"Resource with provenance status '{stored}' cannot be managed via API that handles resources with provenance status 'none'."
        )
        raise Refused(403, message, message_id="alerting.notifications.invalidProvenance")


@rule(f"{_POINTS} UpdateContactPoint()", doubt="a plain error there, so 500; a later version may say 403 or 409")
def check_point_transition(point: Document, given: str) -> None:
    """A contact point with a provenance takes no other: refused, with 500."""
    if point["provenance"] and point["provenance"] != given:
        raise Refused(500, f"cannot change provenance from '{point['provenance']}' to '{given}'")


@rule(f"{_POINTS} ValidateContactPoint()", doubt="only the types and settings that this project uses are looked at")
def check_settings(point: Document) -> None:
    """A contact point of an unknown type, or without the settings that its type needs: 400."""
    kind, settings = point.get("type"), point.get("settings")
    needs = [name for name in _REQUIRED.get(str(kind), ()) if not (settings or {}).get(name)]
    if kind not in _REQUIRED or not isinstance(settings, dict) or not point.get("name") or needs:
        raise Refused(400, f"invalid object specification: {kind} lacks {needs or 'what it needs'}")
    if kind == "slack" and not (settings.get("url") or settings.get("token")):
        raise Refused(400, "invalid object specification: token must be specified when using the Slack chat API")


@rule(f"{_POINTS} CreateContactPoint(); {_ERRORS}; pull request #98970 (11.5)")
def check_point_free(state: State, uid: str) -> None:
    """A taken uid: 409, even under another name."""
    if uid in state.contact_points:
        name = state.contact_points[uid]["name"]
        message = f"Receiver configuration with UID '{uid}' already exists in contact point '{name}'."
        raise Refused(409, message, message_id="alerting.notifications.contact-points.uidInUse")


@rule(f"{_POINTS} DeleteContactPoint(); {_ERRORS}", doubt="pull requests #111921 and #117993, not merged, say that it was 500 in 12")
def check_point_unused(state: State, point: Document) -> None:
    """The last integration of a name that a policy or a rule uses cannot be deleted: 409."""
    if len([other for other in state.contact_points.values() if other["name"] == point["name"]]) > 1:
        return
    if any(node.get("receiver") == point["name"] for node in routes(state.policies)):
        message = "Contact point is currently referenced by a notification policy."
        raise Refused(409, message, message_id="alerting.notifications.contact-points.referenced")
    if any((alert.get("notification_settings") or {}).get("receiver") == point["name"] for alert in state.rules.values()):
        message = "Contact point is currently used in the notification settings of one or many alert rules."
        raise Refused(409, message, message_id="alerting.notifications.contact-points.used-by-rule")


@rule(f"{_POINTS} GetContactPoints() and CreateContactPoint()")
def redacted(point: Document) -> Document:
    """Secret settings come back as `[REDACTED]`, all others as they were sent."""
    shown = copy.deepcopy(point)
    for name in _SECRETS.get(point["type"], ()):
        if shown["settings"].get(name):
            shown["settings"][name] = REDACTED
    return shown


@rule(f"{_POINTS} UpdateContactPoint(): redacted values are taken from the store")
def with_stored_secrets(point: Document, settings: Document) -> Document:
    """A secret that is sent as `[REDACTED]` keeps its stored value; one that is not sent is gone."""
    secrets = _SECRETS.get(point["type"], ())
    return {name: point["settings"].get(name) if name in secrets and value == REDACTED else value for name, value in settings.items()}


@route("GET", "/api/v1/provisioning/contact-points", _READ)
@rule(f"{_API} RouteGetContactPoints(); {_POINTS} GetContactPoints()")
def list_points(call: Call) -> Result:
    """Contact points come one by one, those of one name side by side; `name` asks for one name only."""
    found = [point for point in call.state.contact_points.values() if call.first("name") in ("", point["name"])]
    return 200, [redacted(point) for point in sorted(found, key=lambda point: str(point["name"]))]


@route("POST", "/api/v1/provisioning/contact-points", _WRITE)
@rule(f"{_API} RoutePostContactPoint(); {_POINTS} CreateContactPoint()")
def create_point(call: Call) -> Result:
    """A new contact point is answered with 202; one whose name is there already is a further integration of it."""
    sent = call.document()
    check_settings(sent)
    uid = sent.get("uid") or f"auto{next(call.state.ids)}"
    check_uid(uid)
    check_point_free(call.state, uid)
    point = _point(uid, sent, provenance(call))
    call.state.contact_points[uid] = point
    return 202, redacted(point)


@route("PUT", "/api/v1/provisioning/contact-points/{uid}", _WRITE)
@rule(f"{_API} RoutePutContactPoint(); {_POINTS} UpdateContactPoint()")
def update_point(call: Call) -> Result:
    """A change replaces all settings: 202; a uid that is not there: 404."""
    sent, uid, state = call.document(), call.parameters["uid"], call.state
    if not sent.get("settings"):
        raise Refused(400, "invalid object specification: settings should not be empty")
    if uid not in state.contact_points:
        raise Refused(404, f"object not found: contact point with uid '{uid}' not found")
    point = state.contact_points[uid]
    sent["settings"] = with_stored_secrets({**point, "type": sent.get("type")}, sent["settings"])
    check_settings(sent)
    check_point_transition(point, provenance(call))
    follow_new_name(state, point, sent["name"])
    state.contact_points[uid] = _point(uid, sent, provenance(call))
    return 202, {"message": "contactpoint updated"}


@rule(f"{_POINTS} UpdateContactPoint(), RenameReceiverInDependentResources()")
def follow_new_name(state: State, point: Document, name: str) -> None:
    """Where the last integration of a name gets another name, the policies that use it follow."""
    if name != point["name"] and [other["name"] for other in state.contact_points.values()].count(point["name"]) == 1:
        for node in routes(state.policies):
            if node.get("receiver") == point["name"]:
                node["receiver"] = name


@route("DELETE", "/api/v1/provisioning/contact-points/{uid}", _WRITE)
@rule(f"{_API} RouteDeleteContactPoint(); {_POINTS} DeleteContactPoint()")
def delete_point(call: Call) -> Result:
    """A deleted contact point is answered with 202, and so is one that is not there."""
    point = call.state.contact_points.get(call.parameters["uid"])
    if point is not None:
        check_point_unused(call.state, point)
        del call.state.contact_points[point["uid"]]
    return 202, {"message": "contactpoint deleted"}


@rule(f"{_MUTES} Validate(); {_ERRORS}")
def check_times(timing: Document) -> None:
    """A mute timing without a name, or with times that are none: 400."""
    times = [time for interval in timing.get("time_intervals") or [] for time in interval.get("times") or []]
    if not timing.get("name") or not all(_TIME.fullmatch(str(time.get(end))) for time in times for end in ("start_time", "end_time")):
        message = "Time interval is in invalid format. Correct the payload and try again."
        raise Refused(400, message, message_id="alerting.notifications.time-intervals.invalidFormat")


@rule(f"{_MUTES} CreateMuteTiming(); {_ERRORS}")
def check_mute_free(state: State, name: str) -> None:
    """A taken name: 400."""
    if name in state.mute_timings:
        message = "Time interval with this name already exists. Use a different name or update existing one."
        raise Refused(400, message, message_id="alerting.notifications.time-intervals.nameExists")


@rule(f"{_MUTES} checkOptimisticConcurrency(); {_ERRORS}")
def check_mute_version(timing: Document, wanted: str) -> None:
    """A version that is not the stored one: 409; without a version the last write wins."""
    if wanted and wanted != timing["version"]:
        raise Refused(409, "Conflict", message_id="alerting.notifications.conflict")


@rule(f"{_MUTES} DeleteMuteTiming(); {_ERRORS}")
def check_mute_unused(state: State, name: str) -> None:
    """A mute timing that a policy or a rule uses cannot be deleted: 409."""
    nodes = [*routes(state.policies), *((alert.get("notification_settings") or {}) for alert in state.rules.values())]
    if any(name in (node.get(key) or []) for node in nodes for key in ("mute_time_intervals", "active_time_intervals")):
        raise Refused(409, "Time interval is used", message_id="alerting.notifications.time-intervals.used")


@rule(f"{_MUTES} GetMuteTimingByName(); {_ERRORS}")
def existing_mute(call: Call) -> Document:
    """A mute timing that is not there: 404."""
    if call.parameters["name"] not in call.state.mute_timings:
        raise Refused(404, "Not found", message_id="alerting.notifications.time-intervals.notFound")
    return call.state.mute_timings[call.parameters["name"]]


@rule(f"{_MUTES} calculateMuteTimeIntervalFingerprint()")
def mute_version(timing: Document) -> str:
    """The version of a mute timing is a hash of its name and its times: equal content, equal version."""
    content = json.dumps([timing["name"], timing.get("time_intervals") or []], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@route("GET", "/api/v1/provisioning/mute-timings", _READ)
@rule(f"{_API} RouteGetMuteTimings()")
def list_mutes(call: Call) -> Result:
    """All mute timings come in one list, by name."""
    return 200, sorted(call.state.mute_timings.values(), key=lambda timing: str(timing["name"]))


@route("GET", "/api/v1/provisioning/mute-timings/{name}", _READ)
@rule(f"{_API} RouteGetMuteTiming()")
def get_mute(call: Call) -> Result:
    """A mute timing comes with its version and its provenance; its name in the path is escaped."""
    return 200, existing_mute(call)


@route("POST", "/api/v1/provisioning/mute-timings", _WRITE)
@rule(f"{_API} RoutePostMuteTiming()")
def create_mute(call: Call) -> Result:
    """A new mute timing is answered with 201."""
    sent = call.document()
    check_times(sent)
    check_mute_free(call.state, sent["name"])
    call.state.mute_timings[sent["name"]] = timing = _mute(sent, provenance(call))
    return 201, timing


@route("PUT", "/api/v1/provisioning/mute-timings/{name}", _WRITE)
@rule(f"{_API} RoutePutMuteTiming()")
def update_mute(call: Call) -> Result:
    """A change replaces the mute timing: 202; a body without a name takes that of the path."""
    timing, sent = existing_mute(call), {"name": call.parameters["name"], **call.document()}
    if sent["name"] != timing["name"]:
        raise Refused(404, "Not found", message_id="alerting.notifications.time-intervals.notFound")
    check_times(sent)
    check_transition(call.state, timing["provenance"], provenance(call))
    check_mute_version(timing, sent.get("version") or "")
    call.state.mute_timings[timing["name"]] = timing = _mute(sent, provenance(call))
    return 202, timing


@route("DELETE", "/api/v1/provisioning/mute-timings/{name}", _WRITE)
@rule(f"{_API} RouteDeleteMuteTiming()")
def delete_mute(call: Call) -> Result:
    """A deleted mute timing is answered with 204, and so is one that is not there."""
    timing = call.state.mute_timings.get(call.parameters["name"])
    if timing is not None:
        check_transition(call.state, timing["provenance"], provenance(call))
        check_mute_unused(call.state, timing["name"])
        check_mute_version(timing, call.first("version"))
        del call.state.mute_timings[timing["name"]]
    return 204, None


def routes(tree: Document) -> list[Document]:
    """A route and all below it."""
    return [tree, *(node for child in tree.get("routes") or [] for node in routes(child))]


def _point(uid: str, sent: Document, given: str) -> Document:
    kept = {"name": sent["name"], "type": sent["type"], "settings": sent["settings"]}
    return {"uid": uid, **kept, "disableResolveMessage": bool(sent.get("disableResolveMessage")), "provenance": given}


def _mute(sent: Document, given: str) -> Document:
    timing = {"name": sent["name"], "time_intervals": sent.get("time_intervals") or []}
    return {**timing, "version": mute_version(timing), "provenance": given}
