from __future__ import annotations

import base64
import copy
import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import StreamRequestHandler
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from lakehouse.exceptions import ServiceError, VerificationError
from lakehouse.opensearch.client import OpenSearchClient
from lakehouse.opensearch.ensure import Change, ensure
from stack.installation import REPO
from stack.opensearch_security import first_roles

FOLDER = REPO / "include" / "opensearch"
JSON = {"Content-Type": "application/json"}
PASSWORDS = {"log_shipper": 'Ship"per1\\', "log_retention": "Retention1"}
SECURITY_DEFAULTS = {
    "roles": {
        "reserved": False,
        "hidden": False,
        "static": False,
        "cluster_permissions": [],
        "index_permissions": [],
        "tenant_permissions": [],
    },
    "rolesmapping": {"reserved": False, "hidden": False, "hosts": [], "users": [], "backend_roles": [], "and_backend_roles": []},
    "internalusers": {
        "hash": "",
        "reserved": False,
        "hidden": False,
        "static": False,
        "backend_roles": [],
        "attributes": {},
        "opendistro_security_roles": [],
    },
}


class Node:
    """An OpenSearch that rewrites what it is given as 3.6.0 with security 3.4.0.0 was seen to do, and ISM as its API's page says.

    Attributes:
        objects: path -> what it gives back for it.
        passwords: user -> password.
        writes: what was asked of it other than by GET.
        forgetful: paths whose writes are acknowledged and dropped.
    """

    def __init__(self) -> None:
        self.plugins = ["opensearch-security", "opensearch-index-management"]
        self.unmanaged: list[str] = []
        self.objects: dict[str, Any] = {}
        self.passwords = {"admin": "Admin1"}
        self.directory: dict[str, str] = {}
        self.mappings: dict[str, Any] = {}
        self.writes: list[str] = []
        self.forgetful: set[str] = set()
        self.refuse: Callable[[str, bytes], tuple[int, bytes] | None] = lambda *_: None

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes):
        user, _, password = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode().partition(":")
        if password not in (self.passwords.get(user), self.directory.get(user)):
            return 401, {}, b"Unauthorized"
        path, _, query = path.partition("?")
        if method != "GET":
            self.writes.append(f"{method} {path}{'?' if query else ''}{query}")
            if refused := self.refuse(path, body):
                return refused[0], JSON, refused[1]
        status, found = self._answer(method, path, query, user, json.loads(body) if body else None)
        return status, JSON, json.dumps(found).encode()

    def _answer(self, method: str, path: str, query: str, user: str, body: Any) -> tuple[int, Any]:
        if path == "/_plugins/_security/authinfo":
            return 200, {"user_name": user, "roles": []}
        if path == "/_cat/plugins":
            return 200, [{"name": "n1", "component": component, "version": "3.6.0.0"} for component in self.plugins]
        if path.endswith("/_mapping"):
            pattern = path.split("/")[1]
            if method == "PUT":
                self.mappings[pattern]["properties"] |= body["properties"]
                return 200, {"acknowledged": True}
            wanted = re.compile(pattern.replace("*", ".*"))
            return 200, {index: {"mappings": mapping} for index, mapping in self.mappings.items() if wanted.fullmatch(index)}
        if path.startswith("/_plugins/_ism/explain"):
            policy = "index.plugins.index_state_management.policy_id"
            return 200, {index: {policy: None} for index in self.unmanaged} | {"total_managed_indices": 0}
        if path.startswith("/_plugins/_ism/add"):
            self.unmanaged = []
        if path.startswith(("/_plugins/_ism/add", "/_plugins/_ism/change_policy")):
            return 200, {"updated_indices": 1, "failures": False, "failed_indices": []}
        if method == "PUT":
            return self._put(path, query, body)
        return (200, copy.deepcopy(self.objects[path])) if path in self.objects else (404, {"status": "NOT_FOUND"})

    def _put(self, path: str, query: str, body: Any) -> tuple[int, Any]:
        if path in self.forgetful:
            return 200, {"acknowledged": True}
        name = unquote(path.rpartition("/")[2])
        old = self.objects.get(path)
        if path.startswith("/_index_template/"):
            body["template"]["settings"] = _nested(body["template"].get("settings", {}))
            self.objects[path] = {"index_templates": [{"name": name, "index_template": body | {"composed_of": []}}]}
        elif path.startswith("/_plugins/_ism/policies/"):
            version = f"if_seq_no={old['_seq_no']}&if_primary_term={old['_primary_term']}" if old else ""
            if query != version:
                return 409, {"error": {"type": "version_conflict_engine_exception"}, "status": 409}
            self.objects[path] = _policy(name, body["policy"], (old["_seq_no"] if old else 6) + 1)
        else:
            kind = path.split("/")[4]
            if kind == "internalusers":
                if not old and "password" not in body:
                    return 400, {
                        "status": "error",
                        "reason": "Please specify either 'hash' or 'password' when creating a new internal user",
                    }
                self.passwords[name] = body.pop("password", self.passwords.get(name, ""))
            permissions = [{"fls": [], "masked_fields": []} | one for one in body.get("index_permissions", [])]
            body |= {"index_permissions": permissions} if kind == "roles" else {}
            self.objects[path] = {name: SECURITY_DEFAULTS[kind] | body}
        return 201 if old is None else 200, {"status": "OK"}

    def live(self, kind: str, name: str) -> dict[str, Any]:
        """A security object, to be edited by hand."""
        found: dict[str, Any] = self.objects[f"/_plugins/_security/api/{kind}/{name}"][name]
        return found


def _nested(settings: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, value in settings.items():
        *above, last = f"index.{path.removeprefix('index.')}".split(".")
        place = nested
        for key in above:
            place = place.setdefault(key, {})
        place[last] = str(value)
    return nested


def _policy(name: str, policy: dict[str, Any], seq_no: int) -> dict[str, Any]:
    """The answer of docs.opensearch.org/latest/im-plugin/ism/api, "Get policy"; a template has its own time (ISMTemplate.kt)."""
    own = {"policy_id": name, "last_updated_time": 1577990934044, "schema_version": 21, "error_notification": None}
    templates = [one | {"last_updated_time": 1577990934044} for one in policy["ism_template"]]
    return {"_id": name, "_version": 2, "_seq_no": seq_no, "_primary_term": 1, "policy": policy | own | {"ism_template": templates}}


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def client(node: Node, serve, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenSearchClient]:
    # Or each of a thousand answers waits 40 ms: its head and its body are sent apart.
    monkeypatch.setattr(StreamRequestHandler, "disable_nagle_algorithm", True)
    made = OpenSearchClient("OpenSearch", serve(node.answer), auth=("admin", "Admin1"))
    yield made
    made.session.close()


@pytest.fixture
def run(client: OpenSearchClient):
    return lambda folder=FOLDER, **passwords: ensure(client, folder, passwords=passwords or PASSWORDS)


def written(changes: list[Change]) -> list[Change]:
    return [change for change in changes if change.action in ("create", "change")]


def test_an_empty_cluster_gets_everything_and_a_second_call_writes_nothing(run, node):
    changes = run()
    assert {change.kind for change in written(changes)} == {"index template", "ISM policy", "role", "role mapping", "user"}
    assert {change.action for change in changes} == {"create", "skipped"}
    assert (node.passwords["log_shipper"], node.passwords["log_retention"]) == (PASSWORDS["log_shipper"], "Retention1")
    node.writes.clear()
    assert written(run()) == []
    assert node.writes == []


def test_a_node_that_the_stack_has_started_needs_no_role_mapping_or_user_to_be_written(run, node):
    """Both read include/opensearch/security.yaml; the users' descriptions stand in the template of the start as well."""
    started = {name: json.loads(text) for name, text in first_roles(REPO).items()}
    users = yaml.safe_load((REPO / "config" / "opensearch" / "opensearch-security" / "internal_users.yml.tmpl").read_text())
    for kind, objects in (("roles", started["roles.yml"]), ("rolesmapping", started["roles_mapping.yml"]), ("internalusers", users)):
        for name, body in objects.items():
            node.objects[f"/_plugins/_security/api/{kind}/{name}"] = {name: SECURITY_DEFAULTS[kind] | body}
    node.passwords |= PASSWORDS
    assert {change.kind for change in written(run())} == {"index template", "ISM policy"}
    assert node.live("rolesmapping", "all_access")["backend_roles"] == ["admin"]


def test_a_template_that_was_edited_by_hand_is_put_back_and_each_field_is_named(run, node):
    run()
    template = node.objects["/_index_template/logs"]["index_templates"][0]["index_template"]
    template["template"]["settings"]["index"]["number_of_replicas"] = "1"
    template["template"]["mappings"]["properties"]["level"] = {"type": "text"}
    template["template"]["mappings"]["properties"]["mine"] = {"type": "long"}
    assert written(run()) == [
        Change(
            "index template",
            "logs",
            "change",
            (
                "template.mappings.properties.level.ignore_above: absent -> 256",
                "template.mappings.properties.level.type: text -> keyword",
                "template.mappings.properties.mine.type: long -> absent",
                "template.settings.index.number_of_replicas: 1 -> 0",
            ),
        )
    ]
    assert written(run()) == []


@pytest.mark.parametrize(
    ("kind", "name", "field", "value", "said"),
    [
        ("rolesmapping", "logs_read", "users", ["log_reader", "alice"], "users.alice: listed -> absent"),
        ("rolesmapping", "logs_read", "and_backend_roles", ["x"], "and_backend_roles.x: listed -> absent"),
        ("roles", "logs_delete", "cluster_permissions", [], "cluster_permissions.cluster_monitor: absent -> listed"),
        (
            "internalusers",
            "log_shipper",
            "opendistro_security_roles",
            ["all_access"],
            "opendistro_security_roles.all_access: listed -> absent",
        ),
        ("internalusers", "log_shipper", "description", "mine", "description: mine -> writes and reads back logs-*"),
    ],
)
def test_a_right_that_was_given_or_taken_by_hand_is_put_back_and_named(run, node, caplog, kind, name, field, value, said):
    run()
    node.live(kind, name)[field] = value
    with caplog.at_level(logging.INFO):
        (change,) = written(run())
    assert (change.name, change.action, change.fields) == (name, "change", (said,))
    assert str(change) in caplog.text
    assert written(run()) == []


def test_the_query_that_limits_a_team_is_compared_as_a_query(run, node):
    run()
    (permission,) = node.live("roles", "logs_read_trading")["index_permissions"]
    permission["dls"] = ' {"terms" : {"service":["market-data","order-gateway","risk"]}}'
    assert written(run()) == []
    permission["dls"] = '{"match_all": {}}'
    permission["masked_fields"] = []
    (change,) = written(run())
    assert change.fields == (
        'index_permissions[0].dls: query {"match_all": {}} -> query {"terms": {"service": ["market-data", "order-gateway", "risk"]}}',
        "index_permissions[0].masked_fields.meta.user: absent -> listed",
    )


def test_a_password_that_no_longer_fits_is_set_anew_and_shown_nowhere(run, node, caplog):
    run()
    node.passwords["log_shipper"] = "Other1"
    with caplog.at_level(logging.DEBUG):
        (change,) = written(run())
    assert change == Change("user", "log_shipper", "change", ("password: refused -> set anew",))
    assert node.passwords["log_shipper"] == PASSWORDS["log_shipper"]
    assert PASSWORDS["log_shipper"] not in caplog.text
    assert written(run()) == []


@pytest.mark.fault(23)
def test_an_error_does_not_show_the_password_that_a_server_repeats(run, node):
    node.refuse = lambda path, body: (400, b"Weak password: " + body) if "internalusers" in path else None
    with pytest.raises(ServiceError, match=r"Weak password.*\*\*\*") as error:
        run()
    assert 'Ship\\"per1' not in str(error.value)
    assert 'Ship"per1' not in str(error.value)
    assert error.value.__cause__ is None


def test_a_user_whose_password_no_connection_has_is_not_made_and_one_of_a_directory_is_left_alone(run, node):
    node.directory["log_retention"] = "Retention1"
    by_name = {change.name: change for change in run() if change.kind == "user"}
    assert {name: change.action for name, change in by_name.items()} == {
        "log_shipper": "create",
        "log_retention": "skipped",
        "log_reader": "skipped",
        "metrics": "skipped",
        "trading_reader": "skipped",
    }
    assert "an admin makes it" in by_name["log_reader"].fields[0]
    assert "directory" in by_name["log_retention"].fields[0]


def test_without_the_plugin_for_deletion_the_log_says_who_deletes(run, node, caplog):
    node.plugins.remove("opensearch-index-management")
    with caplog.at_level(logging.INFO):
        changes = run()
    assert "table_maintenance deletes old indices by the date in their names" in caplog.text
    assert "ISM policy" not in {change.kind for change in changes}
    assert not [write for write in node.writes if "_ism" in write]


def test_without_the_plugin_for_users_only_the_template_is_put(run, node, caplog):
    node.plugins = []
    changes = run()
    assert [(change.kind, change.action) for change in changes] == [("index template", "create")]
    assert "it has no users and no roles" in caplog.text


def test_a_new_policy_for_deletion_is_given_to_the_indices_that_are_there(run, node):
    node.unmanaged = ["logs-2026.11.20", "logs-2026.11.21"]
    run()
    added = "POST /_plugins/_ism/add/logs-2026.11.20,logs-2026.11.21"
    assert [write for write in node.writes if "_ism" in write] == ["PUT /_plugins/_ism/policies/logs", added]
    # A task that was killed after the policy was put left them out: the next one finds them.
    node.writes.clear()
    node.unmanaged = ["logs-2026.11.21"]
    run()
    assert node.writes == ["POST /_plugins/_ism/add/logs-2026.11.21"]
    node.writes.clear()
    run()
    assert node.writes == []


@pytest.mark.parametrize("action", ["close", "read_only"])
def test_a_policy_that_was_edited_by_hand_is_put_back_on_the_version_that_was_looked_at(run, node, action):
    run()
    node.writes.clear()
    policy = node.objects["/_plugins/_ism/policies/logs"]["policy"]
    policy["states"][0]["transitions"][0]["conditions"]["min_index_age"] = "90d"
    delete = policy["states"][1]["actions"][0]
    delete[action] = delete.pop("delete")
    (change,) = written(run())
    assert change.fields == tuple(
        sorted(
            [
                "states[0].transitions[0].conditions.min_index_age: 90d -> 30d",
                f"states[1].actions[0].{action}: {{}} -> absent",
                "states[1].actions[0].delete: absent -> {}",
            ]
        )
    )
    assert node.writes == [
        "PUT /_plugins/_ism/policies/logs?if_seq_no=7&if_primary_term=1",
        "POST /_plugins/_ism/change_policy/logs-2*",
    ]
    assert written(run()) == []


def test_a_field_that_a_newer_server_adds_to_a_policy_is_warned_of_and_fails_nothing(run, node, caplog, monkeypatch):
    kept = _policy
    monkeypatch.setitem(
        Node._put.__globals__, "_policy", lambda *args: (answer := kept(*args)) | {"policy": answer["policy"] | {"novel": 1}}
    )
    run()
    assert "this server adds novel" in caplog.text


@pytest.mark.parametrize(
    "path",
    [
        "/_index_template/logs",
        "/_plugins/_ism/policies/logs",
        "/_plugins/_security/api/roles/logs_write",
        "/_plugins/_security/api/rolesmapping/logs_write",
        "/_plugins/_security/api/internalusers/log_shipper",
    ],
)
def test_a_write_that_was_acknowledged_and_lost_fails(run, node, path):
    node.forgetful = {path}
    with pytest.raises(VerificationError, match="was written, but is not there"):
        run()


def test_a_write_that_changed_nothing_fails_with_the_fields(run, node):
    run()
    node.live("roles", "logs_delete")["cluster_permissions"] = []
    node.forgetful = {"/_plugins/_security/api/roles/logs_delete"}
    with pytest.raises(VerificationError, match=r"reads back differently.*cluster_permissions\.cluster_monitor: absent -> listed"):
        run()


def test_a_password_that_was_acknowledged_and_lost_fails(run, node):
    run()
    node.passwords["log_shipper"] = "Other1"
    node.forgetful = {"/_plugins/_security/api/internalusers/log_shipper"}
    with pytest.raises(VerificationError, match="user log_shipper was given its password, but cannot sign in with it"):
        run()


def test_fields_that_the_template_has_gained_come_into_the_daily_indices_that_are_there(run, node):
    properties = json.loads((FOLDER / "index_templates" / "logs.json").read_text())["template"]["mappings"]["properties"]
    old = {name: copy.deepcopy(field) for name, field in properties.items() if name != "snapshot_id"}
    del old["meta"]["properties"]["order_id"]
    node.mappings = {
        "logs-2026.11.21": {"properties": old},
        "logs-2026.11.22": {"properties": copy.deepcopy(properties)},
        "logs-of-somebody": {"properties": {}},
    }
    (change,) = [change for change in run() if change.kind == "index mapping"]
    assert (change.name, change.action) == ("logs-2026.11.21", "change")
    assert change.fields == (
        "properties.meta.properties.order_id.ignore_above: absent -> 1024",
        "properties.meta.properties.order_id.type: absent -> keyword",
        "properties.snapshot_id.type: absent -> keyword",
    )
    assert [write for write in node.writes if "_mapping" in write] == ["PUT /logs-2026.11.21/_mapping"]


def test_an_old_index_that_is_read_only_is_skipped(run, node):
    node.mappings = {"logs-2026.11.21": {"properties": {}}}
    node.refuse = lambda path, _: (403, b'{"error": {"type": "cluster_block_exception"}}') if "_mapping" in path else None
    (change,) = [change for change in run() if change.kind == "index mapping"]
    assert (change.name, change.action) == ("logs-2026.11.21", "skipped")


def test_names_of_users_are_escaped(run, node, tmp_path: Path):
    (tmp_path / "security.yaml").write_text("users: {some one: {connection: c}}")
    assert [str(change) for change in run(tmp_path, **{"some one": "Password1"})] == ["user some one: create"]
    assert node.writes == ["PUT /_plugins/_security/api/internalusers/some%20one"]
