"""Databases, datasets, charts and dashboards: read by Superset's exports, written by its assets import.

Sources, in apache-superset 6.1.0: `superset/importexport/api.py`, `superset/commands/importers/v1/assets.py` (one transaction; with
`sparse` what is not in the bundle is looked up), `superset/commands/dashboard/export.py`.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import yaml

from lakehouse.dashboards.objects import Document, Key, Live
from lakehouse.dashboards.superset.bundle import KINDS, LOADER
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.normal import SHAPE, for_import, name_of, normalise

_RESOURCES = {"databases": "database", "datasets": "dataset", "charts": "chart", "dashboards": "dashboard"}
# `changed_on` is what databases have in place of `changed_on_utc`.
_COLUMNS = ("id", "uuid", "changed_on_utc", "changed_on", "changed_by.first_name", "changed_by.last_name", "is_managed_externally")
_PAGES = {
    "databases": "/databaseview/list/",
    "datasets": "/explore/?datasource_type=table&datasource_id={id}",
    "charts": "/explore/?slice_id={id}",
    "dashboards": "/superset/dashboard/{id}/",
}
_IDS_A_CALL = 200


class Assets:
    """The part of Superset that has an export format.

    Args:
        client: identity with the right to export and import.
        passwords: of the databases that the files name.
    """

    kinds = KINDS
    together = True
    shape = SHAPE

    def __init__(self, client: SupersetClient, passwords: Mapping[Key, str]) -> None:
        self._client, self._passwords = client, passwords

    def live(self, keys: Collection[Key], known: Mapping[Key, Live]) -> dict[Key, Live]:
        """Those of the keys that exist, in their normal form.

        Superset's time of change is an object's version. It misses what an import changes in a dataset's columns alone, and a chart
        that was put on a board from the chart's side; whoever has to be sure knows nothing.
        """
        listed = {kind: {str(entry["uuid"]): entry for entry in self._client.list(_RESOURCES[kind], _COLUMNS)} for kind in self.kinds}
        charts = {entry["id"]: uuid for uuid, entry in listed["charts"].items()}
        there = {key: listed[key.kind][key.id] for key in keys if key.id in listed[key.kind]}
        found = {key: known[key] for key, entry in there.items() if key in known and known[key].version == _version(entry)}
        contents = self._exports({key: entry["id"] for key, entry in there.items() if key not in found})
        for key, document in contents.items():
            # Not in exports, though an import takes it.
            managed = {"is_managed_externally": True} if there[key].get("is_managed_externally") else {}
            found[key] = Live(normalise(document, charts) | managed, name_of(document))
        return {key: self._said(key, live, there[key]) for key, live in found.items()}

    def _said(self, key: Key, live: Live, entry: Mapping[str, Any]) -> Live:
        by = entry.get("changed_by") or {}
        version = _version(entry)
        return replace(
            live,
            url=self._client.public_url + _PAGES[key.kind].format(id=entry["id"]),
            editor=f"{by.get('first_name') or ''} {by.get('last_name') or ''}".strip(),
            edited_at=version[:16].replace("T", " "),
            version=version,
        )

    def _exports(self, ids: Mapping[Key, int]) -> dict[Key, dict[str, Any]]:
        """The documents of these objects; a board's export has its charts, a chart's has its dataset, a dataset's its database."""
        found: dict[Key, dict[str, Any]] = {}
        for kind in reversed(self.kinds):
            numbers = sorted(number for key, number in ids.items() if key.kind == kind and key not in found)
            for folder, document in self._export(kind, numbers):
                key = Key(folder, str(document["uuid"]))
                if key in ids:
                    found[key] = document
        return found

    def _export(self, kind: str, ids: list[int]) -> Iterator[tuple[str, dict[str, Any]]]:
        for start in range(0, len(ids), _IDS_A_CALL):
            some = ",".join(map(str, ids[start : start + _IDS_A_CALL]))
            content = self._client.request("GET", f"/api/v1/{_RESOURCES[kind]}/export/?q=!({some})", timeout=(5, 300)).content
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    if name.count("/") >= 2 and (folder := name.split("/")[1]) in self.kinds:
                        yield folder, yaml.load(archive.read(name), LOADER)  # noqa: S506  # safe, both

    def write(self, documents: Mapping[Key, Document]) -> None:
        """Import these documents and no other, over whatever is live."""
        bundle = io.BytesIO()
        with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bundle/metadata.yaml", yaml.safe_dump({"version": "1.0.0", "type": "assets"}))
            for key, document in documents.items():
                # In the file, not in the form's field `passwords`: Superset's audit log keeps the fields of every form.
                sent = for_import(document, self._passwords.get(key, ""))
                archive.writestr(f"bundle/{key.kind}/{key.id}.yaml", yaml.dump(sent, Dumper=_DUMPER, sort_keys=False))
        files = {"bundle": ("bundle.zip", bundle.getvalue(), "application/zip")}
        self._client.request("POST", "/api/v1/assets/import/", files=files, data={"sparse": "true"}, timeout=(5, 300))

    def in_use(self, key: Key) -> str:
        """What else is drawn from it: Superset removes a dataset under a chart without a word."""
        number = self._number(key)
        if number is None or key.kind == "dashboards":
            return ""
        if key.kind == "charts":
            boards = self._client.request("GET", f"/api/v1/chart/{number}").json()["result"]["dashboards"]
            return f"it is on the board {boards[0]['dashboard_title']}" if boards else ""
        found = self._client.request("GET", f"/api/v1/{_RESOURCES[key.kind]}/{number}/related_objects/", accept=(404,)).json()
        counts = {kind: entry["count"] for kind, entry in found.items() if isinstance(entry, dict) and entry.get("count")}
        return ", ".join(f"{count} {kind} use it" for kind, count in counts.items())

    def delete(self, key: Key) -> None:
        """Remove one object."""
        number = self._number(key)
        if number is not None:
            self._client.request("DELETE", f"/api/v1/{_RESOURCES[key.kind]}/{number}", accept=(404,))

    def _number(self, key: Key) -> int | None:
        entries = self._client.list(_RESOURCES[key.kind], ("uuid",))
        return next((int(entry["id"]) for entry in entries if str(entry["uuid"]) == key.id), None)


def _version(entry: Mapping[str, Any]) -> str:
    return str(entry.get("changed_on_utc") or entry.get("changed_on") or "")


# libyaml's dumper, where PyYAML has it, takes a tenth of the time.
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
