"""Keeps a table as readers want it: few files, few manifests, no history that nobody needs, no file that no snapshot knows.

What is compacted is decided by what the files look like, never by the clock; Trino does the work, each partition in a commit of its own, so
that a writer is in the way of one partition at most. Readers are never in the way.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform, IdentityTransform, MonthTransform
from pyiceberg.types import TimestamptzType

from lakehouse import sql
from lakehouse.iceberg.filters import within_days
from lakehouse.iceberg.history import ancestors, summary_of
from lakehouse.sql import Cursor

log = logging.getLogger(__name__)

# Spark's own bounds (Iceberg's documentation of rewrite_data_files): five files that are under three quarters of the target.
_SMALL, _MANY = 0.75, 5
_TARGET = "write.target-file-size-bytes"
_DEFAULT_TARGET = 512 << 20
_MANIFESTS = 50
# Trino refuses less than seven days, for expiry and orphans alike: a writer may be at work that long.
KEEP = timedelta(days=7)
# Between reading the metadata here and Trino's own look at the clock.
_SLACK = timedelta(hours=1)
_CONFLICTS = ("ICEBERG_COMMIT_ERROR", "TRANSACTION_CONFLICT")
# A table bucket of SeaweedFS takes no folders below `data/`, where Trino sorts what does not fit into its memory.
_REFUSED = "HIVE_WRITER_DATA_ERROR"
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Work:
    """One thing that was done to a table, with the table's files before and after.

    Attributes:
        action: delete_old_rows, compact, rewrite_manifests, expire_snapshots or remove_orphan_files.
        outcome: done; unsorted, when the store refused the files that Trino needs to sort, so the rows are not in the table's order;
            conflict, when a writer changed the same files meanwhile (they stay as they are until the next time); would do.
        place: the condition that was compacted or deleted; None for the whole table.
    """

    table_name: str
    action: str
    outcome: str
    place: str | None
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    snapshots_before: int
    snapshots_after: int
    seconds: float

    @property
    def is_news(self) -> bool:
        """Whether it made a difference that can be seen, or could not."""
        before = self.files_before, self.bytes_before, self.snapshots_before
        return self.outcome != "done" or before != (self.files_after, self.bytes_after, self.snapshots_after)

    def __str__(self) -> str:
        return (
            f"{self.table_name}: {self.action} {self.outcome}{f' where {self.place}' if self.place else ''} in {self.seconds:.1f} s; "
            f"files {self.files_before} -> {self.files_after}, MB {self.bytes_before / 1e6:.1f} -> {self.bytes_after / 1e6:.1f}, "
            f"snapshots {self.snapshots_before} -> {self.snapshots_after}"
        )


@dataclass(frozen=True)
class Before:
    """Rows of whole days before one, by a column of type timestamptz."""

    column: str
    day: date

    def __str__(self) -> str:
        # Without a lower bound Trino 476 takes the rows whose time is null along, when whole partitions go.
        column = sql.identifier(self.column)
        return f"{column} >= TIMESTAMP '0001-01-01 00:00:00 UTC' AND {column} < TIMESTAMP '{self.day} 00:00:00 UTC'"


def maintain(
    catalog: Catalog,
    cursor: Cursor,
    table_name: str,
    *,
    old_rows: Before | None = None,
    needed: Iterable[int] = (),
    only_say: bool = False,
    now: datetime | None = None,
) -> list[Work]:
    """Do what the table needs, in the order in which one makes work for the next.

    Args:
        old_rows: rows that are kept no longer.
        needed: snapshots that somebody will go on from: neither they nor those after them expire.
        only_say: return what would be done.
    """
    table = catalog.load_table(table_name)
    head = table.current_snapshot()
    if head is None:
        return []
    name = sql.table(table_name)
    found: list[Work] = []

    def do(action: str, statement: str, place: str | None = None) -> None:
        found.append(_do(catalog, cursor, table_name, action, statement, place, only_say=only_say))

    if old_rows is not None and table.scan(within_days(table, old_rows.column, None, old_rows.day - timedelta(days=1))).count():
        do("delete_old_rows", f"DELETE FROM {name} WHERE {old_rows}", str(old_rows))  # noqa: S608  # quoted
    for place in ragged(table):
        do("compact", f"ALTER TABLE {name} EXECUTE optimize(file_size_threshold => '{_target(table) >> 20}MB'){_where(place)}", place)
    if len(head.manifests(table.io)) > _MANIFESTS:
        do("rewrite_manifests", f"ALTER TABLE {name} EXECUTE optimize_manifests")
    keep = kept_for(table, needed, now=now)
    if any(snapshot.timestamp_ms / 1000 < ((now or datetime.now(UTC)) - keep).timestamp() for snapshot in _expirable(table)):
        do("expire_snapshots", f"ALTER TABLE {name} EXECUTE expire_snapshots(retention_threshold => '{_seconds(keep)}')")
    if not only_say:  # How many there are is not known before.
        do("remove_orphan_files", f"ALTER TABLE {name} EXECUTE remove_orphan_files(retention_threshold => '{_seconds(KEEP)}')")
    return found


def ragged(table: Table) -> list[str | None]:
    """Conditions of the partitions with many small files, or with deletes that every reader has to apply; None is the whole table."""
    small: Counter[str | None] = Counter()
    bound = _SMALL * _target(table)
    for task in table.scan().plan_files():
        place = _condition(table, task.file.spec_id, task.file.partition)
        small[place] += task.file.file_size_in_bytes < bound
        small[place] += _MANY * len(task.delete_files)
    places = [place for place, count in small.items() if count >= _MANY]
    named = sorted(place for place in places if place is not None)
    return [None] if len(named) < len(places) else [*named]


def kept_for(table: Table, needed: Iterable[int] = (), *, now: datetime | None = None) -> timedelta:
    """How long a history must be kept: a week, and as far back as the oldest snapshot that somebody goes on from.

    That is one of `needed`, or the one on which an open branch lies: taking the branch's rows over to main looks at all that came after.
    """
    on_main = {snapshot.snapshot_id for snapshot in ancestors(table)}
    wanted = [table.snapshot_by_id(snapshot_id) for snapshot_id in needed]
    for name in table.metadata.refs:
        head = table.snapshot_by_name(name)
        wanted.append(next((one for one in ancestors(table, head) if one.snapshot_id in on_main), None) if head else None)
    oldest = min((one.timestamp_ms for one in wanted if one), default=None)
    if oldest is None:
        return KEEP
    age = (now or datetime.now(UTC)) - datetime.fromtimestamp(oldest / 1000, UTC)
    return max(KEEP, age + _SLACK)


def _expirable(table: Table) -> list[Any]:
    kept = {ref.snapshot_id for ref in table.metadata.refs.values()}
    return [snapshot for snapshot in table.metadata.snapshots if snapshot.snapshot_id not in kept]


def _do(catalog: Catalog, cursor: Cursor, table_name: str, action: str, statement: str, place: str | None, *, only_say: bool) -> Work:
    before, started = _shape(catalog.load_table(table_name)), time.monotonic()
    outcome = "would do" if only_say else _run(cursor, statement)
    after = _shape(catalog.load_table(table_name))
    work = Work(
        table_name,
        action,
        outcome,
        place,
        **{f"{name}_before": value for name, value in before.items()},
        **{f"{name}_after": value for name, value in after.items()},
        seconds=round(time.monotonic() - started, 3),
    )
    log.info("%s", work)
    return work


def _run(cursor: Cursor, statement: str, *, sort: bool = True) -> str:
    """Run a statement; returns the outcome."""
    try:
        cursor.execute(statement)
        cursor.fetchall()
    except Exception as error:
        kind = getattr(error, "error_name", "")
        if kind in _CONFLICTS:
            return "conflict"
        if kind != _REFUSED or not sort:
            raise
        return _run_unsorted(cursor, statement)
    return "done"


def _run_unsorted(cursor: Cursor, statement: str) -> str:
    cursor.execute("SELECT current_catalog")
    sorting = f"{sql.identifier(cursor.fetchone()[0])}.sorted_writing_enabled"
    cursor.execute(f"SET SESSION {sorting} = false")
    cursor.fetchall()
    try:
        outcome = _run(cursor, statement, sort=False)
        return "unsorted" if outcome == "done" else outcome
    finally:
        cursor.execute(f"RESET SESSION {sorting}")
        cursor.fetchall()


def _shape(table: Table) -> dict[str, int]:
    """Live files with data or deletes, their bytes, and snapshots."""
    head = table.current_snapshot()
    summary = summary_of(head) if head else {}
    files = int(summary.get("total-data-files", 0)) + int(summary.get("total-delete-files", 0))
    return {"files": files, "bytes": int(summary.get("total-files-size", 0)), "snapshots": len(table.metadata.snapshots)}


def _target(table: Table) -> int:
    return int(table.properties.get(_TARGET, _DEFAULT_TARGET))


def _where(place: str | None) -> str:
    return f" WHERE {place}" if place else ""


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():.3f}s"


def _condition(table: Table, spec_id: int, partition: Any) -> str | None:
    """A condition for Trino that holds for just this partition; None where there is none that Trino takes for one of whole partitions."""
    fields = table.specs()[spec_id].fields
    if spec_id != table.spec().spec_id or len(fields) != 1 or partition[0] is None:
        return None
    source = table.schema().find_field(fields[0].source_id)
    column, transform, value = sql.identifier(source.name), fields[0].transform, partition[0]
    if isinstance(transform, IdentityTransform) and isinstance(value, str):
        return f"{column} = {sql.literal(value)}"
    if isinstance(transform, DayTransform):
        first = value if isinstance(value, date) else _EPOCH + timedelta(days=value)
        last = first + timedelta(days=1)
    elif isinstance(transform, MonthTransform):
        first = date(1970 + value // 12, value % 12 + 1, 1)
        last = date(1970 + (value + 1) // 12, (value + 1) % 12 + 1, 1)
    else:
        return None
    zone = " UTC" if isinstance(source.field_type, TimestamptzType) else ""
    return f"{column} >= TIMESTAMP '{first} 00:00:00{zone}' AND {column} < TIMESTAMP '{last} 00:00:00{zone}'"
