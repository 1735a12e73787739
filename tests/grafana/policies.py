"""The tree of notification policies."""

from __future__ import annotations

import copy
import re

from tests.grafana.alerting import check_transition, provenance, routes
from tests.grafana.routing import Call, Document, Refused, Result, route
from tests.grafana.rules import rule
from tests.grafana.state import State

_CODE = "pkg/services/ngalert/provisioning/notification_policies.go, stored files 246799025 and 9235106279 (13)"
_VALID = "definition/route_validation.go of grafana/alerting, stored file 1519698317, called by pkg/services/ngalert/provisioning"
_API = "pkg/services/ngalert/api/api_provisioning.go, stored file 22565327"
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
_KEYS = (
    "receiver",
    "group_by",
    "object_matchers",
    "matchers",
    "mute_time_intervals",
    "active_time_intervals",
    "continue",
    "group_wait",
    "group_interval",
    "repeat_interval",
)


def milliseconds(text: str) -> int:
    """A duration as Prometheus writes it.

    Raises:
        Refused: it is none.
    """
    parts = re.findall(r"(\d+)(ms|[smhdwy])", text)
    if text != "0" and "".join(number + unit for number, unit in parts) != text:
        raise Refused(400, "bad request data")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


@rule("prometheus/common model.Duration.String(), used by pkg/services/ngalert/api/compat.go, stored file 463961651")
def duration(text: str) -> str:
    """Durations come back in their shortest form: 60s as 1m, 90s as 1m30s, none as 0s."""
    left = milliseconds(text)
    if not left:
        return "0s"
    parts = []
    for unit in ("y", "w", "d", "h", "m", "s", "ms"):
        size = _UNITS[unit]
        if left >= size and (unit not in "yw" or left % size == 0):
            parts.append(f"{left // size}{unit}")
            left %= size
    return "".join(parts)


@rule(f"{_VALID}")
def check_root(tree: Document) -> None:
    """The root needs a receiver, and has neither matchers nor mute timings: else 400."""
    if not tree.get("receiver"):
        raise _invalid("root route must specify a default receiver")
    if tree.get("match") or tree.get("match_re"):
        raise _invalid("root route must not have any matchers")
    if tree.get("mute_time_intervals"):
        raise _invalid("root route must not have any mute time intervals")


@rule(f"{_VALID}")
def check_routes(tree: Document) -> None:
    """A route groups by each label once, or by all (`...`) and no other, and its intervals are not zero: else 400."""
    for node in routes(tree):
        labels = node.get("group_by") or []
        if len(set(labels)) != len(labels) or ("..." in labels and len(labels) > 1):
            raise _invalid("duplicated label in group_by")
        for name in ("group_interval", "repeat_interval"):
            if node.get(name) is not None and not milliseconds(node[name]):
                raise _invalid(f"{name} cannot be zero")


@rule(f"{_CODE} UpdatePolicyTree(), ValidateReceivers()")
def check_receivers(state: State, tree: Document) -> None:
    """A receiver that is no contact point: 400; an empty one inherits its parent's."""
    known = {point["name"] for point in state.contact_points.values()} | {"", default_receiver(state)}
    for node in routes(tree):
        if (node.get("receiver") or "") not in known:
            raise _invalid(f"receiver '{node['receiver']}' does not exist")


@rule(f"{_CODE} UpdatePolicyTree(), ValidateTimeIntervals()")
def check_mute_timings(state: State, tree: Document) -> None:
    """A mute timing that is not there: 400."""
    for node in routes(tree):
        for name in [*(node.get("mute_time_intervals") or []), *(node.get("active_time_intervals") or [])]:
            if name not in state.mute_timings:
                raise _invalid(f"time interval '{name}' does not exist")


@rule(
    "pull request #116368 (January 2026); pkg/setting/setting_unified_alerting.go",
    doubt="in which release it came is not known; 13 is taken",
)
def default_receiver(state: State) -> str:
    """A fresh Grafana 12 sends to `grafana-default-email`, 13 to a receiver `empty` without an integration."""
    return "empty" if state.at_least(13) else "grafana-default-email"


def start(state: State) -> None:
    """Fill in what a fresh Grafana has; the e-mail contact point of 12 has no uid."""
    state.policies = default_tree(state)
    if default_receiver(state) != "empty":
        point = {"uid": "", "name": default_receiver(state), "type": "email", "settings": {"addresses": "<example@email.com>"}}
        state.contact_points[""] = {**point, "disableResolveMessage": False, "provenance": ""}


def default_tree(state: State) -> Document:
    """The tree of a fresh Grafana."""
    return {"receiver": default_receiver(state), "group_by": ["grafana_folder", "alertname"], "provenance": ""}


@rule(f"{_CODE} GetPolicyTree()")
def normal(node: Document) -> Document:
    """Routes keep their order and their matchers as they were sent; what is empty is left out."""
    kept = {key: copy.deepcopy(node[key]) for key in _KEYS if node.get(key)}
    for key in ("group_wait", "group_interval", "repeat_interval"):
        if node.get(key):
            kept[key] = duration(node[key])
    if node.get("routes"):
        kept["routes"] = [normal(child) for child in node["routes"]]
    return kept


@route("GET", "/api/v1/provisioning/policies", "alert.provisioning:read")
@rule(f"{_API} RouteGetPolicyTree()")
def get(call: Call) -> Result:
    """The whole tree comes at once; the root alone bears a provenance, and nothing a version."""
    given = call.state.policies.get("provenance")
    return 200, {**normal(call.state.policies), **({"provenance": given} if given else {})}


@route("PUT", "/api/v1/provisioning/policies", "alert.provisioning:write")
@rule(f"{_API} RoutePutPolicyTree(); {_CODE} UpdatePolicyTree()")
def put(call: Call) -> Result:
    """The tree that is sent replaces all that was there, without a look at versions: 202."""
    tree, state = call.document(), call.state
    check_root(tree)
    check_routes(tree)
    check_transition(state, state.policies.get("provenance", ""), provenance(call))
    check_receivers(state, tree)
    check_mute_timings(state, tree)
    state.policies = {**normal(tree), "provenance": provenance(call)}
    return 202, {"message": "policies updated"}


@route("DELETE", "/api/v1/provisioning/policies", "alert.provisioning:write")
@rule(f"{_API} RouteResetPolicyTree(); {_CODE} ResetPolicyTree()")
def reset(call: Call) -> Result:
    """Deleting puts the default tree in its place, without a provenance: 202."""
    check_transition(call.state, call.state.policies.get("provenance", ""), provenance(call))
    call.state.policies = default_tree(call.state)
    return 202, {"receiver": call.state.policies["receiver"], "group_by": call.state.policies["group_by"]}


def _invalid(what: str) -> Refused:
    message = f"Invalid format of the submitted route: {what}. Correct the payload and try again."
    return Refused(400, message, message_id="alerting.notifications.routes.invalidFormat")
