"""OpenSearch's indices, as snapshots in a repository: OpenSearch copies only what the repository lacks.

Source: OpenSearch's documentation, "Take and restore snapshots", "Register snapshot repository".
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from lakehouse.backup.compare import Compared, compare
from lakehouse.backup.vault import Kept, Vault
from lakehouse.exceptions import ConfigurationError, ServiceError, TransientError, VerificationError
from lakehouse.opensearch.client import OpenSearchClient

log = logging.getLogger(__name__)

PART = "logs"
REPOSITORY = "lakehouse_backup"
_SECONDS = 3_600
_PAUSE = 1.0


def back_up(client: OpenSearchClient, repository: Mapping[str, Any], backup: str, pattern: str) -> Kept:
    """Take a snapshot of the indices.

    Args:
        repository: `type` and `settings`, such as `{"type": "fs", "settings": {"location": "/mnt/backups"}}`.

    Raises:
        ConfigurationError: OpenSearch cannot use the repository.
        VerificationError: the snapshot is not whole.
    """
    _register(client, repository)
    before = client.documents_by_index(pattern)
    path = f"/_snapshot/{REPOSITORY}/{_named(backup)}"
    client.request("DELETE", path, accept=(404,))
    wanted = {"indices": pattern, "include_global_state": False, "ignore_unavailable": True, "metadata": {"backup": backup}}
    client.request("PUT", path, json=wanted)
    snapshot = _wait(client, path)
    client.refresh(pattern)
    after = client.documents_by_index(pattern)
    objects = {name: _range(count, after.get(name, count)) for name, count in before.items()}
    if missing := objects.keys() - set(snapshot["indices"]):
        raise VerificationError(f"snapshot {backup} lacks the indices {sorted(missing)}: clear the task")
    log.info("snapshot %s: %d indices, %d documents", backup, len(objects), sum(before.values()))
    return Kept(PART, [], objects, {"repository": dict(repository), "snapshot": _named(backup)})


def restore(client: OpenSearchClient, repository: Mapping[str, Any], vault: Vault, backup: str) -> list[Compared]:
    """Put the indices of a snapshot in the place of those of the same names; others stay.

    Raises:
        ConfigurationError: OpenSearch cannot use the repository, or it has no such snapshot.
    """
    kept = vault.part(backup, PART)
    _register(client, repository)
    path = f"/_snapshot/{REPOSITORY}/{_named(backup)}"
    try:
        snapshot = client.request("GET", path).json()["snapshots"][0]
    except ServiceError as error:
        if error.status != 404:
            raise
        raise ConfigurationError(f"repository {REPOSITORY} has no snapshot {_named(backup)}: does it lie at {repository}?") from error
    names = sorted(snapshot["indices"])
    for name in names:
        client.request("DELETE", f"/{name}", accept=(404,))
    if names:
        wanted = {"indices": ",".join(names), "include_global_state": False, "include_aliases": True}
        client.request("POST", f"{path}/_restore?wait_for_completion=true", json=wanted, timeout=(5, _SECONDS))
    pattern = ",".join(names) or "none-*"
    client.refresh(pattern)
    found = client.documents_by_index(pattern)
    return compare(PART, kept.objects, {name: str(count) for name, count in found.items()})


def forget(client: OpenSearchClient, repository: Mapping[str, Any], backups: Iterable[str]) -> None:
    """Remove the snapshots of back-ups that went; what other snapshots need stays in the repository."""
    _register(client, repository)
    for backup in backups:
        client.request("DELETE", f"/_snapshot/{REPOSITORY}/{_named(backup)}", accept=(404,), timeout=(5, 600))


def _register(client: OpenSearchClient, repository: Mapping[str, Any]) -> None:
    if not repository:
        raise ConfigurationError("connection lakehouse_backup has no extra `snapshot_repository`: docs/backup.md says what to write")
    try:
        client.request("PUT", f"/_snapshot/{REPOSITORY}?verify=true", json=dict(repository))
    except (ServiceError, TransientError) as error:
        raise ConfigurationError(
            f"OpenSearch cannot use the snapshot repository {dict(repository)}: {error}: a shared folder has to stand in `path.repo` of "
            "opensearch.yml on every node; `s3` needs the plugin repository-s3"
        ) from error


def _wait(client: OpenSearchClient, path: str) -> dict[str, Any]:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        snapshot = client.request("GET", path).json()["snapshots"][0]
        if snapshot["state"] == "SUCCESS":
            return dict(snapshot)
        if snapshot["state"] != "IN_PROGRESS":
            reasons = [failure.get("reason", "") for failure in snapshot.get("failures", [])][:2]
            raise VerificationError(f"OpenSearch's snapshot {path} is {snapshot['state']}: {reasons}: clear the task, a new one is taken")
        time.sleep(_PAUSE)
    raise TransientError(f"OpenSearch's snapshot {path} was not ready after {_SECONDS} s; it goes on by itself")


def _named(backup: str) -> str:
    """OpenSearch wants small letters."""
    return backup.lower()


def _range(before: int, after: int) -> str:
    """A count, or the range in which the snapshot's lies where documents came meanwhile."""
    return str(before) if before == after else f"{min(before, after)}..{max(before, after)}"
