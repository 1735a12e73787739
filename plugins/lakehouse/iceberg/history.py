"""What a table's snapshots say: which lead to its present state, what each added, which days it touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any

from pyiceberg.manifest import DataFile, ManifestEntry, ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.transforms import DayTransform

_EPOCH = date(1970, 1, 1)


def ancestors(table: Table, snapshot: Snapshot | None = None) -> Iterator[Snapshot]:
    """A snapshot (the current one by default) and those it was made from, newest first.

    What was rolled back, or lies on another branch, is not among them.
    """
    snapshot = snapshot or table.current_snapshot()
    while snapshot is not None:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None


def facts_of(table: Table, snapshot_ids: Sequence[int]) -> dict[str, Any]:
    """What some snapshots added together: rows, files, bytes, the last one's id, and the days they touched, as plain data.

    With none of them all counts are 0, and the id is that of the current snapshot. `committed_at`, in seconds of the Unix clock, is when
    the table's rows last changed: a compaction is no news.
    """
    snapshots = [snapshot for snapshot_id in snapshot_ids if (snapshot := table.snapshot_by_id(snapshot_id))]
    summaries = [summary_of(snapshot) for snapshot in snapshots]
    last = snapshots[-1] if snapshots else table.current_snapshot()
    changed = next((one for one in ancestors(table) if not (one.summary and one.summary.operation is Operation.REPLACE)), None)
    days: set[date] = set().union(*(touched_days(table, snapshot) for snapshot in snapshots))
    return {
        "rows": sum(int(summary.get("added-records", 0)) for summary in summaries),
        "files": sum(int(summary.get("added-data-files", 0)) for summary in summaries),
        "bytes": sum(int(summary.get("added-files-size", 0)) for summary in summaries),
        "snapshot_id": last.snapshot_id if last else None,
        "table": ".".join(table.name()[-2:]),
        "committed_at": changed.timestamp_ms / 1000 if changed else None,
        "days": [day.isoformat() for day in sorted(days)],
    }


def summary_of(snapshot: Snapshot) -> dict[str, str]:
    """A snapshot's summary, empty where it has none."""
    return dict(snapshot.summary.additional_properties) if snapshot.summary else {}


def touched_days(table: Table, snapshot: Snapshot) -> set[date]:
    """Days whose files a snapshot added or removed, from its manifests; none for a table that is not partitioned by a day."""
    changed = [
        entry.data_file
        for entry in _entries(table, snapshot, only_own=True)
        if entry.status != ManifestEntryStatus.EXISTING and entry.snapshot_id == snapshot.snapshot_id
    ]
    return set(data_files_by_day(table, changed))


def data_files_by_day(table: Table, source: Snapshot | Iterable[DataFile] | None) -> dict[date, list[DataFile]]:
    """Data files (of a snapshot, or those given) by the day of their partition; those without a day are left out."""
    if isinstance(source, Snapshot):
        source = [entry.data_file for entry in _entries(table, source) if entry.status != ManifestEntryStatus.DELETED]
    by_day: dict[date, list[DataFile]] = {}
    for file in source or ():
        fields = table.specs()[file.spec_id].fields
        position = next((number for number, field in enumerate(fields) if isinstance(field.transform, DayTransform)), None)
        day = None if position is None else file.partition[position]
        if day is not None:
            by_day.setdefault(day if isinstance(day, date) else _EPOCH + timedelta(days=day), []).append(file)
    return by_day


def _entries(table: Table, snapshot: Snapshot, *, only_own: bool = False) -> Iterator[ManifestEntry]:
    for manifest in snapshot.manifests(table.io):
        if not only_own or manifest.added_snapshot_id == snapshot.snapshot_id:
            yield from manifest.fetch_manifest_entry(table.io, discard_deleted=False)
