"""What the parts of a Grafana have in common: objects read one by one by uid, and written whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from lakehouse.dashboards.grafana.client import GrafanaClient
from lakehouse.dashboards.objects import Document, Key, Live, Shape
from lakehouse.exceptions import ServiceError

REDACTED = "[REDACTED]"  # what Grafana shows in place of a contact point's secret
# Objects that were written with this header may be edited in Grafana's pages as well; without it they are locked there.
EDITABLE = MappingProxyType({"X-Disable-Provenance": "true"})


# Most kinds tell no author: what was there before us is somebody's.
SHAPE = Shape(names=("uid", "refId", "name", "id"), replaces=True, adopts=False)


class GrafanaPart(ABC):
    """One kind of object.

    Args:
        client: identity with the role Admin.
    """

    kind = ""
    together = False
    # Panels, variables, rules and queries are told by their names; a write puts the whole object in place.
    shape = SHAPE

    def __init__(self, client: GrafanaClient) -> None:
        self._client = client
        self._versions: dict[str, Any] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind."""
        return (self.kind,)

    def live(self, keys: Collection[Key], known: Mapping[Key, Live] = MappingProxyType({})) -> dict[Key, Live]:  # noqa: ARG002  # each is one cheap read
        """Those of the keys that exist."""
        self.begin()
        return {key: live for key in keys if (live := self.read(key.id))}

    def begin(self) -> None:
        """Forget what was read before."""
        self._versions.clear()

    @abstractmethod
    def read(self, identifier: str) -> Live | None:
        """One object, None where there is none."""

    def write(self, documents: Mapping[Key, Document]) -> None:
        """Create them, or bring them to this content."""
        for key, document in documents.items():
            try:
                self.put(key, document)
            except ServiceError as error:
                if error.status not in (409, 412) or key.id not in self._versions:
                    raise
                raise ServiceError(
                    f"{key.kind} {key.id} was changed by someone since it was read, and is left as they made it: "
                    f"the next sync shows their edit ({error})",
                    status=error.status,
                    target=error.target,
                ) from error

    @abstractmethod
    def put(self, key: Key, document: Document) -> None:
        """Create one, or bring it to this content; of one that was read, only if nobody changed it since."""

    def in_use(self, key: Key) -> str:  # noqa: ARG002  # where Grafana itself refuses, its refusal is the answer
        """Who else needs it."""
        return ""

    @abstractmethod
    def delete(self, key: Key) -> None:
        """Remove an object that may already be gone."""


def without(document: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """A document without what is the server's own."""
    dropped = set(names)
    return {key: value for key, value in document.items() if key not in dropped}
