"""Contact points and mute timings over the provisioning API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grafana.conftest import Target
from tests.grafana.rules import proves

_POINTS, _MUTES = "/api/v1/provisioning/contact-points", "/api/v1/provisioning/mute-timings"
_BY_HAND = {"X-Disable-Provenance": "true"}
_TIMES = [{"times": [{"start_time": "02:00", "end_time": "04:00"}], "weekdays": ["saturday", "sunday"]}]


def _email(target: Target, name: str = "mail", **more: Any) -> dict[str, Any]:
    settings = {"addresses": "one@example.org;two@example.org", "singleEmail": True}
    return {"uid": f"{target.prefix}-{name}", "name": f"{target.prefix} on-call", "type": "email", "settings": settings, **more}


def _slack(target: Target, url: str, **more: Any) -> dict[str, Any]:
    return {**_email(target, "slack"), "type": "slack", "settings": {"url": url, "title": "{{ .CommonLabels.alertname }}"}, **more}


def _make(target: Target, point: dict[str, Any]) -> Any:
    return target.make("POST", _POINTS, point, status=202, remove=f"{_POINTS}/{point['uid']}")


def _found(target: Target, uid: str) -> Any:
    [point] = [point for point in target.get(_POINTS) if point["uid"] == uid]
    return point


def _mute(target: Target, name: str = "nights", **more: Any) -> dict[str, Any]:
    return {"name": f"{target.prefix} {name}", "time_intervals": _TIMES, **more}


def _make_mute(target: Target, name: str = "nights") -> tuple[str, Any]:
    path = f"{_MUTES}/{target.prefix}%20{name}"
    return path, target.make("POST", _MUTES, _mute(target, name), status=201, remove=path)


@proves("alerting.create_point", "alerting.list_points", "alerting.provenance")
def test_integrations_of_one_name_are_one_contact_point(target: Target) -> None:
    mail, slack = _email(target), _slack(target, "https://hooks.slack.com/services/T0/B0/one")
    made = _make(target, mail)
    assert {key: made[key] for key in mail} == mail
    _make(target, slack)
    found = target.get(_POINTS, name=mail["name"])
    assert {(point["uid"], point["type"], point["provenance"]) for point in found} == {
        (mail["uid"], "email", "api"),
        (slack["uid"], "slack", "api"),
    }
    assert _found(target, mail["uid"])["settings"] == mail["settings"]
    assert _found(target, mail["uid"])["disableResolveMessage"] is False


@proves("alerting.provenance")
def test_with_the_header_nothing_bears_a_provenance(target: Target) -> None:
    mail = _email(target)
    answer = target.call("POST", _POINTS, mail, headers=_BY_HAND)
    target.remove_later(f"{_POINTS}/{mail['uid']}")
    assert answer.status_code == 202
    assert not _found(target, mail["uid"]).get("provenance")


@proves("alerting.redacted", "alerting.with_stored_secrets")
def test_secrets_are_redacted_and_kept(target: Target) -> None:
    slack = _slack(target, "https://hooks.slack.com/services/T0/B0/hidden")
    made = _make(target, slack)
    assert made["settings"]["url"] == "[REDACTED]"
    found = _found(target, slack["uid"])
    assert (found["settings"]["url"], found["settings"]["title"]) == ("[REDACTED]", slack["settings"]["title"])
    changed = {**slack, "settings": {"url": "[REDACTED]", "title": "Changed"}}
    target.make("PUT", f"{_POINTS}/{slack['uid']}", changed, status=202)
    found = _found(target, slack["uid"])
    assert (found["settings"]["url"], found["settings"]["title"]) == ("[REDACTED]", "Changed")
    if target.server:
        assert target.server.state.contact_points[slack["uid"]]["settings"]["url"].endswith("/hidden")


@proves("alerting.update_point")
def test_a_change_replaces_the_settings(target: Target) -> None:
    mail = _email(target)
    _make(target, mail)
    changed = {**mail, "settings": {"addresses": "three@example.org"}, "disableResolveMessage": True}
    answer = target.make("PUT", f"{_POINTS}/{mail['uid']}", changed, status=202)
    assert answer["message"] == "contactpoint updated"
    found = _found(target, mail["uid"])
    assert (found["settings"], found["disableResolveMessage"]) == ({"addresses": "three@example.org"}, True)
    assert target.call("PUT", f"{_POINTS}/{target.prefix}-nothing", mail).status_code == 404


@proves("alerting.check_settings")
@pytest.mark.parametrize("wrong", [{"type": "pigeon"}, {"settings": {}}, {"settings": {"subject": "no address"}}])
def test_a_contact_point_without_what_its_type_needs_is_refused(target: Target, wrong: dict[str, Any]) -> None:
    assert target.call("POST", _POINTS, {**_email(target), **wrong}).status_code == 400
    assert not [point for point in target.get(_POINTS) if point["name"].startswith(target.prefix)]


@proves("alerting.check_point_free")
def test_a_taken_uid_is_refused(target: Target) -> None:
    mail = _email(target)
    _make(target, mail)
    assert target.call("POST", _POINTS, {**mail, "name": f"{mail['name']} 2"}).status_code == 409


@proves("alerting.check_point_transition")
def test_a_contact_point_keeps_its_provenance(target: Target) -> None:
    mail = _email(target)
    _make(target, mail)
    answer = target.call("PUT", f"{_POINTS}/{mail['uid']}", mail, headers=_BY_HAND)
    assert answer.status_code in (403, 409, 500)
    assert _found(target, mail["uid"])["provenance"] == "api"


@proves("alerting.delete_point")
def test_a_deleted_contact_point_is_gone(target: Target) -> None:
    mail = _email(target)
    _make(target, mail)
    for _ in range(2):
        assert target.make("DELETE", f"{_POINTS}/{mail['uid']}", None, status=202)["message"] == "contactpoint deleted"
    assert not target.get(_POINTS, name=mail["name"])


@proves("alerting.create_mute", "alerting.get_mute", "alerting.list_mutes")
def test_a_mute_timing_is_made_and_read(target: Target) -> None:
    path, made = _make_mute(target)
    read = target.get(path)
    assert [timing for timing in target.get(_MUTES) if timing["name"] == made["name"]] == [read]
    for found in (made, read):
        assert (found["name"], found["time_intervals"], found["provenance"]) == (f"{target.prefix} nights", _TIMES, "api")
        assert found["version"]


@proves("alerting.check_mute_free", "alerting.check_times")
def test_a_taken_name_and_wrong_times_are_refused(target: Target) -> None:
    _make_mute(target)
    assert target.call("POST", _MUTES, _mute(target)).status_code == 400
    wrong = [{"times": [{"start_time": "25:00", "end_time": "26:00"}]}]
    assert target.call("POST", _MUTES, _mute(target, "wrong", time_intervals=wrong)).status_code == 400


@proves("alerting.update_mute", "alerting.check_mute_version", "alerting.mute_version")
def test_a_stale_version_is_refused_and_none_is_not(target: Target) -> None:
    path, made = _make_mute(target)
    changed = target.make("PUT", path, _mute(target, time_intervals=[{"weekdays": ["monday"]}], version=made["version"]), status=202)
    assert changed["version"] != made["version"]
    late = target.call("PUT", path, _mute(target, version=made["version"]))
    assert late.status_code == 409
    assert target.get(path)["version"] == changed["version"]
    assert target.make("PUT", path, {"time_intervals": _TIMES}, status=202)["version"] == made["version"]


@proves("alerting.existing_mute", "alerting.delete_mute")
def test_a_mute_timing_that_is_not_there(target: Target) -> None:
    path = f"{_MUTES}/{target.prefix}%20nothing"
    assert target.call("GET", path).status_code == 404
    assert target.call("PUT", path, _mute(target, "nothing")).status_code == 404
    assert target.call("DELETE", path).status_code == 204


@proves("alerting.delete_mute")
def test_a_deleted_mute_timing_is_gone(target: Target) -> None:
    path, made = _make_mute(target)
    assert target.call("DELETE", path, version="0" * 16).status_code == 409
    assert target.call("DELETE", path, version=made["version"]).status_code == 204
    assert target.call("GET", path).status_code == 404


@proves("alerting.check_transition")
def test_a_mute_timing_cannot_lose_its_provenance_but_in_later_13(target: Target) -> None:
    path, _ = _make_mute(target)
    answer = target.call("PUT", path, _mute(target), headers=_BY_HAND)
    assert answer.status_code in ((403, 202) if target.at_least(13) else (403,))
    if answer.status_code == 403:
        assert answer.json()["messageId"] == "alerting.notifications.invalidProvenance"
        assert target.get(path)["provenance"] == "api"
