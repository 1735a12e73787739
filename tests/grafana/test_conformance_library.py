"""Library elements."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grafana.conftest import Target
from tests.grafana.rules import proves

_MODEL = {"type": "timeseries", "title": "Shared", "targets": [{"refId": "A", "expr": "up"}], "options": {"legend": {"showLegend": True}}}


def _make(target: Target, key: str = "panel", /, **more: Any) -> Any:
    uid = f"{target.prefix}-{key}"
    element = {"uid": uid, "name": uid, "kind": 1, "folderUid": "", "model": _MODEL, **more}
    return target.make("POST", "/api/library-elements", element, remove=f"/api/library-elements/{element['uid']}")["result"]


def _show(target: Target, element: Any) -> str:
    board = f"{target.prefix}-board"
    panel = {"id": 1, "gridPos": {"x": 0, "y": 0, "w": 6, "h": 6}, "libraryPanel": {"uid": element["uid"], "name": element["name"]}}
    row = {"id": 2, "type": "row", "title": "Row", "collapsed": True, "gridPos": {"x": 0, "y": 6, "w": 24, "h": 1}, "panels": [panel]}
    target.make(
        "POST", "/api/dashboards/db", {"dashboard": {"uid": board, "title": board, "panels": [row]}}, remove=f"/api/dashboards/uid/{board}"
    )
    return board


@proves("library.create", "library.get")
def test_a_library_panel_is_made_and_read(target: Target) -> None:
    folder = target.folder()
    made = _make(target, folderUid=folder)
    read = target.get(f"/api/library-elements/{made['uid']}")["result"]
    for found in (made, read):
        assert (found["name"], found["kind"], found["version"], found["folderUid"]) == (made["uid"], 1, 1, folder)
        assert (found["type"], found["meta"]["connectedDashboards"]) == ("timeseries", 0)
    assert {"created", "updated", "createdBy", "updatedBy"} <= read["meta"].keys()


@proves("library.with_type_and_description")
def test_the_model_is_kept_and_completed(target: Target) -> None:
    made = _make(target)
    assert target.get(f"/api/library-elements/{made['uid']}")["result"]["model"] == {**_MODEL, "description": ""}
    bare = _make(target, "bare", model={"title": "Bare"})
    assert target.get(f"/api/library-elements/{bare['uid']}")["result"]["model"] == {"title": "Bare", "type": "", "description": ""}


@proves("library.author")
def test_who_changed_it_stands_there_by_login(target: Target) -> None:
    login = target.get("/api/user")["login"]
    meta = target.get(f"/api/library-elements/{_make(target)['uid']}")["result"]["meta"]
    assert (meta["createdBy"]["name"], meta["updatedBy"]["name"]) == (login, login)


@proves("library.check_free")
def test_a_name_is_there_once_in_a_folder(target: Target) -> None:
    folder, made = target.folder(), _make(target)
    for taken in ({"uid": f"{made['uid']}-2"}, {"name": f"{made['name']} 2"}):
        element = {"uid": made["uid"], "name": made["name"], "kind": 1, "folderUid": "", "model": _MODEL, **taken}
        answer = target.call("POST", "/api/library-elements", element)
        assert answer.status_code == 400
        assert "already exists" in answer.json()["message"]
    _make(target, "elsewhere", name=made["name"], folderUid=folder)


@proves("folders.check_uid")
@pytest.mark.parametrize("uid", ["x" * 41, "no space"])
def test_a_bad_uid_is_refused(target: Target, uid: str) -> None:
    element = {"uid": uid, "name": f"{target.prefix} bad", "kind": 1, "folderUid": "", "model": _MODEL}
    assert target.call("POST", "/api/library-elements", element).status_code in (400, 422)


@proves("library.check_folder")
def test_a_folder_that_is_not_there_is_refused(target: Target) -> None:
    element = {"uid": f"{target.prefix}-lost", "name": "Lost", "kind": 1, "folderUid": f"{target.prefix}-nothing", "model": _MODEL}
    assert target.call("POST", "/api/library-elements", element).status_code in (400, 404)


@proves("library.update", "library.check_version")
def test_a_change_needs_the_version(target: Target) -> None:
    path = f"/api/library-elements/{_make(target)['uid']}"
    changed = target.make("PATCH", path, {"kind": 1, "version": 1, "model": {**_MODEL, "title": "Changed"}})["result"]
    assert (changed["version"], changed["model"]["title"]) == (2, "Changed")
    late = target.call("PATCH", path, {"kind": 1, "version": 1, "model": {**_MODEL, "title": "Late"}})
    assert late.status_code == 412
    assert "changed by someone else" in late.json()["message"]
    kept = target.get(path)["result"]
    assert (kept["version"], kept["model"]["title"], kept["name"]) == (2, "Changed", changed["name"])


@proves("library.connections", "library.check_unused", "library.delete")
def test_a_library_panel_in_use_cannot_be_deleted(target: Target) -> None:
    made = _make(target)
    board, path = _show(target, made), f"/api/library-elements/{made['uid']}"
    target.eventually(lambda: [found["connectionUid"] for found in target.get(path + "/connections")["result"]], [board])
    assert target.get(path)["result"]["meta"]["connectedDashboards"] == 1
    answer = target.call("DELETE", path)
    assert answer.status_code == 403
    assert "has connections" in answer.json()["message"]
    target.make("DELETE", f"/api/dashboards/uid/{board}", None)
    target.eventually(lambda: target.get(path + "/connections")["result"], [])
    assert target.make("DELETE", path, None)["message"] == "Library element deleted"
    assert target.call("GET", path).status_code == 404


@proves("library.existing")
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_library_panel_that_is_not_there(target: Target, method: str) -> None:
    document = {"kind": 1, "version": 1, "name": "x"} if method == "PATCH" else None
    assert target.call(method, f"/api/library-elements/{target.prefix}-nothing", document).status_code == 404


@proves("library.list_all")
def test_the_list_comes_by_folder_and_page_by_page(target: Target) -> None:
    folder = target.folder()
    made = [_make(target, name, folderUid=folder)["uid"] for name in ("one", "three", "two")]
    pages = [target.get("/api/library-elements", folderFilterUIDs=folder, perPage="2", page=page)["result"] for page in ("1", "2")]
    assert [element["uid"] for page in pages for element in page["elements"]] == made
    assert [(page["totalCount"], page["perPage"], page["page"]) for page in pages] == [(3, 2, 1), (3, 2, 2)]
