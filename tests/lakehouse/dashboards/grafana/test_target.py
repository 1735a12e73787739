from __future__ import annotations

import json

import pytest
import requests

from lakehouse.dashboards.objects import Key
from lakehouse.dashboards.plan import Action
from lakehouse.exceptions import ConfigurationError, ServiceError
from tests.grafana.server import GrafanaServer
from tests.lakehouse.dashboards.grafana.folder import FILES, PASSWORD, SLACK, Grafana, board, panel, rule

KINDS = 10
MUTE = ("contact_points/email.json", "notification_policies/t.json", "rule_groups/t.json")
GROUP = "/api/v1/provisioning/folder/t/rule-groups/t%20rules"
POLICIES = "/api/v1/provisioning/policies"


def test_everything_is_made_in_an_order_that_grafana_takes_and_then_nothing_is_written(grafana):
    assert grafana.plan().counts()["create"] == KINDS
    grafana.apply()
    assert grafana.plan().counts()["unchanged"] == KINDS
    assert grafana.apply() == []


@pytest.mark.parametrize(
    ("path", "change", "written"),
    [
        ("folders/t.json", {"title": "New"}, ["PUT /api/folders/t"]),
        ("data_sources/prometheus.json", {"url": "http://other:9090"}, ["PUT /api/datasources/uid/t-prometheus"]),
        ("library_panels/shared.json", {"name": "Other"}, ["PATCH /api/library-elements/t-shared"]),
        ("dashboards/t/one.json", {"title": "Other"}, ["POST /api/dashboards/db"]),
        ("mute_timings/nights.json", {"time_intervals": [{"weekdays": ["sunday"]}]}, ["PUT /api/v1/provisioning/mute-timings/t%20nights"]),
        ("contact_points/email.json", {"disableResolveMessage": True}, ["PUT /api/v1/provisioning/contact-points/t-email"]),
        ("notification_policies/t.json", {"group_wait": "45s"}, ["PUT /api/v1/provisioning/policies"]),
        ("rule_groups/t.json", {"interval": 120}, ["PUT /api/v1/provisioning/folder/t/rule-groups/t%20rules"]),
    ],
)
def test_one_changed_file_is_one_write(grafana, path, change, written):
    grafana.apply()
    grafana.put(path, {**FILES[path], **change})
    assert grafana.apply() == written
    assert grafana.apply() == []


def test_what_a_file_no_longer_says_is_gone_from_the_board(grafana):
    grafana.apply()
    first = panel(1, "first")
    del first["fieldConfig"]["defaults"]["unit"]
    grafana.put("dashboards/t/one.json", board("t-one", "One", first))
    (change,) = grafana.plan().of(Action.CHANGE)
    assert [d.path for d in change.differences] == ["panels[2]", "panels[1].fieldConfig.defaults.unit"]
    grafana.apply()
    live = grafana.by_hand("GET", "/api/dashboards/uid/t-one")["dashboard"]
    assert [one["id"] for one in live["panels"]] == [1]
    assert live["panels"][0]["fieldConfig"]["defaults"] == {}


def test_what_grafana_leaves_out_because_it_is_not_set_is_no_difference_and_setting_it_by_hand_is_drift(grafana):
    grafana.put("notification_policies/t.json", {**FILES["notification_policies/t.json"], "continue": False, "group_interval": "300s"})
    rules = [{**rule("t-r1", "Rule one"), "isPaused": False, "keep_firing_for": "0s"}]
    grafana.put("rule_groups/t.json", {**FILES["rule_groups/t.json"], "rules": rules})
    grafana.apply()
    assert grafana.apply() == []
    group = grafana.by_hand("GET", GROUP)
    group["rules"][0]["isPaused"] = True
    grafana.by_hand("PUT", GROUP, group)
    (change,) = grafana.plan().of(Action.DRIFTED)
    assert [d.path for d in change.differences] == ["rules[t-r1].isPaused"]
    assert len(grafana.apply(overwrite_drift=True)) == 1
    assert grafana.by_hand("GET", GROUP)["rules"][0]["isPaused"] is False


def test_a_board_as_grafana_exports_it_comes_to_rest_with_grafanas_own_variables_as_they_are(grafana):
    exported = {**board("t-three", "${CUSTOMER}", panel(1, "one", 'up{job="${JOB}"}')), "version": 41, "iteration": 3}
    exported["templating"] = {"list": [{"name": name, "type": "textbox", "query": name} for name in ("CUSTOMER", "JOB")]}
    grafana.put("dashboards/t/three.json", exported)
    grafana.apply()
    assert grafana.apply() == []
    assert grafana.by_hand("GET", "/api/dashboards/uid/t-three")["dashboard"]["title"] == "${CUSTOMER}"


@pytest.mark.fault(20)
def test_an_edit_by_hand_is_shown_with_its_author_and_left_until_told(grafana):
    grafana.apply()
    grafana.edit_board("t-one", title="By hand")
    (change,) = grafana.plan().of(Action.DRIFTED)
    assert (change.editor, [(d.path, d.old, d.new) for d in change.differences]) == ("kim", [("title", "One", "By hand")])
    assert grafana.apply() == []
    assert grafana.apply(overwrite_drift=True) == ["POST /api/dashboards/db"]
    assert grafana.by_hand("GET", "/api/dashboards/uid/t-one")["dashboard"]["title"] == "One"


@pytest.mark.fault(20)
@pytest.mark.fault(21)
def test_an_edit_between_the_reading_and_the_write_is_reported_and_not_written_over(grafana):
    grafana.apply()
    grafana.put("dashboards/t/one.json", {**FILES["dashboards/t/one.json"], "title": "From the file"})

    def edit(step: str) -> None:
        if step.startswith("write"):
            grafana.edit_board("t-one", title="By hand")

    with pytest.raises(ServiceError, match="dashboards t-one was changed by someone since it was read, and is left as they made it"):
        grafana.sync(point=edit).apply()
    assert grafana.by_hand("GET", "/api/dashboards/uid/t-one")["dashboard"]["title"] == "By hand"
    (change,) = grafana.plan().of(Action.DRIFTED)
    assert (change.editor, change.conflict) == ("kim", True)


def test_what_the_server_provisions_from_its_own_files_is_shown_and_left(grafana):
    grafana.server.provision("data_source", {"uid": "t-prometheus", "name": "Theirs", "type": "prometheus", "url": "http://theirs"})
    grafana.by_hand("POST", "/api/folders", {"uid": "t", "title": "T"})
    grafana.server.provision("dashboard", board("t-one", "Theirs"), folder="t")
    assert not [path for path in grafana.apply() if "t-prometheus" in path]
    plan = grafana.plan()
    locked = {str(change.key): change.locked for change in plan.changes if change.locked}
    assert locked == dict.fromkeys(["data_sources/t-prometheus", "dashboards/t-one"], "provisioned from a file of the server")
    assert "left alone: provisioned from a file of the server" in plan.to_markdown()


@pytest.mark.fault(23)
def test_secrets_stand_in_no_plan_record_or_backup_and_a_new_one_is_one_write(grafana, caplog):
    grafana.apply()
    grafana.variables["SLACK_WEBHOOK_URL"] = SLACK + "-new"
    (change,) = grafana.plan().of(Action.CHANGE)
    assert (change.key, [d.path for d in change.differences]) == (Key("contact_points", "t-slack"), ["password"])
    assert grafana.apply() == ["PUT /api/v1/provisioning/contact-points/t-slack"]
    assert grafana.apply() == []
    kept = b"".join(grafana.store.objects.values()).decode() + grafana.plan().to_markdown(unchanged=True) + caplog.text
    for secret in (SLACK, PASSWORD, json.dumps(PASSWORD)[1:-1]):
        assert secret not in kept


def test_without_slack_its_contact_point_is_left_out_and_the_rest_is_made(grafana):
    grafana.variables["SLACK_WEBHOOK_URL"] = ""
    assert grafana.target().left_out == {"contact_points/slack.json": "SLACK_WEBHOOK_URL"}
    grafana.apply()
    assert grafana.plan().counts()["unchanged"] == KINDS - 1


def test_a_policy_to_nobody_is_left_out_with_its_contact_points(grafana):
    grafana.variables |= {"SLACK_WEBHOOK_URL": "", "ALERT_ADDRESSES": ""}
    assert set(grafana.target().left_out) == {
        "contact_points/slack.json",
        "contact_points/email.json",
        "notification_policies/t.json",
        "rule_groups/t.json",
    }


def test_what_is_left_out_later_is_no_orphan(grafana):
    grafana.apply()
    grafana.variables |= {"SLACK_WEBHOOK_URL": "", "ALERT_ADDRESSES": ""}
    assert grafana.plan().of(Action.ORPHANED) == ()
    assert grafana.apply() == []


def test_folders_below_folders_with_teams_and_users_are_made_moved_and_renamed_in_one_sync(grafana):
    grafana.by_hand("POST", "/api/teams", {"name": "Desk"})
    permissions = [{"role": "Viewer", "permission": 1}, {"team": "Desk", "permission": 2}, {"user": "kim", "permission": 4}]
    for uid, parent in (("a", "b"), ("b", "c"), ("c", "")):
        grafana.put(f"folders/{uid}.json", {"uid": uid, "title": uid, "parentUid": parent, "permissions": permissions})
    grafana.apply()
    assert grafana.apply() == []
    grafana.put("folders/a.json", {"uid": "a", "title": "moved", "parentUid": "", "permissions": permissions})
    assert grafana.apply() == ["POST /api/folders/a/move", "PUT /api/folders/a"]
    for uid in ("a", "b", "c"):
        grafana.remove(f"folders/{uid}.json")
    grafana.apply()
    removed, _ = grafana.sync().prune([change.key for change in grafana.plan().of(Action.ORPHANED)], limit=9)
    assert len(removed) == 3


def test_a_team_that_grafana_does_not_know_is_named_and_the_rest_is_written(grafana):
    grafana.put("folders/t.json", {**FILES["folders/t.json"], "permissions": [{"team": "Nobody", "permission": 1}]})
    with pytest.raises(ServiceError, match="folders/t: a folder's permissions name the team 'Nobody'"):
        grafana.apply()
    assert grafana.plan().counts()["unchanged"] == KINDS - 1


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("data_sources/prometheus.json", {"url": "http://new"}),
        ("mute_timings/nights.json", {"time_intervals": [{"weekdays": ["sunday"]}]}),
        ("contact_points/email.json", {"disableResolveMessage": True}),
        ("notification_policies/t.json", {"group_wait": "1m"}),
        ("rule_groups/t.json", {"interval": 30}),
    ],
)
def test_what_somebody_has_there_already_is_not_written_over_where_no_author_is_told(grafana, path, change):
    grafana.apply()
    grafana.store.objects.clear()  # a first sync
    grafana.put(path, {**FILES[path], **change})
    drifted = [change.key for change in grafana.plan().of(Action.DRIFTED)]
    assert [key.kind for key in drifted] == [path.split("/")[0]]
    # Whether secrets are still the same is not known without a record: what is as its file says otherwise is sent once more.
    assert {call.rsplit("/", 1)[1] for call in grafana.apply()} == {"t-prometheus", "t-slack"} - {key.id for key in drifted}


def test_a_secret_that_a_file_no_longer_has_is_taken_from_the_data_source(grafana):
    grafana.apply()
    grafana.put(
        "data_sources/prometheus.json",
        {key: value for key, value in FILES["data_sources/prometheus.json"].items() if key != "secureJsonData"},
    )
    grafana.apply()
    assert grafana.by_hand("GET", "/api/datasources/uid/t-prometheus")["secureJsonFields"] == {}
    assert grafana.apply() == []


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("pagerduty", {"integrationKey": "${HIDDEN}"}),
        ("webhook", {"url": "https://example.test", "http_config": {"oauth2": {"client_secret": "${HIDDEN}"}}}),
    ],
)
def test_the_secrets_of_any_contact_point_are_masked(grafana, kind, settings):
    grafana.variables["HIDDEN"] = "s3cret-setting"
    grafana.put("contact_points/other.json", {"uid": "t-other", "name": "Other", "type": kind, "settings": settings})
    grafana.apply()
    assert b"s3cret-setting" not in b"".join(grafana.store.objects.values())
    assert "s3cret-setting" not in grafana.plan().to_markdown(unchanged=True)
    assert grafana.apply() == []


def test_a_contact_point_that_is_gone_is_not_restored_with_its_mask_for_a_secret(grafana):
    grafana.apply()
    grafana.by_hand("DELETE", "/api/v1/provisioning/policies")
    grafana.remove("contact_points/slack.json")
    grafana.apply()
    keys = [change.key for change in grafana.plan().of(Action.ORPHANED)]
    _, backup = grafana.sync().prune(keys, limit=9)
    with pytest.raises(ServiceError, match=r"T on-call \(slack\) is gone, and so is its secret"):
        grafana.sync().restore(backup)


def test_restore_takes_back_what_was_set_by_hand_after_the_backup(grafana):
    grafana.apply()
    grafana.put("rule_groups/t.json", {**FILES["rule_groups/t.json"], "interval": 120})
    _, written = grafana.sync().apply()
    group = grafana.by_hand("GET", GROUP)
    group |= {"interval": 60}
    group["rules"][0]["isPaused"] = True
    grafana.by_hand("PUT", GROUP, group)
    grafana.sync().restore(written.backup)
    assert grafana.by_hand("GET", GROUP)["rules"][0]["isPaused"] is False


def test_a_rule_that_is_paused_by_hand_is_drift_also_without_a_record(grafana):
    rules = [{**rule("t-r1", "Rule one"), "isPaused": False}]
    grafana.put("rule_groups/t.json", {**FILES["rule_groups/t.json"], "rules": rules})
    grafana.apply()
    group = grafana.by_hand("GET", GROUP)
    group["rules"][0]["isPaused"] = True
    grafana.by_hand("PUT", GROUP, group)
    grafana.store.objects.clear()
    (change,) = grafana.plan().of(Action.DRIFTED)
    assert [d.path for d in change.differences] == ["rules[t-r1].isPaused"]


def test_other_peoples_routes_and_the_root_stay_as_they_are(grafana):
    tree = grafana.by_hand("GET", POLICIES)
    theirs = {"receiver": tree["receiver"], "object_matchers": [["team", "=", "other"]]}
    grafana.by_hand("PUT", POLICIES, {**tree, "group_wait": "10s", "routes": [theirs]})
    grafana.apply()
    after = grafana.by_hand("GET", POLICIES)
    assert [route["receiver"] for route in after["routes"]] == ["T on-call", tree["receiver"]]
    assert (after["receiver"], after["group_wait"]) == (tree["receiver"], "10s")


def test_a_tree_that_another_tool_has_is_named_with_what_to_do_and_the_rest_is_made(grafana):
    tree = grafana.by_hand("GET", POLICIES)
    response = requests.put(f"{grafana.server.url}{POLICIES}", json=tree, auth=grafana.server.user("terraform", "Admin"), timeout=10)
    assert response.ok
    with pytest.raises(ServiceError, match="takes no route of ours: its provenance is `api`: another tool has it"):
        grafana.apply()
    assert [str(change.key) for change in grafana.plan().of(Action.CREATE)] == ["notification_policies/team=t"]


@pytest.mark.fault(19)
def test_what_is_in_no_file_is_listed_and_pruned_only_when_ours_unedited_unused_and_within_the_limit(grafana):
    grafana.apply()
    grafana.edit_board("t-two", title="Mine now")
    for path in ("dashboards/t/one.json", "dashboards/t/two.json", "library_panels/shared.json"):
        grafana.remove(path)
    grafana.apply()
    orphans = {change.key: bool(change.differences) for change in grafana.plan().of(Action.ORPHANED)}
    assert orphans == {Key("dashboards", "t-one"): False, Key("dashboards", "t-two"): True, Key("library_panels", "t-shared"): False}
    removed, backup = grafana.sync().prune(orphans, limit=2)
    # The library panel is on a board that someone has taken over.
    assert [change.key for change in removed] == [Key("dashboards", "t-one")]
    assert set(grafana.memory.backup(backup).objects) == {Key("dashboards", "t-one"), Key("library_panels", "t-shared")}


@pytest.mark.fault(19)
def test_a_folder_with_something_in_it_is_not_removed(grafana):
    grafana.apply()
    grafana.remove("folders/t.json")
    for path in [path for path in FILES if path.startswith(("dashboards", "library_panels", "rule_groups"))]:
        grafana.remove(path)
    grafana.sync().apply()
    theirs = {"dashboard": board("theirs", "Theirs"), "folderUid": "t"}
    grafana.by_hand("POST", "/api/dashboards/db", theirs)
    orphans = [change.key for change in grafana.plan().of(Action.ORPHANED)]
    removed, _ = grafana.sync().prune(orphans, limit=10)
    assert Key("folders", "t") in orphans
    assert Key("folders", "t") not in [change.key for change in removed]
    assert grafana.by_hand("GET", "/api/dashboards/uid/theirs")["meta"]["folderUid"] == "t"


def test_restore_brings_back_what_a_backup_holds(grafana):
    grafana.apply()
    grafana.edit_board("t-one", title="By hand")
    _, written = grafana.sync().apply(overwrite_drift=True)
    grafana.sync().restore(written.backup)
    assert grafana.by_hand("GET", "/api/dashboards/uid/t-one")["dashboard"]["title"] == "By hand"
    assert grafana.plan().counts()["drifted"] == 1


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    ("token", "words"),
    [
        (lambda server: server.token(expired=True), "Expired API key - the token of its connection is wrong, has expired, or was revoked"),
        (lambda _: "glsa_nobodys", "Invalid API key - the token of its connection is wrong"),
        (lambda server: server.token("Viewer"), "Permissions needed: .* - the service account of its connection needs the role Admin"),
    ],
)
def test_a_token_that_will_not_do_is_named_with_what_to_do_and_nothing_is_written(grafana, token, words, monkeypatch):
    text = token(grafana.server)
    monkeypatch.setattr(grafana.server, "token", lambda: text)
    with pytest.raises(ServiceError, match=words):
        grafana.apply()
    assert grafana.server.writes == []


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    ("path", "key"),
    [("dashboards/t/one.json", "uid"), ("folders/t.json", "title"), ("mute_timings/nights.json", "name"), ("rule_groups/t.json", "title")],
)
def test_a_file_without_what_tells_it_from_others_is_named(grafana, path, key):
    grafana.put(path, {**FILES[path], key: None})
    with pytest.raises(ConfigurationError, match=f"{path}(.|\n)*`?{key}`?"):
        grafana.target()


def test_a_version_that_it_was_not_made_for_is_refused(tmp_path):
    with GrafanaServer("11.6.0") as server, pytest.raises(ConfigurationError, match=r"is 11\.6\.0: this sync was made for 12 and 13"):
        Grafana(tmp_path, server, server).target()
