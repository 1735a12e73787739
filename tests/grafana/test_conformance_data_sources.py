"""Data sources."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grafana.conftest import Target
from tests.grafana.rules import proves


def _source(target: Target, name: str = "source", **more: Any) -> dict[str, Any]:
    uid = f"{target.prefix}-{name}"
    return {"uid": uid, "name": uid, "type": "prometheus", "access": "proxy", "url": "http://127.0.0.1:9", **more}


def _make(target: Target, name: str = "source", **more: Any) -> str:
    source = _source(target, name, **more)
    target.make("POST", "/api/datasources", source, remove=f"/api/datasources/uid/{source['uid']}")
    return str(source["uid"])


@proves("data_sources.create", "data_sources.get")
def test_a_data_source_is_made_and_read(target: Target) -> None:
    source = _source(target, jsonData={"httpMethod": "POST"})
    made = target.make("POST", "/api/datasources", source, remove=f"/api/datasources/uid/{source['uid']}")
    assert made["message"] == "Datasource added"
    read = target.get(f"/api/datasources/uid/{source['uid']}")
    for found in (made["datasource"], read):
        assert {key: found[key] for key in source} == source
        assert (found["version"], found["readOnly"], found["isDefault"], found["basicAuth"]) == (1, False, False, False)
        assert found["id"] == made["id"]


@proves("data_sources.check_name", "data_sources.check_free")
def test_a_name_and_a_uid_are_there_once(target: Target) -> None:
    uid = _make(target)
    same_name = target.call("POST", "/api/datasources", {**_source(target, "other"), "name": uid})
    assert same_name.status_code == 409
    assert "name already exists" in same_name.json()["message"]
    same_uid = target.call("POST", "/api/datasources", {**_source(target), "name": f"{uid} other"})
    assert same_uid.status_code == 409
    assert "uid already exists" in same_uid.json()["message"]


@proves("data_sources.check_name")
def test_a_data_source_cannot_take_the_name_of_another(target: Target) -> None:
    first, second = _make(target, "first"), _make(target, "second")
    answer = target.call("PUT", f"/api/datasources/uid/{second}", {**_source(target, "second"), "name": first})
    assert answer.status_code == 409


@proves("data_sources.update")
def test_a_change_replaces_the_document_and_raises_the_version(target: Target) -> None:
    uid = _make(target, jsonData={"httpMethod": "GET", "timeInterval": "15s"})
    changed = target.make("PUT", f"/api/datasources/uid/{uid}", _source(target, url="http://127.0.0.1:19", jsonData={"httpMethod": "POST"}))
    assert (changed["message"], changed["datasource"]["version"]) == ("Datasource updated", 2)
    found = target.get(f"/api/datasources/uid/{uid}")
    assert (found["url"], found["jsonData"], found["version"]) == ("http://127.0.0.1:19", {"httpMethod": "POST"}, 2)


@proves("data_sources.check_version")
def test_a_change_with_a_stale_version_is_refused(target: Target) -> None:
    uid = _make(target)
    target.make("PUT", f"/api/datasources/uid/{uid}", _source(target, version=1))
    answer = target.call("PUT", f"/api/datasources/uid/{uid}", _source(target, url="http://127.0.0.1:19", version=1))
    assert answer.status_code == 409
    assert "already been updated" in answer.json()["message"]
    assert target.get(f"/api/datasources/uid/{uid}")["url"] == "http://127.0.0.1:9"
    target.make("PUT", f"/api/datasources/uid/{uid}", _source(target, url="http://127.0.0.1:29"))
    assert target.get(f"/api/datasources/uid/{uid}")["url"] == "http://127.0.0.1:29"


@proves("data_sources.without_secrets")
def test_secrets_never_come_back_and_are_kept(target: Target) -> None:
    secret = f"{target.prefix}-hidden"
    uid = _make(target, basicAuth=True, basicAuthUser="kim", secureJsonData={"basicAuthPassword": secret})
    target.make("PUT", f"/api/datasources/uid/{uid}", _source(target, basicAuth=True, basicAuthUser="lee"))
    response = target.call("GET", f"/api/datasources/uid/{uid}")
    assert response.json()["secureJsonFields"] == {"basicAuthPassword": True}
    target.make("PUT", f"/api/datasources/uid/{uid}", _source(target, secureJsonData={"basicAuthPassword": ""}))
    assert not target.get(f"/api/datasources/uid/{uid}").get("secureJsonFields")
    assert response.json()["basicAuthUser"] == "lee"
    assert secret not in response.text


@proves("data_sources.keep_one_default")
def test_there_is_one_default(target: Target) -> None:
    if any(source["isDefault"] for source in target.get("/api/datasources")) and not target.server:
        pytest.skip("this Grafana has a default data source of its own, which this test would replace")
    first, second = _make(target, "first", isDefault=True), _make(target, "second", isDefault=True)
    assert [target.get(f"/api/datasources/uid/{uid}")["isDefault"] for uid in (first, second)] == [False, True]


@proves("data_sources.list_all")
def test_the_list_has_all_without_their_versions(target: Target) -> None:
    uid = _make(target)
    [listed] = [source for source in target.get("/api/datasources") if source["uid"] == uid]
    assert (listed["name"], listed["type"], listed["readOnly"]) == (uid, "prometheus", False)
    assert "version" not in listed


@proves("data_sources.existing")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_data_source_that_is_not_there(target: Target, method: str) -> None:
    path = f"/api/datasources/uid/{target.prefix}-nothing"
    assert target.call(method, path, _source(target, "nothing") if method == "PUT" else None).status_code == 404


@proves("data_sources.delete")
def test_a_deleted_data_source_is_gone(target: Target) -> None:
    uid = _make(target)
    assert target.make("DELETE", f"/api/datasources/uid/{uid}", None)["message"] == "Data source deleted"
    assert target.call("GET", f"/api/datasources/uid/{uid}").status_code == 404


@proves("data_sources.check_not_provisioned")
def test_a_provisioned_data_source_is_read_only(target: Target) -> None:
    uid = target.provisioned("data_source", _source(target, "file"))
    found = target.get(f"/api/datasources/uid/{uid}")
    assert found["readOnly"]
    changed = target.call("PUT", f"/api/datasources/uid/{uid}", {**found, "url": "http://127.0.0.1:19"})
    assert changed.status_code == 403
    assert "read-only" in changed.json()["message"]
    assert target.call("DELETE", f"/api/datasources/uid/{uid}").status_code == 403


@proves("data_sources.get_by_number")
def test_13_has_no_data_sources_by_number(target: Target) -> None:
    uid = _make(target)
    number = target.get(f"/api/datasources/uid/{uid}")["id"]
    if target.at_least(13):
        assert target.call("GET", f"/api/datasources/{number}").status_code == 404
    else:
        assert target.get(f"/api/datasources/{number}")["uid"] == uid


@proves("data_sources.health")
def test_a_data_source_that_cannot_be_reached_is_not_healthy(target: Target) -> None:
    uid = _make(target)
    if target.server:
        target.server.break_health(uid)
    answer = target.call("GET", f"/api/datasources/uid/{uid}/health")
    assert answer.status_code == 400
    assert answer.json()["status"] == "ERROR"
    assert answer.json()["message"]


@proves("data_sources.health")
def test_a_data_source_that_can_be_reached_is_healthy(target: Target) -> None:
    url = "http://127.0.0.1:9090" if target.server else target.setting("GRAFANA_PROMETHEUS_URL")
    answer = target.call("GET", f"/api/datasources/uid/{_make(target, url=url)}/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "OK"
