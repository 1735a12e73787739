"""Folders and their permissions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grafana.conftest import Target
from tests.grafana.rules import proves


@proves("folders.create", "folders.get")
def test_a_folder_is_made_and_read(target: Target) -> None:
    uid = f"{target.prefix}-new"
    made = target.make("POST", "/api/folders", {"uid": uid, "title": "A new one"}, remove=f"/api/folders/{uid}")
    read = target.get(f"/api/folders/{uid}")
    for folder in (made, read):
        assert (folder["uid"], folder["title"], folder["version"]) == (uid, "A new one", 1)
        assert folder["url"] == f"/dashboards/f/{uid}/a-new-one"
        assert folder["canSave"]
        assert folder["canAdmin"]
    assert {"created", "createdBy", "updated", "updatedBy"} <= read.keys()


@proves("folders.create")
def test_a_folder_without_a_uid_gets_one(target: Target) -> None:
    made = target.call("POST", "/api/folders", {"title": f"{target.prefix} no uid"}).json()
    target.make("DELETE", f"/api/folders/{made['uid']}", None)


@proves("folders.check_free")
def test_a_taken_uid_is_refused(target: Target) -> None:
    uid = target.folder()
    answer = target.call("POST", "/api/folders", {"uid": uid, "title": "Another"})
    assert answer.status_code in (409, 412)
    assert target.get(f"/api/folders/{uid}")["title"] != "Another"


@proves("folders.check_free")
def test_two_folders_may_bear_one_title(target: Target) -> None:
    for name in ("one", "two"):
        uid = f"{target.prefix}-{name}"
        target.make("POST", "/api/folders", {"uid": uid, "title": f"{target.prefix} same"}, remove=f"/api/folders/{uid}")


@proves("folders.check_uid")
@pytest.mark.parametrize("uid", ["x" * 41, "no/slash", "no space"])
def test_a_bad_uid_is_refused(target: Target, uid: str) -> None:
    assert target.call("POST", "/api/folders", {"uid": uid, "title": f"{target.prefix} bad"}).status_code in (400, 422)


@proves("folders.check_title")
def test_a_folder_needs_a_title_of_its_own(target: Target) -> None:
    assert target.call("POST", "/api/folders", {"uid": f"{target.prefix}-none", "title": ""}).status_code == 400
    if target.at_least(13):
        assert target.call("POST", "/api/folders", {"uid": f"{target.prefix}-general", "title": "General"}).status_code == 400


@proves("folders.update")
def test_a_change_raises_the_version(target: Target) -> None:
    uid = target.folder()
    changed = target.make("PUT", f"/api/folders/{uid}", {"title": "Changed", "version": 1})
    assert (changed["uid"], changed["title"], changed["version"]) == (uid, "Changed", 2)
    assert target.get(f"/api/folders/{uid}")["title"] == "Changed"


@proves("folders.check_version")
def test_a_change_needs_the_version_or_overwrite(target: Target) -> None:
    uid = target.folder()
    target.make("PUT", f"/api/folders/{uid}", {"title": "By another", "version": 1})
    answer = target.call("PUT", f"/api/folders/{uid}", {"title": "Late", "version": 1})
    assert answer.status_code == 412
    assert answer.json()["status"] == "version-mismatch"
    assert "changed by someone else" in answer.json()["message"]
    assert target.get(f"/api/folders/{uid}")["title"] == "By another"
    target.make("PUT", f"/api/folders/{uid}", {"title": "Forced", "overwrite": True})
    assert target.get(f"/api/folders/{uid}")["title"] == "Forced"


@proves("folders.existing")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_folder_that_is_not_there(target: Target, method: str) -> None:
    document = {"title": "x", "version": 1} if method == "PUT" else None
    answer = target.call(method, f"/api/folders/{target.prefix}-nothing", document)
    assert answer.status_code == 404
    assert "not found" in answer.json()["message"].lower()


@proves("folders.list_folders")
def test_the_list_has_direct_children_only(target: Target) -> None:
    parent, child = target.folder(), f"{target.prefix}-child"
    target.make("POST", "/api/folders", {"uid": child, "title": "Child", "parentUid": parent}, remove=f"/api/folders/{child}")
    roots: list[str] = []
    for page in range(1, 100):
        found = [folder["uid"] for folder in target.get("/api/folders", limit="500", page=str(page))]
        roots += found
        if len(found) < 500:
            break
    assert parent in roots
    assert child not in roots
    assert [folder["uid"] for folder in target.get("/api/folders", parentUid=parent)] == [child]


@proves("folders.delete")
def test_a_deleted_folder_takes_its_dashboards_with_it(target: Target) -> None:
    uid, board = target.folder(), f"{target.prefix}-inside"
    target.make("POST", "/api/dashboards/db", {"dashboard": {"uid": board, "title": board}, "folderUid": uid})
    answer = target.call("DELETE", f"/api/folders/{uid}")
    assert answer.status_code == 200
    assert "deleted" in answer.json()["message"]
    assert target.call("GET", f"/api/folders/{uid}").status_code == 404
    assert target.call("GET", f"/api/dashboards/uid/{board}").status_code == 404


@proves("folders.default_permissions", "folders.get_permissions")
def test_a_new_folder_has_default_permissions(target: Target) -> None:
    found = target.get(f"/api/folders/{target.folder()}/permissions")
    roles = {item["role"]: (item["permission"], item["permissionName"]) for item in found if item.get("role")}
    roles.pop("Admin", None)
    assert roles == {"Editor": (2, "Edit"), "Viewer": (1, "View")}
    own = [(item["userLogin"], item["permission"]) for item in found if item.get("userId")]
    assert own == [(target.get("/api/user")["login"], 4)] or (target.at_least(13) and not own)


@proves("folders.set_permissions")
def test_permissions_replace_those_that_were_there(target: Target) -> None:
    uid = target.folder()
    answer = target.make("POST", f"/api/folders/{uid}/permissions", {"items": [{"role": "Viewer", "permission": 2}]})
    assert answer["message"] == "Folder permissions updated"
    found = target.get(f"/api/folders/{uid}/permissions")
    assert [(item.get("role"), item["permission"]) for item in found if not item.get("inherited")] == [("Viewer", 2)]


@proves("folders.set_permissions")
def test_a_permission_is_for_a_role_or_for_a_user(target: Target) -> None:
    document = {"items": [{"role": "Viewer", "userId": 1, "permission": 1}]}
    assert target.call("POST", f"/api/folders/{target.folder()}/permissions", document).status_code == 400


@proves("folders.check_no_rules")
def test_a_folder_with_alert_rules_goes_only_by_force(target: Target) -> None:
    uid = target.folder()
    query: dict[str, Any] = {
        "refId": "A",
        "datasourceUid": "__expr__",
        "relativeTimeRange": {"from": 0, "to": 0},
        "model": {"type": "math", "expression": "1"},
    }
    rule: dict[str, Any] = {
        "uid": f"{uid}-rule",
        "title": "One",
        "condition": "A",
        "data": [query],
        "noDataState": "OK",
        "execErrState": "OK",
        "for": "1m",
    }
    rule |= {"orgID": 1, "folderUID": uid, "ruleGroup": "group"}
    target.make("PUT", f"/api/v1/provisioning/folder/{uid}/rule-groups/group", {"title": "group", "interval": 60, "rules": [rule]})
    assert target.call("DELETE", f"/api/folders/{uid}").status_code == 400
    assert target.call("DELETE", f"/api/folders/{uid}", forceDeleteRules="true").status_code == 200
    assert target.call("GET", f"/api/v1/provisioning/alert-rules/{uid}-rule").status_code == 404


@proves("folders.check_no_library_in_use")
def test_a_folder_whose_library_panels_are_in_use_stays(target: Target) -> None:
    uid, panel, board = target.folder(), f"{target.prefix}-panel", f"{target.prefix}-board"
    element = {"uid": panel, "name": panel, "kind": 1, "folderUid": uid, "model": {"type": "text", "title": panel}}
    target.make("POST", "/api/library-elements", element)
    shows: dict[str, Any] = {"id": 1, "gridPos": {"x": 0, "y": 0, "w": 6, "h": 6}, "libraryPanel": {"uid": panel, "name": panel}}
    target.make("POST", "/api/dashboards/db", {"dashboard": {"uid": board, "title": board, "panels": [shows]}})
    target.eventually(lambda: len(target.get(f"/api/library-elements/{panel}/connections")["result"]), 1)
    assert target.call("DELETE", f"/api/folders/{uid}").status_code == 403
    target.make("DELETE", f"/api/dashboards/uid/{board}", None)
    target.eventually(lambda: len(target.get(f"/api/library-elements/{panel}/connections")["result"]), 0)
    assert target.call("DELETE", f"/api/folders/{uid}").status_code == 200
    assert target.call("GET", f"/api/library-elements/{panel}").status_code == 404
