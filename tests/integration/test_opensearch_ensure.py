"""What stands in the real OpenSearch before the first log, and whom it lets do what."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock
from uuid import uuid4

import pytest
import requests
import yaml

from lakehouse.exceptions import ConfigurationError, ServiceError
from lakehouse.opensearch.client import OpenSearchClient
from lakehouse.opensearch.ensure import ensure
from lakehouse.opensearch.mapping import refuse_conflicts
from stack.installation import REPO, Installation

pytestmark = pytest.mark.integration

DELIVERED = REPO / "include" / "opensearch"
SECURITY = "/_plugins/_security/api"
DAY = "2026.11.22"
DOCUMENTS = (
    {"service": "risk", "level": "INFO", "meta": {"user": "user-01"}},
    {"service": "settlement", "level": "INFO", "meta": {"user": "user-01"}},
    {"level": "INFO", "meta_text": "no JSON: user-01"},
)


@pytest.fixture(scope="module")
def admin(connections: dict[str, Any]) -> OpenSearchClient:
    from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook

    return LakehouseOpenSearchHook("lakehouse_opensearch_admin").client


@pytest.fixture(scope="module")
def name() -> str:
    """Objects of these tests alone begin with it."""
    return f"t{uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def passwords(name: str) -> dict[str, str]:
    return {f"{name}_{user}": f"Aa1{uuid4().hex}" for user in ("log_shipper", "trading_reader")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """The delivered folder with names of its own, for `logs-<name>-*`; both users have a password here."""
    made = tmp_path_factory.mktemp("opensearch")
    for part in ("index_templates", "ism_policies"):
        (made / part).mkdir()
        text = (
            (DELIVERED / part / "logs.json").read_text().replace("logs-*", f"logs-{name}-*").replace('"priority": 100', '"priority": 200')
        )
        (made / part / f"{name}.json").write_text(text)
    security = yaml.safe_load((DELIVERED / "security.yaml").read_text().replace("logs-*", f"logs-{name}-*"))
    mappings = {
        f"{name}_{role}": {
            "users": [f"{name}_{user}" for user in mapping.get("users", ())],
            "backend_roles": mapping.get("backend_roles", []),
        }
        for role, mapping in security["role_mappings"].items()
    }
    users = {f"{name}_{user}": security["users"][user] for user in ("log_shipper", "trading_reader")}
    roles = {f"{name}_{role}": body for role, body in security["roles"].items()}
    (made / "security.yaml").write_text(yaml.safe_dump({"roles": roles, "role_mappings": mappings, "users": users}))
    return made


@pytest.fixture(scope="module")
def sign_in(admin: OpenSearchClient, name: str, passwords: dict[str, str]) -> Callable[[str], OpenSearchClient]:
    def client(user: str) -> OpenSearchClient:
        login = f"{name}_{user}"
        return OpenSearchClient("OpenSearch", admin.base_url, auth=(login, passwords[login]), verify=admin._verify)

    return client


@pytest.fixture(scope="module")
def ready(admin: OpenSearchClient, folder: Path, name: str, passwords: dict[str, str]) -> Iterator[None]:
    """All of it made, and taken away afterwards."""
    changes = ensure(admin, folder, passwords=passwords)
    assert {change.action for change in changes} == {"create"}
    yield
    admin.request("DELETE", f"/logs-{name}-*")
    admin.request("DELETE", f"/_index_template/{name}", accept=(404,))
    for user in passwords:
        admin.request("DELETE", f"{SECURITY}/internalusers/{user}", accept=(404,))
    for kind in ("rolesmapping", "roles"):
        for one in yaml.safe_load((folder / "security.yaml").read_text())["roles"]:
            admin.request("DELETE", f"{SECURITY}/{kind}/{one}", accept=(404,))


@pytest.fixture
def run(admin: OpenSearchClient, folder: Path, passwords: dict[str, str], ready: None) -> Callable[[], list[tuple[str, tuple[str, ...]]]]:
    """What a further call wrote: (kind, fields)."""

    def again() -> list[tuple[str, tuple[str, ...]]]:
        changes = ensure(admin, folder, passwords=passwords)
        return [(change.kind, change.fields) for change in changes if change.action in ("create", "change")]

    return again


@pytest.fixture
def documents(sign_in: Callable[[str], OpenSearchClient], name: str, ready: None) -> str:
    """A day's index with the three documents, written by the shipper; returns its name."""
    shipper, index = sign_in("log_shipper"), f"logs-{name}-{DAY}"
    for number, document in enumerate(DOCUMENTS):
        shipper.request("PUT", f"/{index}/_create/{number}", accept=(409,), json={"event_time": f"2026-11-22T0{number}:00:00Z"} | document)
    shipper.request("POST", f"/{index}/_refresh")
    return index


def test_a_second_call_writes_nothing(run: Callable[[], Any], admin: OpenSearchClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    request = requests.Session.request

    def note(session: requests.Session, method: str, *args: Any, **options: Any) -> requests.Response:
        asked.append(method)
        return request(session, method, *args, **options)

    monkeypatch.setattr(requests.Session, "request", note)
    assert run() == []
    assert set(asked) == {"GET"}


def test_hand_edits_are_put_back_and_named(run: Callable[[], Any], admin: OpenSearchClient, name: str) -> None:
    template = admin.request("GET", f"/_index_template/{name}").json()["index_templates"][0]["index_template"]
    template["template"]["settings"]["index"]["number_of_replicas"] = "1"
    template["template"]["mappings"]["properties"]["level"]["type"] = "wildcard"
    admin.request("PUT", f"/_index_template/{name}", json=template)
    mapping = {"users": [f"{name}_log_shipper", "alice"]}
    admin.request("PUT", f"{SECURITY}/rolesmapping/{name}_logs_write", json=mapping)
    admin.request("PUT", f"{SECURITY}/roles/{name}_logs_read", json={"cluster_permissions": ["cluster_all"]})
    grant = {"description": "writes and reads back logs-*", "opendistro_security_roles": ["all_access"]}
    admin.request("PUT", f"{SECURITY}/internalusers/{name}_log_shipper", json=grant)
    said = run()
    assert [kind for kind, _ in said] == ["index template", "role", "role mapping", "user"]
    fields = [field for _, differing in said for field in differing]
    assert "template.mappings.properties.level.type: wildcard -> keyword" in fields
    assert "template.settings.index.number_of_replicas: 1 -> 0" in fields
    assert "cluster_permissions.cluster_all: listed -> absent" in fields
    assert "users.alice: listed -> absent" in fields
    assert "opendistro_security_roles.all_access: listed -> absent" in fields
    assert run() == []


def test_a_changed_password_is_set_anew(
    run: Callable[[], Any], admin: OpenSearchClient, sign_in: Callable[[str], OpenSearchClient], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    admin.request("PATCH", f"{SECURITY}/internalusers/{name}_log_shipper", json=[_replace("/password", f"Zz9{uuid4().hex}")])
    with caplog.at_level(logging.DEBUG):
        assert run() == [("user", ("password: refused -> set anew",))]
    shipper = sign_in("log_shipper")
    assert shipper.version()
    assert shipper.session.auth[1] not in caplog.text  # type: ignore[index]


def _replace(path: str, value: str) -> dict[str, str]:
    return {"op": "add", "path": path, "value": value}


def test_the_writer_may_write_its_indices_alone_and_change_no_setting(
    sign_in: Callable[[str], OpenSearchClient], documents: str, name: str
) -> None:
    shipper = sign_in("log_shipper")
    assert shipper.count(documents) == len(DOCUMENTS)
    with pytest.raises(ServiceError, match="403"):
        shipper.request("PUT", f"/{documents}/_settings", json={"index.refresh_interval": "-1"})
    assert "properties" in shipper.request("GET", f"/{documents}/_mapping").json()[documents]["mappings"]
    for method, path in (
        ("PUT", f"/{name}-other/_doc/1"),
        ("PUT", "/logs-2026.11.22/_doc/1"),
        ("DELETE", f"/{documents}"),
        ("PUT", f"/_index_template/{name}"),
        ("GET", f"{SECURITY}/roles"),
    ):
        body = {"index_patterns": [f"logs-{name}-*"]} if "template" in path else {}
        assert shipper.request(method, path, accept=(403,), json=body).status_code == 403, path


def test_a_team_sees_the_lines_of_its_services_with_users_hidden_and_cannot_write(
    sign_in: Callable[[str], OpenSearchClient], documents: str
) -> None:
    reader = sign_in("trading_reader")
    found = reader.request("GET", f"/{documents}/_search").json()["hits"]["hits"]
    assert [hit["_source"]["service"] for hit in found] == ["risk"]
    assert "user-01" not in json.dumps(found)
    assert len(found[0]["_source"]["meta"]["user"]) == 64
    assert reader.count(documents) == 1
    assert reader.request("GET", f"/{documents}/_doc/1", accept=(404,)).status_code == 404
    for method, path in (("PUT", f"/{documents}/_doc/9"), ("DELETE", f"/{documents}"), ("GET", "/somebody-elses/_search")):
        assert reader.request(method, path, accept=(403,), json={}).status_code == 403, path


@pytest.mark.fault(8)
def test_a_message_of_40_kilobytes_is_taken_and_found(sign_in: Callable[[str], OpenSearchClient], documents: str) -> None:
    shipper = sign_in("log_shipper")
    message = f"{'x' * 20_000} {'word ' * 4_000} needle"
    shipper.request("PUT", f"/{documents}/_doc/long?refresh=true", json={"message": message, "level": "y" * 40_000, "service": "long"})
    assert shipper.count(documents, {"match": {"message": "needle"}}) == 1
    shipper.request("DELETE", f"/{documents}/_doc/long?refresh=true")


def test_a_mapping_conflict_is_named_before_anything_is_sent(
    sign_in: Callable[[str], OpenSearchClient], admin: OpenSearchClient, documents: str, name: str
) -> None:
    template = json.loads((DELIVERED / "index_templates" / "logs.json").read_text())["template"]["mappings"]
    shipper, pattern = sign_in("log_shipper"), f"logs-{name}-*"
    refuse_conflicts(shipper, pattern, {"event_time": "timestamptz", "meta.user": "string"}, template)
    odd = f"logs-{name}-2026.11.20"
    properties = {"level": {"type": "long"}, "meta": {"type": "keyword"}}
    # A template's own types cannot be overridden by hand, so this index is made as if by another template.
    admin.request(
        "PUT",
        f"/_index_template/{name}-odd",
        json={"index_patterns": [odd], "priority": 300, "template": {"mappings": {"properties": properties}}},
    )
    try:
        admin.request("PUT", f"/{odd}")
        with pytest.raises(ConfigurationError) as error:
            refuse_conflicts(shipper, pattern, {"event_time": "string"}, template)
    finally:
        admin.request("DELETE", f"/{odd}", accept=(404,))
        admin.request("DELETE", f"/_index_template/{name}-odd")
    assert "event_time: the contract says string, which the index template maps as date" in str(error.value)
    assert f"level: in index {odd} it is long, keyword is wanted" in str(error.value)
    assert f"meta: in index {odd} it is keyword, object is wanted" in str(error.value)
    assert documents not in str(error.value)


def test_a_gained_field_comes_into_the_indices_that_are_there(
    run: Callable[[], Any], admin: OpenSearchClient, folder: Path, documents: str, name: str
) -> None:
    path = folder / "index_templates" / f"{name}.json"
    before = path.read_text()
    path.write_text(before.replace('"snapshot_id"', '"run_id": {"type": "keyword"}, "snapshot_id"'))
    try:
        assert [kind for kind, _ in run()] == ["index template", "index mapping"]
        assert admin.request("GET", f"/{documents}/_mapping").json()[documents]["mappings"]["properties"]["run_id"] == {"type": "keyword"}
        assert run() == []
    finally:
        path.write_text(before)
    assert [kind for kind, _ in run()] == ["index template"]


def test_the_operator_brings_the_delivered_folder_and_returns_plain_data(
    stack: Installation, connections: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    from lakehouse_provider.operators.opensearch import EnsureOpenSearchOperator

    operator = EnsureOpenSearchOperator(task_id="ensure_opensearch", folder=DELIVERED)
    with caplog.at_level(logging.INFO):
        operator.execute({"ti": MagicMock()})  # type: ignore[typeddict-item]
        changes = operator.execute({"ti": MagicMock()})  # type: ignore[typeddict-item]
    assert json.loads(json.dumps(changes)) == changes
    assert {"kind": "index template", "name": "logs", "action": "unchanged", "fields": []} in changes
    assert not [change for change in changes if change["action"] in ("create", "change")]
    assert not [name for name, secret in stack.secrets.items() if secret in caplog.text and not name.endswith("ACCESS_KEY")]
