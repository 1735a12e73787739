"""What a test server holds."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock
from typing import Any, Protocol

from tests.grafana.access import Identity
from tests.grafana.routing import Document, Refused


class Answer(Protocol):
    """What a query gave; `tests.grafana.engines` makes them."""

    @property
    def frames(self) -> Sequence[Document]:
        """Data frames in JSON."""

    @property
    def error(self) -> str | None:
        """The engine's refusal; empty or None: there is none."""


Query = Callable[[Mapping[str, Any], datetime, datetime], Answer]


@dataclass
class State:
    """Everything in memory; a document's key is its uid, or its name where Grafana has no uid.

    Attributes:
        version: major, minor, patch.
        query: answers a data source's query; None: a canned frame.
    """

    version: tuple[int, int, int]
    query: Query | None = None
    hide_version: bool = False
    lock: RLock = field(default_factory=RLock)
    ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    people: dict[str, tuple[Identity, str]] = field(default_factory=dict)
    tokens: dict[str, tuple[Identity, bool]] = field(default_factory=dict)
    teams: dict[str, int] = field(default_factory=dict)
    folders: dict[str, Document] = field(default_factory=dict)
    permissions: dict[str, list[Document]] = field(default_factory=dict)
    data_sources: dict[str, Document] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    dashboards: dict[str, Document] = field(default_factory=dict)
    library: dict[str, Document] = field(default_factory=dict)
    contact_points: dict[str, Document] = field(default_factory=dict)
    policies: Document = field(default_factory=dict)
    mute_timings: dict[str, Document] = field(default_factory=dict)
    rules: dict[str, Document] = field(default_factory=dict)
    annotations: dict[int, Document] = field(default_factory=dict)
    unhealthy: dict[str, str] = field(default_factory=dict)

    def at_least(self, major: int, minor: int = 0) -> bool:
        """Whether this Grafana is that new."""
        return self.version[:2] >= (major, minor)

    @property
    def version_text(self) -> str:
        """The version as Grafana says it."""
        return ".".join(map(str, self.version))


def now() -> str:
    """The time as Grafana writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def slug(title: str) -> str:
    """A title as it stands in a page's address."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def found(documents: Mapping[Any, Document], key: Any, refused: Refused) -> Document:
    """A document that must be there.

    Raises:
        Refused: it is not.
    """
    if key not in documents:
        raise refused
    return documents[key]


def boards_with(state: State, element: str) -> list[str]:
    """The uids of the dashboards that show a library element."""

    def shown(panels: list[Document]) -> bool:
        return any((panel.get("libraryPanel") or {}).get("uid") == element or shown(panel.get("panels") or []) for panel in panels)

    return [board["uid"] for board in state.dashboards.values() if shown(board["model"].get("panels") or [])]
