"""A service in a dictionary, with parts that write as real ones do; what the sync promises holds for any service."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lakehouse.dashboards.objects import Document, Key, Live, Shape, Wanted
from lakehouse.exceptions import ServiceError
from lakehouse.objects import ObjectStore


@dataclass
class DictPart:
    """Some of the objects in `there`, by key; of `needs` it takes none while another object is missing, and one that
    `touches` another changes that as well."""

    kinds: tuple[str, ...]
    together: bool = False
    shape: Shape = field(default_factory=Shape)
    there: dict[Key, Document] = field(default_factory=dict)
    needs: dict[Key, Key] = field(default_factory=dict)
    touches: dict[Key, Key] = field(default_factory=dict)
    needed: set[Key] = field(default_factory=set)
    edited: set[Key] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    def live(self, keys: Collection[Key], known: Mapping[Key, Live]) -> dict[Key, Live]:
        assert known.keys() <= self.there.keys() | set(keys)
        return {key: Live(self.there[key], key.id, editor=self.editor(key)) for key in keys if key in self.there}

    def editor(self, key: Key) -> str:
        """Roles do not tell."""
        return "" if key.kind == "roles" else "Ada" if key in self.edited else "Sync"

    def write(self, documents: Mapping[Key, Document]) -> None:
        for key in documents:
            if key in self.needs and self.needs[key] not in self.there:
                raise ServiceError(f"{key} needs {self.needs[key]}", status=422, target=str(key))
        self.calls.append(" ".join(sorted(f"write {key}" for key in documents)))
        self.there.update(documents)
        self.edited -= documents.keys()
        self.there.update({self.touches[key]: {"text": "touched"} for key in documents if key in self.touches})

    def in_use(self, key: Key) -> str:
        return f"{key.id} is needed" if key in self.needed else ""

    def delete(self, key: Key) -> None:
        self.calls.append(f"delete {key}")
        self.there.pop(key, None)


@dataclass
class DictTarget:
    """Files and a service."""

    files: dict[Key, Document]
    parts: tuple[DictPart, ...]
    name: str = "service"
    user: str = "Sync"
    kept: tuple[Key, ...] = ()

    def wanted(self) -> dict[Key, Wanted]:
        return {key: Wanted(document, key.id) for key, document in self.files.items()}


class DictStore(ObjectStore):
    """Objects in memory: what the record and the backups are kept in."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.types: dict[str, str] = {}

    def stat(self, key: str) -> Any:
        return self.objects.get(key)

    def read(self, key: str) -> bytes:
        return self.objects[key]

    def put(self, key: str, body: bytes, content_type: str = "") -> None:
        self.objects[key] = body
        self.types[key] = content_type

    def put_once(self, key: str, body: bytes, content_type: str) -> bool:
        assert key not in self.objects
        self.put(key, body, content_type)
        return True

    def list(self, prefix: str) -> Any:
        return [type("Entry", (), {"key": key}) for key in self.objects if key.startswith(prefix)]
