"""What a shipment is on its way: its parts, what became of their rows, and how it ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from lakehouse.opensearch.build import OUTSIDE

Kind = Literal["first", "new", "resync", "dry run"]


@dataclass(frozen=True)
class Part:
    """What one worker ships, and the shipment that it belongs to; plain data, so that it can travel.

    Attributes:
        rows, files: of the whole shipment, by the manifests.
        first_file, file_count: this part of the files, in the window's order.
        now: when the shipment was planned (ISO 8601); the same bounds hold for all its parts.
        from_day, to_day: event days that a resync is limited to (ISO 8601, both included).
        documents_before: documents by index when it was planned.
        shipped_before: those of them that are of `to_snapshot_id`: an earlier try of this run sent them.
    """

    source_table: str
    table_uuid: str
    kind: Kind
    number: int
    from_snapshot_id: int | None
    to_snapshot_id: int
    rows: int
    files: int
    now: str
    documents_before: dict[str, int]
    shipped_before: dict[str, int] = field(default_factory=dict)
    from_day: str | None = None
    to_day: str | None = None
    first_file: int = 0
    file_count: int = 0

    @property
    def place(self) -> str:
        """Where a row that is refused is noted: the same when a killed run is planned anew, another for the next shipment."""
        return f"shipment {self.number}"

    @property
    def name(self) -> str:
        """Tells this part from every other one, of other plans as well."""
        days = f", {self.from_day or ''}..{self.to_day or ''}" if self.from_day or self.to_day else ""
        files = f"files {self.first_file} to {self.first_file + self.file_count}"
        return f"{self.kind} {self.number}{days}, snapshot {self.to_snapshot_id}, {files}"


@dataclass(frozen=True)
class Counts:
    """What became of rows: each is in exactly one of indexed, already there, missing (in a dry run) and refused.

    `part` is the name of what was shipped. `examples` has one detail for each reason, masked. `same_id` are rows (of those already there or
    indexed) whose id another row of the part has as well.
    """

    part: str = ""
    indexed: int = 0
    already_there: int = 0
    missing: int = 0
    refused: int = 0
    same_id: int = 0
    bytes_sent: int = 0
    seconds: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    indexed_by_day: dict[str, int] = field(default_factory=dict)

    def __add__(self, other: Counts) -> Counts:
        sums: dict[str, Any] = {"examples": other.examples | self.examples}
        for name in (entry.name for entry in fields(self) if entry.name not in ("part", "examples")):
            mine, theirs = getattr(self, name), getattr(other, name)
            sums[name] = dict(Counter(mine) + Counter(theirs)) if isinstance(mine, dict) else mine + theirs
        return Counts(**sums)

    @property
    def why_refused(self) -> str:
        """Each reason with its rows and one detail."""
        return "; ".join(f"{reason} {rows} ({self.examples.get(reason, '')})" for reason, rows in sorted(self.reasons.items()))

    @property
    def accounted(self) -> int:
        """Rows that ended somewhere."""
        return self.indexed + self.already_there + self.missing + self.refused

    @property
    def unexpected(self) -> int:
        """Refused rows, without those that are merely outside of the days that are kept."""
        return self.refused - self.reasons.get(OUTSIDE, 0)


@dataclass(frozen=True)
class Shipment:
    """What a run shipped, how fast, and how far behind the table's head it ended.

    `number`, `table_uuid` and the snapshots are those of the cursor: where nothing was new (`kind` is None) it stands where the last
    shipment left it, with no snapshot to come from. `rows_per_second` is that of one worker. Where nobody can say how far behind it is,
    `lag_rows` and `lag_seconds` are None. `without_row` is counted by a resync alone: documents of the days it went over that have no row
    (any more).
    """

    source_table: str
    target: str
    kind: Kind | None = None
    rows_read: int = 0
    counts: Counts = field(default_factory=Counts)
    from_snapshot_id: int | None = None
    to_snapshot_id: int | None = None
    rows_per_second: float = 0.0
    lag_rows: int | None = None
    lag_seconds: float | None = None
    without_row: int | None = None
    number: int | None = None
    table_uuid: str | None = None

    def __str__(self) -> str:
        counts = self.counts
        if self.kind is None:
            return f"{self.source_table}: nothing is new for {self.target}"
        missing = f" + missing {counts.missing}" if self.kind == "dry run" else ""
        return (
            f"{self.source_table} to {self.target} ({self.kind}): {self.rows_read} rows read = indexed {counts.indexed} + already there "
            f"{counts.already_there}{missing} + refused {counts.refused}; {counts.bytes_sent / 1e6:.1f} MB in {counts.seconds:.1f} s "
            f"of workers' time, {self.rows_per_second:.0f} rows/s each{self._behind()}"
        )

    def _behind(self) -> str:
        if self.lag_rows is None or self.lag_seconds is None:
            return ""
        return f"; {self.lag_rows} rows behind the table's head, for {self.lag_seconds:.0f} s"

    def facts(self) -> dict[str, Any]:
        """As plain data on one level."""
        flat = asdict(self)
        counts: dict[str, Any] = flat.pop("counts")
        return flat | counts
