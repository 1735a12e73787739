"""Grafana's boards: backed up, lost, restored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest
from pyarrow import fs

from lakehouse.backup import boards
from lakehouse.backup.vault import Vault
from lakehouse.dashboards.grafana.client import GrafanaClient
from tests.grafana.server import GrafanaServer

BACKUP = "20261124T030000Z"


@pytest.fixture
def client() -> Iterator[GrafanaClient]:
    """A Grafana with a folder in a folder, and a board in that."""
    with GrafanaServer("13.2.1") as server:
        client = GrafanaClient(server.url, server.token())
        client.request("POST", "/api/folders", json={"uid": "team", "title": "Team"})
        client.request("POST", "/api/folders", json={"uid": "below", "title": "Below", "parentUid": "team"})
        board = {"uid": "somebodys", "title": "Somebody's", "panels": [], "schemaVersion": 42}
        client.request("POST", "/api/dashboards/db", json={"dashboard": board, "folderUid": "below"})
        yield client


def test_what_somebody_deleted_comes_back_where_it_was(client: GrafanaClient, tmp_path: Path) -> None:
    key = str(pyrage.x25519.Identity.generate().to_public())
    vault = Vault(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), str(tmp_path), key)
    kept = boards.back_up_grafana(client, vault, BACKUP)
    vault.keep_part(BACKUP, kept)
    vault.close(BACKUP, ["grafana"])
    assert sorted(kept.objects) == ["dashboards/somebodys", "folders/below", "folders/team"]
    client.request("DELETE", "/api/folders/team?forceDeleteRules=true")
    assert client.get("/api/dashboards/uid/somebodys") is None

    compared = boards.restore_grafana(client, vault, BACKUP)

    assert [one for one in compared if not one.same] == []
    assert client.get("/api/dashboards/uid/somebodys")["meta"]["folderUid"] == "below"
    # Once more is the same, and writes nothing.
    version = client.get("/api/dashboards/uid/somebodys")["dashboard"]["version"]
    assert all(one.same for one in boards.restore_grafana(client, vault, BACKUP))
    assert client.get("/api/dashboards/uid/somebodys")["dashboard"]["version"] == version
