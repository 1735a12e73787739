"""Dashboards and library panels.

Sources: grafana/grafana, `pkg/api/dashboard.go`, `pkg/services/dashboards/errors.go`, `pkg/services/libraryelements/api.go`.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from lakehouse.dashboards.grafana.client import GrafanaClient
from lakehouse.dashboards.grafana.files import OF_A_SERVER
from lakehouse.dashboards.grafana.folders import when
from lakehouse.dashboards.grafana.part import GrafanaPart, without
from lakehouse.dashboards.objects import Document, Key, Live

_NEWER_FORMAT = 406
_ADDRESS = re.compile(r"/apis/\S+")  # in the refusal, where such a dashboard can be had


class Dashboards(GrafanaPart):
    """Dashboards by uid, in the classic format, with the `folderUid` they are in.

    Args:
        client: identity with the role Admin.
        message: what each version that we write says of itself.
    """

    kind = "dashboards"

    def __init__(self, client: GrafanaClient, message: str) -> None:
        super().__init__(client)
        self._message = message
        self._newer_ones: set[str] = set()

    def begin(self) -> None:
        """Forget what was read before."""
        super().begin()
        self._newer_ones.clear()

    def read(self, identifier: str) -> Live | None:
        """A dashboard."""
        path = f"/api/dashboards/uid/{quote(identifier, safe='')}"
        response = self._client.request("GET", path, accept=(404, _NEWER_FORMAT))
        if response.status_code == 404:
            return None
        if response.status_code == _NEWER_FORMAT:
            self._newer_ones.add(identifier)
            return self._newer(identifier, str(response.json().get("message")))
        board, meta = response.json()["dashboard"], response.json()["meta"]
        self._versions[identifier] = board["version"]
        content = {**without(board, OF_A_SERVER), "folderUid": meta.get("folderUid") or ""}
        url = self._client.public_url + _below_root(str(meta.get("url") or f"/d/{identifier}"))
        locked = "provisioned from a file of the server" if meta.get("provisioned") else ""
        return Live(
            content,
            board["title"],
            url,
            self._client.author(meta.get("updatedBy")),
            when(meta.get("updated")),
            str(board["version"]),
            locked,
        )

    def _newer(self, identifier: str, message: str) -> Live:
        """A dashboard that someone saved in the format v2, which the old API can neither show nor write without loss."""
        address = _ADDRESS.search(message)
        found = (self._client.get(address.group()) if address else None) or {}
        notes = (found.get("metadata") or {}).get("annotations") or {}
        spec = found.get("spec") or {}
        return Live(
            {"apiVersion": found.get("apiVersion", "v2"), "title": spec.get("title", identifier)},
            str(spec.get("title", identifier)),
            f"{self._client.public_url}/d/{identifier}",
            # An editor that is never ours: nobody but a person saves in this format.
            str(notes.get("grafana.app/updatedBy") or "someone, as a v2 dashboard"),
            when(notes.get("grafana.app/updatedTimestamp")),
        )

    def put(self, key: Key, document: Document) -> None:
        """Save it over the version that was read, or as a new one."""
        board = {**without(document, ["folderUid"]), "id": None, "version": self._versions.get(key.id, 0)}
        body: dict[str, Any] = {
            "dashboard": board,
            "folderUid": document.get("folderUid") or "",
            "message": self._message,
            # What cannot be read in this format has no version that could be named; it is written over only when told to.
            "overwrite": key.id in self._newer_ones,
        }
        self._client.request("POST", "/api/dashboards/db", json=body)

    def delete(self, key: Key) -> None:
        """Remove one."""
        self._client.request("DELETE", f"/api/dashboards/uid/{quote(key.id, safe='')}", accept=(404,))


class LibraryPanels(GrafanaPart):
    """Library panels by uid."""

    kind = "library_panels"

    def read(self, identifier: str) -> Live | None:
        """A library panel."""
        found = self._client.get(f"/api/library-elements/{quote(identifier, safe='')}")
        if found is None:
            return None
        panel = found["result"]
        self._versions[identifier] = panel["version"]
        meta = panel.get("meta") or {}
        content = {
            "uid": identifier,
            "name": panel["name"],
            "kind": panel["kind"],
            "folderUid": panel.get("folderUid") or meta.get("folderUid") or "",
            "model": panel["model"],
        }
        editor = self._client.author((meta.get("updatedBy") or {}).get("name"))
        return Live(
            content, panel["name"], f"{self._client.public_url}/library-panels", editor, when(meta.get("updated")), str(panel["version"])
        )

    def put(self, key: Key, document: Document) -> None:
        """Create one, or save it over the version that was read."""
        if key.id in self._versions:
            body = {**document, "version": self._versions[key.id]}
            self._client.request("PATCH", f"/api/library-elements/{quote(key.id, safe='')}", json=body)
        else:
            self._client.request("POST", "/api/library-elements", json=dict(document))

    def in_use(self, key: Key) -> str:
        """The dashboards that have it."""
        found = self._client.get(f"/api/library-elements/{quote(key.id, safe='')}/connections/") or {}
        count = len(found.get("result") or [])
        return f"{count} dashboards have it" if count else ""

    def delete(self, key: Key) -> None:
        """Remove one."""
        self._client.request("DELETE", f"/api/library-elements/{quote(key.id, safe='')}", accept=(404,))


def _below_root(path: str) -> str:
    """An address below the server's root, whatever sub-path Grafana put before it."""
    return path[path.index("/d/") :] if "/d/" in path else path
