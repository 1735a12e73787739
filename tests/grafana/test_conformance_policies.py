"""The tree of notification policies. On a real Grafana it is put back afterwards, and only touched with GRAFANA_MAY_CHANGE_POLICIES."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.grafana.conftest import Target
from tests.grafana.rules import proves

_PATH = "/api/v1/provisioning/policies"
_POINTS, _MUTES = "/api/v1/provisioning/contact-points", "/api/v1/provisioning/mute-timings"
_BY_HAND = {"X-Disable-Provenance": "true"}


@pytest.fixture
def tree(target: Target) -> Iterator[dict[str, Any]]:
    """The tree as it was; it is put back."""
    if not target.server:
        target.setting("GRAFANA_MAY_CHANGE_POLICIES")
    before = target.get(_PATH)
    if before.get("provenance") == "file":
        pytest.skip("this Grafana's policies come from a file")
    yield before
    target.make("DELETE", _PATH, None, status=202)
    kept = {key: value for key, value in before.items() if key != "provenance"}
    headers = None if before.get("provenance") else _BY_HAND
    assert target.call("PUT", _PATH, kept, headers=headers).status_code == 202


@pytest.fixture
def with_child(target: Target, tree: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Gives the tree with one more route, for a contact point of our own."""
    name = f"{target.prefix} on-call"
    point = {"uid": f"{target.prefix}-mail", "name": name, "type": "email", "settings": {"addresses": "one@example.org"}}
    target.make("POST", _POINTS, point, status=202, remove=f"{_POINTS}/{point['uid']}")

    def build(**route: Any) -> dict[str, Any]:
        child = {"receiver": name, "object_matchers": [["team", "=", target.prefix]], **route}
        kept = {key: value for key, value in tree.items() if key != "provenance"}
        return {**kept, "routes": [*(kept.get("routes") or []), child]}

    return build


@proves("policies.get", "policies.default_receiver")
def test_the_tree_has_a_receiver_and_no_version(target: Target, tree: dict[str, Any]) -> None:
    assert tree["receiver"]
    assert "version" not in tree
    if target.server:
        assert tree["receiver"] == ("empty" if target.at_least(13) else "grafana-default-email")
    assert target.call("PUT", _PATH, {key: value for key, value in tree.items() if key != "provenance"}).status_code == 202
    assert target.get(_PATH)["receiver"] == tree["receiver"]


@proves("policies.put", "policies.normal", "policies.duration")
def test_a_tree_replaces_the_one_before(target: Target, tree: dict[str, Any], with_child: Callable[..., dict[str, Any]]) -> None:
    sent = with_child(group_wait="60s", group_interval="90s", repeat_interval="4h", group_by=["alertname"])
    assert target.make("PUT", _PATH, sent, status=202)["message"] == "policies updated"
    found = target.get(_PATH)
    assert found["provenance"] == "api"
    assert (found.get("routes") or [])[:-1] == (tree.get("routes") or [])
    child = found["routes"][-1]
    assert child["object_matchers"] == [["team", "=", target.prefix]]
    assert (child["group_wait"], child["group_interval"], child["repeat_interval"]) == ("1m", "1m30s", "4h")
    assert child["group_by"] == ["alertname"]
    assert not child.get("continue")


@proves("policies.check_receivers")
def test_a_receiver_that_is_not_there_is_refused(target: Target, with_child: Callable[..., dict[str, Any]]) -> None:
    answer = target.call("PUT", _PATH, with_child(receiver=f"{target.prefix} nothing"))
    assert answer.status_code == 400
    assert "does not exist" in answer.json()["message"]


@proves("policies.check_mute_timings")
def test_a_mute_timing_that_is_not_there_is_refused(target: Target, with_child: Callable[..., dict[str, Any]]) -> None:
    answer = target.call("PUT", _PATH, with_child(mute_time_intervals=[f"{target.prefix} nothing"]))
    assert answer.status_code == 400
    assert "does not exist" in answer.json()["message"]


@proves("policies.check_root", "policies.check_routes")
def test_a_tree_that_makes_no_sense_is_refused(target: Target, tree: dict[str, Any], with_child: Callable[..., dict[str, Any]]) -> None:
    kept = {key: value for key, value in tree.items() if key != "provenance"}
    for wrong in (
        {**kept, "receiver": ""},
        {**kept, "group_by": ["a", "a"]},
        with_child(repeat_interval="0s"),
        with_child(group_by=["...", "a"]),
    ):
        assert target.call("PUT", _PATH, wrong).status_code == 400


@proves("alerting.check_point_unused", "alerting.check_mute_unused")
def test_what_a_policy_uses_cannot_be_deleted(target: Target, with_child: Callable[..., dict[str, Any]]) -> None:
    mute = f"{_MUTES}/{target.prefix}%20nights"
    target.make("POST", _MUTES, {"name": f"{target.prefix} nights", "time_intervals": []}, status=201, remove=mute)
    target.make("PUT", _PATH, with_child(mute_time_intervals=[f"{target.prefix} nights"]), status=202)
    answer = target.call("DELETE", f"{_POINTS}/{target.prefix}-mail")
    assert answer.status_code in (409, 500)
    assert answer.json().get("messageId", "") in ("", "alerting.notifications.contact-points.referenced")
    answer = target.call("DELETE", mute)
    assert answer.status_code == 409
    assert answer.json()["messageId"] == "alerting.notifications.time-intervals.used"


@proves("alerting.check_point_unused")
def test_one_of_two_integrations_can_be_deleted(target: Target, with_child: Callable[..., dict[str, Any]]) -> None:
    second = {
        "uid": f"{target.prefix}-second",
        "name": f"{target.prefix} on-call",
        "type": "email",
        "settings": {"addresses": "two@example.org"},
    }
    target.make("POST", _POINTS, second, status=202)
    target.make("PUT", _PATH, with_child(), status=202)
    assert target.call("DELETE", f"{_POINTS}/{second['uid']}").status_code == 202
    assert target.call("DELETE", f"{_POINTS}/{target.prefix}-mail").status_code in (409, 500)


@proves("alerting.follow_new_name")
def test_policies_follow_a_new_name(target: Target, with_child: Callable[..., dict[str, Any]]) -> None:
    target.make("PUT", _PATH, with_child(), status=202)
    named = {"name": f"{target.prefix} renamed", "type": "email", "settings": {"addresses": "one@example.org"}}
    target.make("PUT", f"{_POINTS}/{target.prefix}-mail", named, status=202)
    assert target.get(_PATH)["routes"][-1]["receiver"] == f"{target.prefix} renamed"


@proves("policies.reset", "alerting.check_transition")
def test_a_reset_takes_the_provenance_away(target: Target, with_child: Callable[..., dict[str, Any]]) -> None:
    target.make("PUT", _PATH, with_child(), status=202)
    refused = target.call("PUT", _PATH, with_child(), headers=_BY_HAND)
    assert refused.status_code in ((403, 202) if target.at_least(13) else (403,))
    target.make("DELETE", _PATH, None, status=202)
    found = target.get(_PATH)
    assert not found.get("provenance")
    assert not found.get("routes")
