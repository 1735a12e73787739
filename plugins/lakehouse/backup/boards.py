"""Boards as files: Superset's own export, and Grafana's folders, library panels and dashboards.

Superset's database has its boards too; the files are for people who want one of them back. Grafana's data sources and alerts come from
files by `sync_dashboards`: Grafana shows nobody their secrets.
Sources: apache-superset 6.1.0, `superset/importexport/api.py`; grafana/grafana, `pkg/api/search.go`, `pkg/api/folder.go`.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import zipfile
from typing import Any

from lakehouse.backup.compare import Compared, compare
from lakehouse.backup.vault import Kept, Vault
from lakehouse.dashboards.grafana.boards import Dashboards, LibraryPanels
from lakehouse.dashboards.grafana.client import GrafanaClient
from lakehouse.dashboards.grafana.folders import Folders
from lakehouse.dashboards.objects import Key
from lakehouse.dashboards.superset.client import SupersetClient

log = logging.getLogger(__name__)

SUPERSET, GRAFANA = "superset", "grafana"
_GRAFANA_FILE = "grafana.json"
_PAGE = 1_000


def back_up_superset(client: SupersetClient, vault: Vault, backup: str) -> Kept:
    """Superset's export of every database, dataset, chart and board; it leaves passwords out."""
    exported = client.request("GET", "/api/v1/assets/export/", timeout=(5, 300)).content
    file = vault.keep(backup, "superset.zip", io.BytesIO(exported), secret=False)
    return Kept(SUPERSET, [file], _documents(exported))


def compare_superset(client: SupersetClient, vault: Vault, backup: str) -> list[Compared]:
    """Whether Superset exports what it exported then."""
    kept = vault.part(backup, SUPERSET)
    return compare(SUPERSET, kept.objects, _documents(client.request("GET", "/api/v1/assets/export/", timeout=(5, 300)).content))


def _documents(exported: bytes) -> dict[str, str]:
    """The digest of each file of an export, by its path below the export's own folder, whose name is a time."""
    with zipfile.ZipFile(io.BytesIO(exported)) as archive:
        files = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    return {name: hashlib.sha256(content).hexdigest()[:16] for name, content in files.items() if name != "metadata.yaml"}


def back_up_grafana(client: GrafanaClient, vault: Vault, backup: str) -> Kept:
    """Grafana's folders with their permissions, library panels and dashboards, whoever made them."""
    client.require_version()
    found = _grafana(client)
    body = json.dumps([{"kind": key.kind, "id": key.id, "content": content} for key, content in found.items()], indent=1)
    file = vault.keep(backup, _GRAFANA_FILE, io.BytesIO(body.encode()), secret=False)
    return Kept(GRAFANA, [file], _digests(found))


def restore_grafana(client: GrafanaClient, vault: Vault, backup: str) -> list[Compared]:
    """Bring back what was kept; what was made since stays."""
    client.require_version()
    kept = vault.part(backup, GRAFANA)
    sink = io.BytesIO()
    vault.copy_out(backup, kept.files[0], sink, "")
    for part in _parts(client):
        said = {Key(one["kind"], one["id"]): one["content"] for one in json.loads(sink.getvalue()) if one["kind"] == part.kind}
        there = part.live(said)
        part.write({key: content for key, content in said.items() if key not in there or there[key].content != content})
    return compare(GRAFANA, kept.objects, _digests(_grafana(client)))


def _parts(client: GrafanaClient) -> tuple[Folders, LibraryPanels, Dashboards]:
    return Folders(client), LibraryPanels(client), Dashboards(client, "restored from a back-up")


def _grafana(client: GrafanaClient) -> dict[Key, Any]:
    """What there is, folders before what is in them."""
    folders, panels, boards = _parts(client)
    keys = {
        folders: [Key(folders.kind, uid) for uid in _folders(client)],
        panels: [Key(panels.kind, uid) for uid in _pages(client, "/api/library-elements?kind=1&perPage={size}&page={page}", "elements")],
        boards: [Key(boards.kind, uid) for uid in _pages(client, "/api/search?type=dash-db&limit={size}&page={page}")],
    }
    return {key: live.content for part, its in keys.items() for key, live in part.live(its).items()}


def _folders(client: GrafanaClient, parent: str = "") -> list[str]:
    found = []
    for uid in _pages(client, f"/api/folders?limit={{size}}&page={{page}}{f'&parentUid={parent}' if parent else ''}"):
        found += [uid, *_folders(client, uid)]
    return found


def _pages(client: GrafanaClient, path: str, key: str = "") -> list[str]:
    found: list[str] = []
    for page in range(1, 10_000):
        answer = client.get(path.format(size=_PAGE, page=page))
        entries = answer["result"][key] if key else answer
        found += [entry["uid"] for entry in entries]
        if len(entries) < _PAGE:
            break
    return found


def _digests(found: dict[Key, Any]) -> dict[str, str]:
    return {str(key): hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16] for key, content in found.items()}
