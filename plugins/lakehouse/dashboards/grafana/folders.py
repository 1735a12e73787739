"""Folders and who may use them.

Source: grafana/grafana, `pkg/api/folder.go`, `pkg/api/folder_permission.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from lakehouse.dashboards.grafana.part import GrafanaPart, without
from lakehouse.dashboards.objects import Document, Key, Live
from lakehouse.exceptions import ServiceError


class Folders(GrafanaPart):
    """Folders by uid. Permissions name a role, a `team` by its name, or a `user` by login; those that are inherited are not shown."""

    kind = "folders"

    def read(self, identifier: str) -> Live | None:
        """A folder and its own permissions."""
        found = self._client.get(f"/api/folders/{quote(identifier, safe='')}")
        if found is None:
            return None
        self._versions[identifier] = found["version"]
        content = {
            "uid": identifier,
            "title": found["title"],
            **({"parentUid": found["parentUid"]} if found.get("parentUid") else {}),
            "permissions": self._permissions(identifier),
        }
        url = f"{self._client.public_url}/dashboards/f/{identifier}"
        locked = _manager(found)
        return Live(
            content,
            found["title"],
            url,
            self._client.author(found.get("updatedBy")),
            when(found.get("updated")),
            str(found["version"]),
            locked,
        )

    def put(self, key: Key, document: Document) -> None:
        """Create or rename a folder, move it, and set its permissions."""
        wanted = without(document, ["permissions"])
        path = f"/api/folders/{quote(key.id, safe='')}"
        if key.id not in self._versions:
            # So that what comes after it can be tried again without making it twice.
            self._versions[key.id] = self._client.request("POST", "/api/folders", json=wanted).json()["version"]
        else:
            there = self._client.request("GET", path).json()
            if (there.get("parentUid") or "") != (wanted.get("parentUid") or ""):
                self._client.request("POST", f"{path}/move", json={"parentUid": wanted.get("parentUid") or ""})
                self._versions[key.id] = self._client.request("GET", path).json()["version"]
            if there["title"] != wanted["title"]:
                self._client.request("PUT", path, json={"title": wanted["title"], "version": self._versions[key.id]})
        permissions = document.get("permissions")
        if permissions is not None and in_order(permissions) != self._permissions(key.id):
            self._client.request("POST", f"{path}/permissions", json={"items": [self._item(one) for one in permissions]})

    def _permissions(self, identifier: str) -> list[dict[str, Any]]:
        items = self._client.request("GET", f"/api/folders/{quote(identifier, safe='')}/permissions").json()
        return in_order(_permission(item) for item in items if not item.get("inherited"))

    def _item(self, permission: Mapping[str, Any]) -> dict[str, Any]:
        """A permission as the API takes it: teams and users by number."""
        item = {"permission": permission["permission"]}
        if "team" in permission:
            found = self._client.request("GET", "/api/teams/search", params={"name": permission["team"]}).json()["teams"]
            if not found:
                raise ServiceError(f"a folder's permissions name the team {permission['team']!r}, and Grafana has none of that name")
            return item | {"teamId": found[0]["id"]}
        if "user" in permission:
            found = self._client.get(f"/api/org/users/lookup?query={quote(permission['user'])}") or []
            number = next((one["userId"] for one in found if one["login"] == permission["user"]), None)
            if number is None:
                raise ServiceError(f"a folder's permissions name the user {permission['user']!r}, and Grafana has none of that login")
            return item | {"userId": number}
        return item | {"role": permission["role"]}

    def in_use(self, key: Key) -> str:
        """What is in it: a folder is removed with its whole content."""
        boards = self._client.request("GET", "/api/search", params={"folderUIDs": key.id, "limit": 5}).json()
        rules = self._client.request("GET", "/api/v1/provisioning/alert-rules").json()
        panels = self._client.request("GET", "/api/library-elements", params={"folderFilterUIDs": key.id}).json()["result"]["totalCount"]
        held = {
            "dashboards or folders": len(boards),
            "alert rules": sum(rule["folderUID"] == key.id for rule in rules),
            "library panels": panels,
        }
        words = [f"{count} {what}" for what, count in held.items() if count]
        return f"it holds {', '.join(words)}" if words else ""

    def delete(self, key: Key) -> None:
        """Remove an empty folder."""
        self._client.request("DELETE", f"/api/folders/{quote(key.id, safe='')}", accept=(404,))


def in_order(permissions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Permissions in an order of their own, because Grafana has none."""
    return sorted(map(dict, permissions), key=lambda one: [str(one.get(key, "")) for key in ("role", "team", "user")])


def _permission(item: Mapping[str, Any]) -> dict[str, Any]:
    for word, name in (("role", "role"), ("team", "team"), ("user", "userLogin")):
        if item.get(name):
            return {word: item[name], "permission": item["permission"]}
    return {"role": "", "permission": item["permission"]}


def _manager(found: Mapping[str, Any]) -> str:
    return f"managed by {found['managedBy']}" if found.get("managedBy") else ""


def when(timestamp: Any) -> str:
    """A time as the plan shows it."""
    return str(timestamp or "")[:16].replace("T", " ")
