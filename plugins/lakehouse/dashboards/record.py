"""What was applied last, and what was there before: one object for the record, one for each backup.

The record is the mark of what is ours: Superset has no place for one that its exports keep and people leave alone. Without it nothing
is orphaned, so nothing is ever pruned that we did not write.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakehouse.dashboards.objects import Document, Key, Live, Wanted
from lakehouse.exceptions import ConfigurationError

if TYPE_CHECKING:
    from lakehouse.objects import ObjectStore

_SCRYPT = {"n": 2**12, "r": 8, "p": 1}


@dataclass(frozen=True)
class Recorded:
    """An object as it was read back after it was applied; `said` is what its file said, its keys alone where they are enough."""

    name: str
    content: Document
    version: str = ""
    said: Document = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """What was applied last, salted hashes of the secrets that went with it, and the keys of a write that may have been cut off.

    `begun` is what was to be written, of documents that are replaced whole.
    """

    applied: Mapping[Key, Recorded] = field(default_factory=dict)
    secrets: Mapping[Key, str] = field(default_factory=dict)
    pending: frozenset[Key] = frozenset()
    begun: Mapping[Key, Document] = field(default_factory=dict)

    def knows(self, key: Key, secret: str) -> bool:
        """Whether this secret is the one that was applied."""
        salt, _, digest = self.secrets.get(key, "").partition("$")
        return not secret or (bool(digest) and hmac.compare_digest(digest, _digest(salt, secret)))

    def with_secrets(self, wanted: Mapping[Key, Wanted]) -> Record:
        """The record after these were sent."""
        new = {key: one.secret for key, one in wanted.items() if not self.knows(key, one.secret)}
        salt = secrets.token_hex(8)
        return replace(self, secrets={**self.secrets, **{key: f"{salt}${_digest(salt, secret)}" for key, secret in new.items()}})

    def with_said(self, wanted: Mapping[Key, Wanted]) -> Record:
        """The record after these were sent: what they do not say is gone, or the service's own."""
        said = {key: replace(self.applied[key], said=one.content) for key, one in wanted.items() if key in self.applied}
        return replace(self, applied={**self.applied, **said})


def _recorded(entry: dict[str, Any]) -> Recorded:
    """An entry of the record; an older one has only the keys of what its file said."""
    said = entry.get("said", {})
    return Recorded(**{**entry, "said": said if isinstance(said, dict) else dict.fromkeys(said)})


def _digest(salt: str, secret: str) -> str:
    return hashlib.scrypt(secret.encode(), salt=salt.encode(), **_SCRYPT).hex()


@dataclass(frozen=True)
class Backup:
    """What was live before a write; `content` None is an object that was not there."""

    name: str
    taken_at: str
    objects: Mapping[Key, Live | None]


class Memory:
    """Keeps a target's record and backups under a prefix of a bucket.

    Each is one object, written by one put: after a kill it is there whole, or not at all.
    """

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store, self._prefix = store, prefix.strip("/")

    def record(self) -> Record:
        """The record; an empty one where nothing was applied yet.

        Raises:
            ConfigurationError: it is no record.
        """
        key = f"{self._prefix}/applied.json"
        if self._store.stat(key) is None:
            return Record()
        try:
            said = json.loads(self._store.read(key))
            entries = {Key.of(text): _recorded(entry) for text, entry in said["applied"].items()}
            hashes = {Key.of(text): text_hash for text, text_hash in said["secrets"].items()}
            begun = {Key.of(text): content for text, content in said.get("begun", {}).items()}
            return Record(entries, hashes, frozenset(map(Key.of, said["pending"])), begun)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"{key} is no record of what was applied ({type(error).__name__}): remove it, and the next sync writes a new one; "
                "until then edits in the UI are told by their editor alone, and nothing is pruned"
            ) from error

    def write_record(self, record: Record) -> None:
        """Write the record over the last one."""
        said = {
            "applied": {str(key): entry.__dict__ for key, entry in sorted(record.applied.items())},
            "secrets": {str(key): text for key, text in sorted(record.secrets.items())},
            "pending": sorted(map(str, record.pending)),
            "begun": {str(key): content for key, content in sorted(record.begun.items()) if key in record.pending},
        }
        self._store.put(f"{self._prefix}/applied.json", json.dumps(said, indent=1).encode(), "application/json")

    def back_up(self, objects: Mapping[Key, Live | None]) -> str:
        """Keep what is live; returns the backup's name, such as `20261123T040000.123456Z`."""
        now = datetime.now(UTC)
        name = now.strftime("%Y%m%dT%H%M%S.%fZ")
        entries = {str(key): live.__dict__ if live else None for key, live in sorted(objects.items())}
        body = json.dumps({"taken_at": now.isoformat(timespec="seconds"), "objects": entries}, indent=1).encode()
        self._store.put_once(self._backup(name), body, "application/json")
        return name

    def backups(self) -> list[str]:
        """Names of the backups, the newest first."""
        entries = self._store.list(f"{self._prefix}/backups/")
        return sorted((entry.key.rsplit("/", 1)[-1].removesuffix(".json") for entry in entries), reverse=True)

    def backup(self, name: str) -> Backup:
        """A backup.

        Raises:
            ConfigurationError: there is none of this name; the newest ones are named.
        """
        names = self.backups()
        if name not in names:
            raise ConfigurationError(f"there is no backup {name!r}; the newest are: {', '.join(names[:5]) or 'none'}")
        said = json.loads(self._store.read(self._backup(name)))
        entries = {Key.of(text): Live(**entry) if entry else None for text, entry in said["objects"].items()}
        return Backup(name, said["taken_at"], entries)

    def _backup(self, name: str) -> str:
        return f"{self._prefix}/backups/{name}.json"
