"""Contact points, notification policies, mute timings and rule groups.

Source: grafana/grafana, `pkg/services/ngalert/api/api_provisioning.go` and `tooling/definitions/provisioning_*.go`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from lakehouse.dashboards.grafana.client import GrafanaClient
from lakehouse.dashboards.grafana.part import EDITABLE, REDACTED, SHAPE, GrafanaPart, without
from lakehouse.dashboards.grafana.times import prometheus_milliseconds
from lakehouse.dashboards.objects import Document, Key, Live, Wanted
from lakehouse.exceptions import ConfigurationError, ServiceError

_ROOT = "/api/v1/provisioning"
# Settings that Grafana keeps encrypted, by type of contact point (grafana/alerting, `receivers/*/config.go`). Of a type that is not here,
# and inside a setting, whatever has the name of a secret counts as one.
_SECRET_SETTINGS = {"email": (), "slack": ("url", "token"), "webhook": ("password", "authorization_credentials")}
_SECRET = re.compile(r"url|uri|token|key|secret|password|credential|webhook", re.IGNORECASE)
# Go's `omitempty` leaves some of what is not set out, and some is written that was never sent.
_SHAPE = replace(SHAPE, omits=True)
_RULE_OF_THE_SERVER = ("id", "orgID", "updated", "provenance", "folderUID", "ruleGroup")


class MuteTimings(GrafanaPart):
    """Mute timings by name."""

    kind = "mute_timings"
    shape = _SHAPE

    def read(self, identifier: str) -> Live | None:
        """A mute timing."""
        found = self._client.get(f"{_ROOT}/mute-timings/{quote(identifier, safe='')}")
        if found is None:
            return None
        self._versions[identifier] = found.get("version")
        content = without(found, ("version", "provenance", "uid"))
        url = f"{self._client.public_url}/alerting/routes?tab=time_intervals"
        return Live(content, identifier, url, version=str(found.get("version") or ""), locked=_locked(found.get("provenance")))

    def put(self, key: Key, document: Document) -> None:
        """Create one, or save it over the version that was read."""
        if key.id in self._versions:
            body = {**document, "version": self._versions[key.id] or ""}
            self._client.request("PUT", f"{_ROOT}/mute-timings/{quote(key.id, safe='')}", json=body, headers=dict(EDITABLE))
        else:
            self._client.request("POST", f"{_ROOT}/mute-timings", json=dict(document), headers=dict(EDITABLE))

    def delete(self, key: Key) -> None:
        """Remove one."""
        self._client.request("DELETE", f"{_ROOT}/mute-timings/{quote(key.id, safe='')}", accept=(404,), headers=dict(EDITABLE))


class ContactPoints(GrafanaPart):
    """Integrations of contact points by uid; those of one name are one contact point.

    Args:
        secrets: by key, a file's settings with what Grafana never shows again.
    """

    kind = "contact_points"
    shape = _SHAPE

    def __init__(self, client: GrafanaClient, secrets: Mapping[Key, Mapping[str, Any]]) -> None:
        super().__init__(client)
        self._secrets = secrets
        self._listed: dict[str, dict[str, Any]] | None = None

    def begin(self) -> None:
        """Forget the list."""
        super().begin()
        self._listed = None

    def read(self, identifier: str) -> Live | None:
        """An integration; its secrets are redacted."""
        if self._listed is None:
            found = self._client.request("GET", f"{_ROOT}/contact-points").json() or []
            self._listed = {str(one.get("uid")): one for one in found}
        if identifier not in self._listed:
            return None
        found = self._listed[identifier]
        content = without(found, ["provenance"])
        content["settings"] = _masked(str(found.get("type")), found.get("settings") or {})
        return Live(
            content,
            f"{found['name']} ({found['type']})",
            f"{self._client.public_url}/alerting/notifications",
            locked=_locked(found.get("provenance")),
        )

    def put(self, key: Key, document: Document) -> None:
        """Create one, or write over it; Grafana takes a redacted secret for the one it has."""
        settings = _unmasked(document["settings"], self._secrets.get(key, {}))
        body = {**document, "settings": settings}
        if self._listed is not None and key.id in self._listed:
            self._client.request("PUT", f"{_ROOT}/contact-points/{quote(key.id, safe='')}", json=body, headers=dict(EDITABLE))
        elif REDACTED in json.dumps(settings):
            raise ServiceError(
                f"the contact point {document['name']} ({document['type']}) is gone, and so is its secret: no file has it, and Grafana "
                "never shows one. Make it anew in Grafana, or put its file back",
                target=key.id,
            )
        else:
            self._client.request("POST", f"{_ROOT}/contact-points", json=body, headers=dict(EDITABLE))

    def delete(self, key: Key) -> None:
        """Remove one; Grafana refuses where a policy sends to it."""
        self._client.request("DELETE", f"{_ROOT}/contact-points/{quote(key.id, safe='')}", accept=(404,))


def wanted_contact_point(path: str, document: Document) -> tuple[Wanted, dict[str, Any]]:
    """What a file says, and its settings with their secrets."""
    kind, settings = str(document.get("type")), dict(document.get("settings") or {})
    masked = _masked(kind, settings)
    content = {**without(document, ["provenance"]), "settings": masked}
    secret = json.dumps(settings, sort_keys=True) if masked != settings else ""
    return Wanted(content, f"{document.get('name')} ({document.get('type')})", path, secret), settings


def _masked(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as Grafana shows them."""

    def mask(value: Any, name: str, names: tuple[str, ...] | None) -> Any:
        if isinstance(value, Mapping):
            return {key: mask(entry, key, None) for key, entry in value.items()}
        secret = bool(_SECRET.search(name)) if names is None else name in names
        return REDACTED if secret and value else value

    return {key: mask(value, key, _SECRET_SETTINGS.get(kind)) for key, value in settings.items()}


def _unmasked(settings: Any, file: Any) -> Any:
    """Settings with the file's secrets in the place of their masks."""
    if isinstance(settings, Mapping):
        return {key: _unmasked(value, file.get(key) if isinstance(file, Mapping) else None) for key, value in settings.items()}
    return file if settings == REDACTED and file else settings


class NotificationPolicies(GrafanaPart):
    """Routes below the root of the policy tree, each recognised by its matchers: the root and other people's routes are never touched."""

    kind = "notification_policies"
    shape = _SHAPE

    def read(self, identifier: str) -> Live | None:
        """The route with these matchers."""
        tree = self._tree()
        found = next((route for route in tree.get("routes") or [] if matchers_of(route) == identifier), None)
        if found is None:
            return None
        url = f"{self._client.public_url}/alerting/routes"
        return Live(_plain_route(found), identifier, url, locked=_locked(tree.get("provenance")))

    def put(self, key: Key, document: Document) -> None:
        """Put the route in the place of the one with its matchers, else before the others."""
        # Grafana keeps no version of the tree for this API: it is read once more, right before it is written.
        tree = self._tree()
        if why := _locked(tree.get("provenance")):
            raise ServiceError(
                f"the tree of notification policies takes no route of ours: {why}. Put the route {key.id} there with that tool, or take "
                "its file out of the folder",
                status=403,
                target=f"{_ROOT}/policies",
            )
        routes = list(tree.get("routes") or [])
        place = next((i for i, route in enumerate(routes) if matchers_of(route) == key.id), None)
        if place is None:
            # Before the others: one of them might match everything.
            routes.insert(0, dict(document))
        else:
            routes[place] = dict(document)
        self._write({**tree, "routes": routes})

    def delete(self, key: Key) -> None:
        """Take the route out of the tree."""
        tree = self._tree()
        left = [route for route in tree.get("routes") or [] if matchers_of(route) != key.id]
        if len(left) != len(tree.get("routes") or []):
            self._write({**tree, "routes": left})

    def _tree(self) -> dict[str, Any]:
        return dict(self._client.request("GET", f"{_ROOT}/policies").json())

    def _write(self, tree: Mapping[str, Any]) -> None:
        self._client.request("PUT", f"{_ROOT}/policies", json=without(tree, ["provenance"]), headers=dict(EDITABLE))


class RuleGroups(GrafanaPart):
    """Groups of alert rules by folder and title."""

    kind = "rule_groups"
    shape = _SHAPE

    def read(self, identifier: str) -> Live | None:
        """A group with its rules."""
        found = self._client.get(self._path(identifier))
        if found is None:
            return None
        rules = found.get("rules") or []
        provenance = next((rule["provenance"] for rule in rules if rule.get("provenance")), "")
        changed = max((str(rule.get("updated") or "") for rule in rules), default="")
        url = f"{self._client.public_url}/alerting/list"
        return Live(plain_group(found), found["title"], url, edited_at=changed[:16].replace("T", " "), locked=_locked(provenance))

    def put(self, key: Key, document: Document) -> None:
        """Put the whole group in place: a rule that it does not have is removed from it."""
        folder, title = document["folderUid"], document["title"]
        rules = [{**rule, "folderUID": folder, "ruleGroup": title} for rule in document["rules"]]
        self._client.request("PUT", self._path(key.id), json={**document, "rules": rules}, headers=dict(EDITABLE))

    def delete(self, key: Key) -> None:
        """Remove a group with its rules."""
        self._client.request("DELETE", self._path(key.id), accept=(404,), headers=dict(EDITABLE))

    def _path(self, identifier: str) -> str:
        folder, _, title = identifier.partition("/")
        return f"{_ROOT}/folder/{quote(folder, safe='')}/rule-groups/{quote(title, safe='')}"


def plain_group(group: Mapping[str, Any]) -> dict[str, Any]:
    """A group as its file says it: without the server's own, durations said one way."""
    rules = [{**without(rule, _RULE_OF_THE_SERVER), **_durations(rule)} for rule in group.get("rules") or []]
    return {**group, "rules": rules}


def _durations(rule: Mapping[str, Any]) -> dict[str, str]:
    return {name: seconds(str(rule[name])) for name in ("for", "keep_firing_for") if rule.get(name)}


def seconds(duration: str) -> str:
    """A duration such as `1m30s` or `5m0s` in seconds, `90s`, because Grafana says one in several ways."""
    found = prometheus_milliseconds(duration)
    return duration if found is None else f"{found / 1000:g}s"


def matchers_of(route: Mapping[str, Any]) -> str:
    """A route's matchers as text, such as `team=lakehouse`; it is what tells one route from another."""
    return ",".join(sorted("".join(map(str, one)) for one in route.get("object_matchers") or []))


def wanted_route(path: str, document: Document) -> Wanted:
    """What a file says.

    Raises:
        ConfigurationError: it has no matchers, so that it could not be told from the root.
    """
    if not matchers_of(document):
        raise ConfigurationError(f"{path}: a notification policy of ours needs `object_matchers`, such as [['team', '=', 'lakehouse']]")
    return Wanted(_plain_route(document), matchers_of(document), path)


def _plain_route(route: Mapping[str, Any]) -> dict[str, Any]:
    """A route, its durations said one way."""
    plain = without(route, ["provenance"])
    plain |= {name: seconds(str(plain[name])) for name in ("group_wait", "group_interval", "repeat_interval") if plain.get(name)}
    if plain.get("routes"):
        plain["routes"] = [_plain_route(one) for one in plain["routes"]]
    return plain


def _locked(provenance: Any) -> str:
    return f"its provenance is `{provenance}`: another tool has it" if provenance else ""
