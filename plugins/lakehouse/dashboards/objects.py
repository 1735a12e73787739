"""The words of the sync: an object's key, what its file wants, what is live, and the parts of a service that read and write them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

Document = Mapping[str, Any]


class Key(NamedTuple):
    """An object's identity: its kind, and its UUID, or its name where the service has no UUID."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"

    @classmethod
    def of(cls, text: str) -> Key:
        """The key that was written as text."""
        kind, _, identifier = text.partition("/")
        return cls(kind, identifier)


@dataclass(frozen=True)
class Shape:
    """How a service treats the documents of a part.

    Args:
        exact: below these paths it keeps what it is sent and adds nothing: a key that the file lacks is a difference there.
        names: keys of which one names each entry of a list that has no order of its own.
        replaces: a write puts one whole document in place, or nothing: what a file no longer says is gone. Otherwise it has to be told, and
            a write may touch more than it names.
        adopts: what was never recorded, and has no known editor, may be written over.
        omits: the service leaves out what is false, zero or empty.
    """

    exact: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    replaces: bool = False
    adopts: bool = True
    omits: bool = False


@dataclass(frozen=True)
class Wanted:
    """What a file says. `secret` is what the service never shows again, such as a password: only its change can be seen."""

    content: Document
    name: str
    path: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class Live:
    """What the service has, said as a file would say it, and who changed it last (empty where the service does not tell).

    `version` changes with the object, as far as the service can tell; empty where it cannot. `locked` says why we may not write it.
    """

    content: Document
    name: str
    url: str = ""
    editor: str = ""
    edited_at: str = ""
    version: str = ""
    locked: str = ""


class Part(Protocol):
    """One part of a service."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Its kinds in the order in which they are written; they are deleted in the reverse order."""

    @property
    def together(self) -> bool:
        """Whether all documents are written in one request, all or none; otherwise one by one."""

    @property
    def shape(self) -> Shape:
        """How its documents are compared."""

    def live(self, keys: Collection[Key], known: Mapping[Key, Live]) -> dict[Key, Live]:
        """Those of the keys that exist; one that has the version it is known by need not be read again."""

    def write(self, documents: Mapping[Key, Document]) -> None:
        """Create them, or bring them to this content."""

    def in_use(self, key: Key) -> str:
        """Who else needs the object, in words; empty when no one does."""

    def delete(self, key: Key) -> None:
        """Remove an object that may already be gone."""


class Target(Protocol):
    """A service whose objects come from files."""

    @property
    def name(self) -> str:
        """As people see it, such as `superset`."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its parts in the order in which they are written."""

    @property
    def user(self) -> str:
        """Who our own writes are by, in the service's words; an editor of this name is no one else."""

    def wanted(self) -> dict[Key, Wanted]:
        """What the files say."""

    @property
    def kept(self) -> Collection[Key]:
        """What files say that cannot be filled in here: neither written, nor orphaned."""
