"""Brings OpenSearch to what a folder says: index templates, deletion policies, roles, role mappings, users.

What is so already is not written. An edit made by hand in a live object is put back and named. An object is written whole, and read back.
Objects that the folder does not name are left alone. Where the cluster lacks a plugin, its part is left out and the log says so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lakehouse.exceptions import ServiceError, VerificationError
from lakehouse.opensearch.client import ISM, OpenSearchClient
from lakehouse.opensearch.differences import Flat, differences, index_template, ism_policy, security_object
from lakehouse.opensearch.folder import Folder, User, read_folder
from lakehouse.opensearch.mapping import missing_fields
from lakehouse.opensearch.target import daily_indices

log = logging.getLogger(__name__)

_SECURITY = "opensearch-security"


@dataclass(frozen=True)
class Change:
    """One object: `action` is create, change, unchanged or skipped; `fields` has each that differed, as `field: live -> wanted`."""

    kind: str
    name: str
    action: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        # A new object is all difference.
        said = "" if self.action == "create" else "; ".join(self.fields)
        return f"{self.kind} {self.name}: {self.action}{': ' if said else ''}{said}"


@dataclass(frozen=True)
class _Kind:
    """A kind of object: where it lies, how the server's answer holds it, and its form for comparison.

    Attributes:
        gains_fields: versions of the server may add defaults that we do not know yet; they are warned of and fail nothing.
    """

    title: str
    path: str
    of_answer: Callable[[dict[str, Any], str], dict[str, Any]]
    flat: Callable[[Mapping[str, Any]], Flat]
    gains_fields: bool = False

    def address(self, name: str) -> str:
        """The path of one object."""
        return f"{self.path}/{quote(name, safe='')}"


_TEMPLATE = _Kind(
    "index template", "/_index_template", lambda answer, _: dict(answer["index_templates"][0]["index_template"]), index_template
)
# Shapes: docs.opensearch.org/latest/im-plugin/ism/api
_POLICY = _Kind("ISM policy", "/_plugins/_ism/policies", lambda answer, _: answer, ism_policy, gains_fields=True)
_ROLE, _MAPPING, _USER = (
    _Kind(title, f"/_plugins/_security/api/{path}", lambda answer, name: dict(answer[name]), security_object)
    for title, path in (("role", "roles"), ("role mapping", "rolesmapping"), ("user", "internalusers"))
)


def ensure(client: OpenSearchClient, folder: Path, *, passwords: Mapping[str, str]) -> list[Change]:
    """Bring the cluster to the folder; a second call writes nothing.

    Args:
        client: signed in as an admin.
        folder: see `lakehouse.opensearch.folder`.
        passwords: user name -> its password, for those that tasks sign in with. Such a user is made with it, and gets it anew when
            the cluster no longer takes it.

    Raises:
        ConfigurationError: a file of the folder is wrong.
        ServiceError: the cluster refused an object, or the admin.
        VerificationError: what was read back is not what was sent.
    """
    wanted = read_folder(folder)
    plugins = client.plugins()
    changes = [_bring(client, _TEMPLATE, name, body) for name, body in wanted.index_templates.items()]
    for body in wanted.index_templates.values():
        changes += _add_fields(client, body)
    if ISM in plugins:
        changes += [_bring_policy(client, name, body) for name, body in wanted.ism_policies.items()]
    elif wanted.ism_policies:
        log.info("%s has no plugin %s: the DAG table_maintenance deletes old indices by the date in their names", client.name, ISM)
    if _SECURITY in plugins:
        changes += _bring_security(client, wanted, passwords)
    elif wanted.roles:
        log.warning("%s has no plugin %s, so it has no users and no roles: whoever reaches it may do anything", client.name, _SECURITY)
    return changes


def _bring_security(client: OpenSearchClient, wanted: Folder, passwords: Mapping[str, str]) -> list[Change]:
    """Roles before their mappings, and users last: a user that can sign in may then do what it should."""
    changes = [_bring(client, _ROLE, name, body) for name, body in wanted.roles.items()]
    changes += [_bring(client, _MAPPING, name, body) for name, body in wanted.role_mappings.items()]
    changes += [_bring_user(client, name, user, passwords.get(name)) for name, user in wanted.users.items()]
    for name in sorted(passwords.keys() - wanted.users.keys()):
        log.info("user %s of a connection is not in security.yaml: it is left alone", name)
    return changes


def _bring(client: OpenSearchClient, kind: _Kind, name: str, body: Mapping[str, Any]) -> Change:
    answer = _read(client, kind, name)
    change = _compare(kind, name, body, answer)
    if change.action != "unchanged":
        client.request("PUT", kind.address(name), json=body)
        _verify(client, kind, name, body)
    log.info("%s", change)
    return change


def _bring_policy(client: OpenSearchClient, name: str, body: Mapping[str, Any]) -> Change:
    """A change is made on exactly the version that was looked at, and reaches the indices that have the policy or none."""
    answer = _read(client, _POLICY, name)
    change = _compare(_POLICY, name, body, answer)
    if change.action != "unchanged":
        version = f"?if_seq_no={answer['_seq_no']}&if_primary_term={answer['_primary_term']}" if answer else ""
        client.request("PUT", f"{_POLICY.address(name)}{version}", json=body)
        _verify(client, _POLICY, name, body)
    for pattern in (pattern for one in body["policy"].get("ism_template", []) for pattern in one["index_patterns"]):
        # ISM gives a policy to new indices alone, and indices keep the version that they were given.
        if answer and change.action == "change":
            _ism(client, "change_policy", pattern, name)
        if lacking := _without_policy(client, pattern):
            _ism(client, "add", ",".join(lacking), name)
    log.info("%s", change)
    return change


def _without_policy(client: OpenSearchClient, pattern: str) -> list[str]:
    """Indices that no policy manages, such as those from before the policy; also those that a killed task left out."""
    states = client.request("GET", f"/_plugins/_ism/explain/{pattern}", accept=(404,)).json()
    policy = "index.plugins.index_state_management.policy_id"
    return sorted(index for index, state in states.items() if isinstance(state, dict) and policy in state and not state[policy])


def _ism(client: OpenSearchClient, call: str, indices: str, policy: str) -> None:
    done = client.request("POST", f"/_plugins/_ism/{call}/{indices}", accept=(404,), json={"policy_id": policy}).json()
    if done.get("failures"):
        raise VerificationError(f"ISM policy {policy}: {call} failed for {done.get('failed_indices')}")
    log.info("ISM policy %s: %s reached %s indices of %s", policy, call, done.get("updated_indices", 0), indices)


def _bring_user(client: OpenSearchClient, name: str, user: User, password: str | None) -> Change:
    answer = _read(client, _USER, name)
    signs_in = password is not None and _signs_in(client, name, password)
    if answer is None and (signs_in or password is None):
        reason = (
            f"connection {user.connection} signs in as another user" if user.connection else "no task signs in as it, so an admin makes it"
        )
        reason = "it signs in, and is not OpenSearch's own: it comes from a directory" if signs_in else reason
        change = Change(_USER.title, name, "skipped", (reason,))
        log.info("%s", change)
        return change
    change = _compare(_USER, name, user.body, answer)
    body = dict(user.body)
    if password is not None and not signs_in:
        body["password"] = password
        action = "create" if answer is None else "change"
        change = Change(_USER.title, name, action, (*change.fields, "password: refused -> set anew"))
    if change.action != "unchanged":
        _put_user(client, name, body)
        _verify(client, _USER, name, user.body)
        if password is not None and not _signs_in(client, name, password):
            raise VerificationError(f"{client.name}: user {name} was given its password, but cannot sign in with it")
    log.info("%s", change)
    return change


def _put_user(client: OpenSearchClient, name: str, body: Mapping[str, Any]) -> None:
    """Write a user; an error never shows what was sent."""
    try:
        client.request("PUT", _USER.address(name), json=body)
    except ServiceError as error:
        text, password = str(error), body.get("password", "")
        for secret in filter(None, (password, json.dumps(password)[1:-1])):
            text = text.replace(secret, "***")
        raise ServiceError(text, status=error.status, target=error.target) from None


def _signs_in(client: OpenSearchClient, name: str, password: str) -> bool:
    answer = client.request("GET", "/_plugins/_security/authinfo", accept=(401,), auth=(name, password))
    return answer.status_code != 401 and answer.json().get("user_name") == name


def _add_fields(client: OpenSearchClient, template: Mapping[str, Any]) -> list[Change]:
    """Fields that the template has gained also come into the daily indices that are there: it acts on new ones alone."""
    mapping = template.get("template", {}).get("mappings", {})
    changes = []
    for pattern in template["index_patterns"]:
        answer = client.request("GET", f"/{pattern}/_mapping", accept=(404,))
        live = answer.json() if answer.ok else {}
        for index in sorted(daily_indices(pattern.removesuffix("*"), live)):
            missing = missing_fields(mapping, live[index].get("mappings", {}))
            if not missing:
                continue
            fields = differences(index_template({"properties": missing}), {})
            # An index that somebody has made read-only stays as it is; its documents are found all the same, but not by these fields.
            answer = client.request("PUT", f"/{index}/_mapping", accept=(403,), json={"properties": missing})
            taken = answer.ok
            if not taken and answer.json()["error"]["type"] != "cluster_block_exception":
                raise client.error(answer, "PUT", f"/{index}/_mapping")
            changes.append(Change("index mapping", index, "change" if taken else "skipped", fields))
            log.info("%s", changes[-1])
    return changes


def _read(client: OpenSearchClient, kind: _Kind, name: str) -> dict[str, Any] | None:
    response = client.request("GET", kind.address(name), accept=(404,))
    return kind.of_answer(response.json(), name) if response.ok else None


def _compare(kind: _Kind, name: str, body: Mapping[str, Any], live: Mapping[str, Any] | None) -> Change:
    fields = differences(kind.flat(body), kind.flat(live) if live is not None else {})
    return Change(kind.title, name, "create" if live is None else "change" if fields else "unchanged", fields)


def _verify(client: OpenSearchClient, kind: _Kind, name: str, body: Mapping[str, Any]) -> None:
    live = _read(client, kind, name)
    if live is None:
        raise VerificationError(f"{client.name}: {kind.title} {name} was written, but is not there")
    sent, kept = kind.flat(body), kind.flat(live)
    if kind.gains_fields and (own := sorted(kept.keys() - sent.keys())):
        log.warning("%s %s: this server adds %s, so it will be written again by each run", kind.title, name, ", ".join(own))
        kept = {path: text for path, text in kept.items() if path in sent}
    if fields := differences(sent, kept):
        raise VerificationError(
            f"{client.name}: {kind.title} {name} was written, but reads back differently (live -> sent): {'; '.join(fields)}; "
            "clear the task, and if it comes again somebody else writes it, or this server rewrites it (lakehouse.opensearch.differences)"
        )
