"""Dashboards over the old API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grafana.conftest import Target
from tests.grafana.rules import proves

_V2: dict[str, Any] = {"elements": {}, "layout": {"kind": "GridLayout", "spec": {"items": []}}}


def _save(target: Target, name: str = "board", *, folder: str = "", overwrite: bool = False, **model: Any) -> Any:
    uid = f"{target.prefix}-{name}"
    dashboard = {"uid": uid, "title": uid, **model}
    return target.call(
        "POST", "/api/dashboards/db", {"dashboard": dashboard, "folderUid": folder, "overwrite": overwrite, "message": "test"}
    )


def _made(target: Target, name: str = "board", **more: Any) -> str:
    answer = _save(target, name, **more)
    assert answer.status_code == 200, answer.text
    target.remove_later(f"/api/dashboards/uid/{answer.json()['uid']}")
    return str(answer.json()["uid"])


@proves("dashboards.save", "dashboards.get")
def test_a_dashboard_is_made_and_read(target: Target) -> None:
    folder = target.folder()
    answer = _save(target, folder=folder, tags=["a"]).json()
    uid = answer["uid"]
    assert (answer["status"], answer["version"], answer["folderUid"], answer["url"]) == ("success", 1, folder, f"/d/{uid}/{uid}")
    read = target.get(f"/api/dashboards/uid/{uid}")
    assert {key: read["dashboard"][key] for key in ("uid", "title", "tags", "version")} == {
        "uid": uid,
        "title": uid,
        "tags": ["a"],
        "version": 1,
    }
    assert read["dashboard"]["id"] == answer["id"]
    meta = read["meta"]
    assert (meta["folderUid"], meta["version"], meta["provisioned"], meta["url"]) == (folder, 1, False, answer["url"])
    assert {"created", "createdBy", "updated", "updatedBy", "folderTitle", "canSave"} <= meta.keys()


@proves("dashboards.save")
def test_a_dashboard_without_a_folder_is_at_the_root(target: Target) -> None:
    uid = _made(target, folder=target.folder())
    assert _save(target, overwrite=True).status_code == 200
    assert target.get(f"/api/dashboards/uid/{uid}")["meta"].get("folderUid", "") == ""


@proves("dashboards.kept_model")
def test_the_model_is_kept_as_it_was_sent(target: Target) -> None:
    panel = {
        "id": 1,
        "type": "timeseries",
        "title": "One",
        "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8},
        "targets": [{"refId": "A", "expr": "up"}],
    }
    model: dict[str, Any] = {
        "schemaVersion": 39,
        "panels": [panel],
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": []},
        "editable": True,
    }
    found = target.get(f"/api/dashboards/uid/{_made(target, **model)}")["dashboard"]
    assert {key: found[key] for key in model} == model
    assert found.keys() - model.keys() <= {"id", "uid", "title", "version"}


@proves("dashboards.check_version")
def test_a_change_needs_the_version_or_overwrite(target: Target) -> None:
    uid = _made(target)
    assert _save(target, title="By another", version=1).status_code == 200
    for stale in (1, None):
        late = _save(target, title="Late", version=stale)
        assert late.status_code == (409 if target.at_least(13, 2) else 412)
        if late.status_code == 412:
            assert late.json()["status"] == "version-mismatch"
    assert target.get(f"/api/dashboards/uid/{uid}")["dashboard"]["title"] == "By another"
    assert _save(target, title="Forced", overwrite=True).status_code == 200
    assert target.get(f"/api/dashboards/uid/{uid}")["dashboard"]["title"] == "Forced"


@proves("dashboards.next_version")
def test_a_change_raises_the_version_and_no_change_need_not(target: Target) -> None:
    _made(target)
    assert _save(target, title="Changed", version=1).json()["version"] == 2
    assert _save(target, title="Changed", overwrite=True).json()["version"] in (2, 3)


@proves("dashboards.save")
def test_two_dashboards_in_a_folder_may_bear_one_title(target: Target) -> None:
    folder = target.folder()
    assert [_save(target, name, folder=folder, title="Same").status_code for name in ("one", "two")] == [200, 200]


@proves("dashboards.check_title")
def test_a_dashboard_needs_a_title(target: Target) -> None:
    assert _save(target, title="").status_code == 400


@proves("folders.check_uid")
@pytest.mark.parametrize("uid", ["x" * 41, "no space"])
def test_a_bad_uid_is_refused(target: Target, uid: str) -> None:
    assert _save(target, uid=uid).status_code in (400, 422)


@proves("dashboards.check_folder")
def test_a_folder_that_is_not_there_is_refused(target: Target) -> None:
    answer = _save(target, folder=f"{target.prefix}-nothing")
    assert answer.status_code == 400
    assert "folder not found" in answer.json()["message"].lower()


@proves("dashboards.existing")
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_dashboard_that_is_not_there(target: Target, method: str) -> None:
    answer = target.call(method, f"/api/dashboards/uid/{target.prefix}-nothing")
    assert answer.status_code == 404
    assert answer.json()["message"] == "Dashboard not found"


@proves("dashboards.delete")
def test_a_deleted_dashboard_is_gone(target: Target) -> None:
    uid = _made(target)
    answer = target.make("DELETE", f"/api/dashboards/uid/{uid}", None)
    assert (answer["title"], answer["message"]) == (uid, f"Dashboard {uid} deleted")
    assert target.call("GET", f"/api/dashboards/uid/{uid}").status_code == 404


@proves("dashboards.check_not_provisioned")
def test_a_provisioned_dashboard_cannot_be_changed_or_deleted(target: Target) -> None:
    uid = target.provisioned("dashboard", {"uid": f"{target.prefix}-file", "title": "From a file"})
    found = target.get(f"/api/dashboards/uid/{uid}")
    assert found["meta"]["provisioned"]
    assert found["meta"]["provisionedExternalId"]
    body = {"dashboard": {**found["dashboard"], "title": "By hand"}, "folderUid": found["meta"].get("folderUid", ""), "overwrite": True}
    saved, deleted = target.call("POST", "/api/dashboards/db", body), target.call("DELETE", f"/api/dashboards/uid/{uid}")
    assert (saved.status_code, deleted.status_code) == (400, 400)
    assert "provisioned dashboard" in saved.json()["message"]
    assert "provisioned dashboard" in deleted.json()["message"]


@proves("dashboards.check_not_of_plugin")
def test_a_plugins_dashboard_needs_overwrite(target: Target) -> None:
    uid = target.provisioned("plugin_dashboard", {"uid": f"{target.prefix}-plugin", "title": "From a plugin"})
    found = target.get(f"/api/dashboards/uid/{uid}")
    body = {"dashboard": found["dashboard"], "folderUid": found["meta"].get("folderUid", "")}
    answer = target.call("POST", "/api/dashboards/db", body)
    if target.at_least(13, 2):
        assert answer.status_code in (200, 412)
    else:
        assert (answer.status_code, answer.json()["status"]) == (412, "plugin-dashboard")


@proves("dashboards.check_not_v2")
def test_a_v2_model_is_refused_by_13_and_emptied_by_12(target: Target) -> None:
    answer = _save(target, **_V2)
    if target.at_least(13):
        assert answer.status_code == 400
        assert "v2 format" in answer.json()["message"]
        return
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        target.make("DELETE", f"/api/dashboards/uid/{answer.json()['uid']}", None)


@proves("dashboards.check_not_wrapped")
def test_a_wrapped_dashboard_with_an_id_is_refused(target: Target) -> None:
    uid = f"{target.prefix}-wrapped"
    wrapped = {
        "apiVersion": "dashboard.grafana.app/v2",
        "kind": "Dashboard",
        "metadata": {"name": uid},
        "spec": {"title": uid, **_V2},
        "id": 0,
    }
    answer = target.call("POST", "/api/dashboards/db", {"dashboard": wrapped})
    assert answer.status_code == 400
    if target.at_least(13):
        assert "k8s style" in answer.json()["message"]


@proves("dashboards.create_new_form", "dashboards.check_not_new_form")
def test_a_dashboard_saved_in_v2_is_refused_or_converted(target: Target) -> None:
    uid, path = f"{target.prefix}-v2", "/apis/dashboard.grafana.app/v2beta1/namespaces/default/dashboards"
    spec = {
        "title": uid,
        "annotations": [],
        "cursorSync": "Off",
        "editable": True,
        "links": [],
        "preload": False,
        "tags": [],
        "variables": [],
    }
    spec |= _V2 | {"timeSettings": {"from": "now-6h", "to": "now", "autoRefresh": "", "autoRefreshIntervals": [], "fiscalYearStartMonth": 0,
                                    "hideTimepicker": False}}  # fmt: skip
    made = target.call("POST", path, {"metadata": {"name": uid}, "spec": spec})
    if made.status_code == 404:
        pytest.skip("this Grafana does not serve dashboard.grafana.app/v2beta1")
    assert made.status_code == 201, made.text
    read = target.call("GET", f"/api/dashboards/uid/{uid}")
    written_over = target.call("POST", "/api/dashboards/db", {"dashboard": {"uid": uid, "title": f"{uid} old"}, "overwrite": True})
    again = target.call("GET", f"/api/dashboards/uid/{uid}")
    assert target.call("DELETE", f"/api/dashboards/uid/{uid}").status_code == 200
    assert written_over.status_code == 200, written_over.text
    assert (again.status_code, again.json()["dashboard"]["title"]) == (200, f"{uid} old")
    if not target.at_least(13):
        assert read.status_code == 406
    if read.status_code == 406:
        assert f"/namespaces/default/dashboards/{uid}" in read.json()["message"]
    else:
        assert (read.status_code, read.json()["dashboard"]["title"]) == (200, uid)


@proves("dashboards.search")
def test_the_search_finds_by_folder_tag_and_title(target: Target) -> None:
    folder = target.folder()
    one, two = (_made(target, name, folder=folder, tags=[target.prefix, name]) for name in ("one", "two"))
    for query in ({"folderUIDs": folder}, {"tag": target.prefix}, {"query": target.prefix}):
        target.eventually(lambda query=query: {hit["uid"] for hit in target.get("/api/search", type="dash-db", **query)}, {one, two})  # type: ignore[misc]
    [hit] = target.get("/api/search", type="dash-db", tag="one", folderUIDs=folder)
    assert (hit["uid"], hit["folderUid"], hit["url"], hit["type"]) == (one, folder, f"/d/{one}/{one}", "dash-db")
    pages = [target.get("/api/search", type="dash-db", folderUIDs=folder, limit="1", page=str(page)) for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [1, 1, 0]
