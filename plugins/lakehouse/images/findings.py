"""What a comparison of stored images with their rows found: all of it counted, and listed one by one up to a bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from lakehouse import markdown
from lakehouse.exceptions import CountError
from lakehouse.objects import StoredObject

MAX_LISTED = 10_000
_KEYS_SHOWN = 3
_MAX_TEXT = 500


class Finding(StrEnum):
    """What can be found, the worst first; the value is what stands in `ops_db.image_findings`."""

    MISSING_OBJECT = "missing_object"
    SIZE_DIFFERS = "size_differs"
    HASH_DIFFERS = "hash_differs"
    MISPLACED_ROW = "misplaced_row"
    MISSING_THUMBNAIL = "missing_thumbnail"
    ORPHAN_OBJECT = "orphan_object"
    ORPHAN_THUMBNAIL = "orphan_thumbnail"
    FOREIGN_OBJECT = "foreign_object"
    STALE_STAGING = "stale_staging"


#: An image is gone or damaged: people must look.
LOST = (Finding.MISSING_OBJECT, Finding.SIZE_DIFFERS, Finding.HASH_DIFFERS)
#: What is moved to the quarantine. Staging goes first: a run whose notes are gone can no longer commit rows for objects that go after it.
MOVABLE = (Finding.STALE_STAGING, Finding.ORPHAN_OBJECT, Finding.ORPHAN_THUMBNAIL, Finding.FOREIGN_OBJECT)


class Action(StrEnum):
    """What was done about a finding."""

    REPORTED = "reported"
    WOULD_MOVE = "would be moved"
    WOULD_REBUILD = "would be rebuilt"
    MOVED = "moved"
    REBUILT = "rebuilt"
    KEPT = "kept"


@dataclass
class Found:
    """One finding; `stored` is the object that is to be moved, or the image a thumbnail is rebuilt from."""

    finding: Finding
    key: str
    image_id: str | None = None
    detail: str = ""
    action: Action = Action.REPORTED
    stored: StoredObject | None = None

    def done(self, action: Action, detail: str) -> None:
        """Note what was done."""
        self.action, self.detail = action, detail


class Findings:
    """Collects findings: of each kind as many as are listed, and the number of all."""

    def __init__(self) -> None:
        self.counts = Counter[Finding]()
        self._listed: dict[Finding, list[Found]] = {finding: [] for finding in Finding}

    def add(self, found: Found) -> None:
        """Count a finding, and list it while there is room."""
        self.counts[found.finding] += 1
        if len(self._listed[found.finding]) < MAX_LISTED:
            self._listed[found.finding].append(found)

    def listed(self, *kinds: Finding) -> list[Found]:
        """The findings of some kinds that are listed, in that order."""
        return [found for kind in kinds for found in self._listed[kind]]

    def has(self, *kinds: Finding) -> int:
        """How many there are of some kinds."""
        return sum(self.counts[kind] for kind in kinds)

    def actions(self) -> Counter[str]:
        """How many of the listed findings were moved, rebuilt and so on."""
        return Counter(found.action.value for found in self.listed(*Finding))

    def rows(self, table_name: str, run_id: str, found_at: datetime) -> list[dict[str, Any]]:
        """Rows of `ops_db.image_findings`; what is not listed one by one is a line per kind with its number."""
        same = {"table_name": table_name, "run_id": run_id, "found_at": found_at}
        return [
            same
            | {
                "finding": found.finding.value,
                "key": found.key,
                "image_id": found.image_id,
                "detail": found.detail[:_MAX_TEXT],
                "action": found.action.value,
                "findings": count,
            }
            for found, count in self._lines()
        ]

    def table(self) -> str:
        """A Markdown table for people: each kind with its number, what was done, and its first keys."""
        if not self.counts.total():
            return "Nothing was found: every object has its row and its thumbnail, every row its object."
        heads = ("finding", "number", "action", "first keys")
        return markdown.table(heads, (self._summary(kind) for kind in Finding if self.counts[kind]))

    def _lines(self) -> Iterator[tuple[Found, int]]:
        for kind in Finding:
            yield from ((found, 1) for found in self._listed[kind])
            if rest := self.counts[kind] - len(self._listed[kind]):
                yield Found(kind, f"(rest of {kind})", detail=f"{rest} more than are listed one by one"), rest

    def _summary(self, kind: Finding) -> tuple[object, ...]:
        listed = self._listed[kind]
        actions = Counter(found.action.value for found in listed)
        done = ", ".join(f"{action} {count:,}" for action, count in actions.items()) if len(actions) > 1 else next(iter(actions))
        return kind.value, f"{self.counts[kind]:,}", done, _some(found.key for found in listed)


@dataclass
class Listed:
    """Objects of a listing, each in one place: with a row, too young to tell, or found (orphan, foreign, stale)."""

    read: int = 0
    with_row: int = 0
    young: int = 0
    found: int = 0


@dataclass
class RowsRead:
    """Rows of the table, each in one place."""

    read: int = 0
    with_object: int = 0
    missing: int = 0
    misplaced: int = 0


@dataclass
class Comparison:
    """What was compared and found.

    Attributes:
        rows_total: rows of the snapshot, whatever the days.
        stopped: why nothing was changed, or would be, though there is something to change.
    """

    snapshot_id: int | None
    rows_total: int
    days: int = 0
    objects: Listed = field(default_factory=Listed)
    thumbnails: Listed = field(default_factory=Listed)
    staging: Listed = field(default_factory=Listed)
    rows: RowsRead = field(default_factory=RowsRead)
    findings: Findings = field(default_factory=Findings)
    stopped: str | None = None

    @property
    def lost(self) -> int:
        """Images that are gone or damaged."""
        return self.findings.has(*LOST)

    def facts(self) -> dict[str, Any]:
        """Counts and snapshot as plain data."""
        return {
            "rows": self.rows.read,
            "snapshot_id": self.snapshot_id,
            "days": self.days,
            "objects": self.objects.read,
            "thumbnails": self.thumbnails.read,
            "staging": self.staging.read,
            "counts": {name: asdict(getattr(self, name)) for name in ("rows", "objects", "thumbnails", "staging")},
            "findings": {kind.value: count for kind, count in sorted(self.findings.counts.items())},
            "actions": dict(self.findings.actions()),
        }

    def table(self) -> str:
        """Markdown for people: a table of what was found, and of what was read."""
        heads = ("", "read", "matched", "too young to tell", "found")
        read = [
            (name, *(f"{count:,}" for count in (one.read, one.with_row, one.young, one.found)))
            for name, one in (("objects", self.objects), ("thumbnails", self.thumbnails), ("staged files", self.staging))
        ]
        rows = ("rows", *(f"{count:,}" for count in (self.rows.read, self.rows.with_object, 0, self.rows.missing + self.rows.misplaced)))
        return f"{self.findings.table()}\n\n{markdown.table(heads, [*read, rows])}"

    def check(self) -> None:
        """See that every input has ended in exactly one place.

        Raises:
            CountError: the sums differ.
        """
        for name in ("objects", "thumbnails", "staging", "rows"):
            counts = asdict(getattr(self, name))
            if counts["read"] != sum(counts.values()) - counts["read"]:
                raise CountError(f"{name}: {counts} does not add up; nothing was moved")


def _some(keys: Iterable[str]) -> str:
    """The first few, and three dots when there are more."""
    found = [key if len(key) <= 150 else f"{key[:150]}…" for _, key in zip(range(_KEYS_SHOWN + 1), keys, strict=False)]
    return ", ".join(found[:_KEYS_SHOWN]) + (", …" if len(found) > _KEYS_SHOWN else "")
