"""Who is let in, who may do what, and what they are called."""

from __future__ import annotations

import pytest

from tests.grafana.conftest import Target
from tests.grafana.rules import proves


@proves("access.health", "access.frontend_settings")
def test_the_version_is_told(target: Target) -> None:
    health = target.anyone().get(target.url + "/api/health", timeout=30)
    assert health.status_code == 200
    assert health.json()["database"] == "ok"
    version = target.get("/api/frontend/settings")["buildInfo"]["version"]
    assert health.json().get("version", version) == version
    assert int(version.split(".")[0]) in (12, 13)


@proves("access.refuse_strangers")
def test_a_stranger_is_refused(target: Target) -> None:
    answer = target.anyone().get(target.url + "/api/folders", timeout=30)
    assert answer.status_code == 401
    assert answer.json()["message"] == "Unauthorized"
    assert answer.json().get("messageId", "auth.unauthorized") == "auth.unauthorized"


@proves("access.refuse_wrong_token")
def test_a_wrong_token_is_refused(target: Target) -> None:
    answer = target.anyone(Authorization="Bearer glsa_wrongwrongwrongwrongwrongwrongwr_00000000").get(
        target.url + "/api/folders", timeout=30
    )
    assert answer.status_code == 401
    assert answer.json()["message"] == "Invalid API key"


@proves("access.refuse_expired_token")
def test_an_expired_token_is_refused(target: Target) -> None:
    answer = target.expired().get(target.url + "/api/folders", timeout=30)
    assert answer.status_code == 401
    assert answer.json()["message"] == "Expired API key"


@proves("access.refuse_wrong_password")
def test_a_wrong_password_is_refused(target: Target) -> None:
    session = target.anyone()
    session.auth = (f"{target.prefix}-nobody", "wrong")
    assert session.get(target.url + "/api/folders", timeout=30).status_code == 401


@proves("access.refuse_without_permission")
def test_a_viewer_may_not_write(target: Target) -> None:
    viewer = target.role("Viewer")
    assert viewer.post(target.url + "/api/folders", json={"title": f"{target.prefix} no"}, timeout=30).status_code == 403
    answer = viewer.post(
        target.url + "/api/datasources", json={"name": f"{target.prefix}-no", "type": "prometheus", "access": "proxy"}, timeout=30
    )
    assert answer.status_code == 403
    assert "datasources:create" in answer.json()["message"]


@proves("access.refuse_without_permission")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_editor_may_not_touch_data_sources(target: Target, method: str) -> None:
    document = {"name": f"{target.prefix}-no", "type": "prometheus", "access": "proxy"}
    assert target.role("Editor").request(method, target.url + "/api/datasources", json=document, timeout=30).status_code == 403


@proves("access.refuse_without_permission")
@pytest.mark.parametrize(("method", "path"), [("POST", "contact-points"), ("PUT", "policies"), ("POST", "mute-timings")])
def test_a_viewer_may_not_touch_alert_channels(target: Target, method: str, path: str) -> None:
    document = {
        "name": f"{target.prefix}-no",
        "receiver": f"{target.prefix}-no",
        "type": "email",
        "settings": {"addresses": "no@example.org"},
    }
    assert target.role("Viewer").request(method, f"{target.url}/api/v1/provisioning/{path}", json=document, timeout=30).status_code == 403


@proves("access.whoami")
def test_we_are_told_who_we_are(target: Target) -> None:
    who = target.get("/api/user")
    assert who["login"]
    assert who["orgId"] >= 1
    if target.by_token:
        assert who["uid"].startswith("service-account:")
        assert not who["isGrafanaAdmin"]


@proves("access.name_in_writings")
def test_a_folder_too_says_who_changed_it(target: Target) -> None:
    who, folder = target.get("/api/user"), target.get(f"/api/folders/{target.folder()}")
    mine = who["name"] if target.by_token else who["login"]
    assert (folder["createdBy"], folder["updatedBy"]) == (mine, mine)


@proves("access.name_in_writings")
def test_what_we_changed_bears_our_name_and_what_others_changed_theirs(target: Target) -> None:
    who, uid = target.get("/api/user"), f"{target.prefix}-mine"
    target.make("POST", "/api/dashboards/db", {"dashboard": {"uid": uid, "title": uid}}, remove=f"/api/dashboards/uid/{uid}")
    meta = target.get(f"/api/dashboards/uid/{uid}")["meta"]
    mine = who["name"] if target.by_token else who["login"]
    assert (meta["createdBy"], meta["updatedBy"]) == (mine, mine)
    session, login = target.editor()
    changed = {"dashboard": {"uid": uid, "title": f"{uid} changed"}, "overwrite": True}
    assert session.post(target.url + "/api/dashboards/db", json=changed, timeout=30).status_code == 200
    meta = target.get(f"/api/dashboards/uid/{uid}")["meta"]
    assert (meta["createdBy"], meta["updatedBy"]) == (mine, login)
