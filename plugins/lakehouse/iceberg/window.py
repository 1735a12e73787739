"""What a table gained between two of its snapshots, as data files in a fixed order, with their rows counted by the manifests.

A window is the same on every worker, so a part of it is named by two numbers. Compaction is not new data; history that was
overwritten, rolled back, expired or replaced is never passed over in silence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import islice

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.io.pyarrow import ArrowScan, _read_all_delete_files
from pyiceberg.table import FileScanTask, Table
from pyiceberg.table.snapshots import Operation, Snapshot

from lakehouse.exceptions import HistoryError
from lakehouse.iceberg.history import ancestors, summary_of

_BATCH_BYTES = 64 << 20
# Many small files are most of what a frequent run reads, and waiting for the store most of reading them: a few are read ahead, whole.
_SMALL_FILE_BYTES = 2 << 20
_FILES_AHEAD = 4


@dataclass(frozen=True, eq=False)
class Window:
    """Rows of `table` that came after `start` (None: all that are live) up to `end`, and match `condition`.

    `since` is when the first of them were committed; None when there is none, or for all that are live.
    """

    table: Table
    start: int | None
    end: int
    files: tuple[FileScanTask, ...]
    condition: BooleanExpression
    since: datetime | None = None

    @cached_property
    def rows(self) -> int:
        """How many there are, by the manifests; files that have deletes or match in part are read for it."""
        if all(task.residual == AlwaysTrue() and not task.delete_files for task in self.files):
            return sum(task.file.record_count for task in self.files)
        return int(self.table.scan(self.condition, snapshot_id=self.end).count())

    def groups(self, *, max_rows: int, max_bytes: int) -> Iterator[tuple[int, int]]:
        """Parts as (first file, how many files); a file that alone is larger is a part of its own."""
        first = rows = size = 0
        for number, task in enumerate(self.files):
            if number > first and (rows + task.file.record_count > max_rows or size + task.file.file_size_in_bytes > max_bytes):
                yield first, number - first
                first, rows, size = number, 0, 0
            rows, size = rows + task.file.record_count, size + task.file.file_size_in_bytes
        if first < len(self.files):
            yield first, len(self.files) - first

    def records(self, first: int, count: int) -> int:
        """Rows of some files, deleted ones included."""
        return sum(task.file.record_count for task in self.files[first : first + count])

    def batches(self, first: int, count: int, *, max_rows: int, max_bytes: int = _BATCH_BYTES) -> Iterator[pa.RecordBatch]:
        """The rows of some files, in batches of at most so many rows and about so many bytes; a large file is never read whole."""
        tasks = self.files[first : first + count]
        scan = ArrowScan(self.table.metadata, self.table.io, self.table.schema(), self.condition)
        deletes = _read_all_delete_files(self.table.io, tasks)
        for batch in _read_ahead(tasks, lambda task: scan._record_batches_from_scan_tasks_and_deletes([task], deletes)):
            rows = max(1, min(max_rows, len(batch) * max_bytes // max(batch.nbytes, 1)))
            for start in range(0, len(batch), rows):
                yield batch.slice(start, rows)


def appended(table: Table, start: int, end: int) -> Window:
    """What was appended after the snapshot `start` up to `end`.

    Raises:
        HistoryError: `start` is no ancestor of `end`, something else than appends and compaction lies between them, or the snapshots' own
            counts are not those of the files.
    """
    name, added, since = ".".join(table.name()), 0, None
    newest = table.snapshot_by_id(end)
    snapshot = None
    for snapshot in ancestors(table, newest) if newest else ():
        if snapshot.snapshot_id == start:
            break
        operation = snapshot.summary.operation if snapshot.summary else None
        if operation == Operation.APPEND:
            added += int(summary_of(snapshot).get("added-records", 0))
            since = datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)
        elif operation != Operation.REPLACE:  # Compaction: the same rows in other files.
            what = operation.value if operation else "unknown"
            raise HistoryError(
                f"{name}: snapshot {snapshot.snapshot_id} is of the operation {what}, so rows that were read may be gone or changed"
            )
    else:
        raise HistoryError(f"{name}: {_why_no_ancestor(start, end, snapshot)}")
    if start == end:
        return Window(table, start, end, (), AlwaysTrue())
    scan = table.incremental_append_scan(from_snapshot_id_exclusive=start, to_snapshot_id_inclusive=end)
    files = _in_order(scan.plan_files())
    rows = sum(task.file.record_count for task in files)
    if rows != added:
        raise HistoryError(f"{name}: the snapshots after {start} say that they added {added} rows, their files have {rows}")
    return Window(table, start, end, files, AlwaysTrue(), since)


def _why_no_ancestor(start: int, end: int, oldest: Snapshot | None) -> str:
    """What became of a snapshot that `end` should have been made from, whose oldest ancestor that is still there is `oldest`."""
    if oldest is None:
        return f"there is no snapshot {end} any more"
    # A table's first snapshot has sequence number 1; PyIceberg takes the parent off one whose parent expires, Trino leaves it.
    if oldest.parent_snapshot_id is not None or (oldest.sequence_number or 0) > 1:
        gap = f"the snapshots before {oldest.snapshot_id} expired, or the table was made anew (CREATE OR REPLACE)"
        return f"the history from snapshot {start} to {end} has gaps: {gap}"
    return f"snapshot {end} was not made from {start}: the table was rolled back to a snapshot before it"


def live(table: Table, snapshot_id: int, condition: BooleanExpression | None = None) -> Window:
    """All rows of a snapshot, or those that match.

    Raises:
        HistoryError: the snapshot is gone, or there are equality deletes, which PyIceberg cannot apply.
    """
    if table.snapshot_by_id(snapshot_id) is None:
        raise HistoryError(f"{'.'.join(table.name())} has no snapshot {snapshot_id} any more")
    scan = table.scan(condition or AlwaysTrue(), snapshot_id=snapshot_id)
    try:
        files = _in_order(scan.plan_files())
    except ValueError as error:
        raise HistoryError(f"{'.'.join(table.name())} cannot be read ({error}): compact it, then try again") from error
    return Window(table, None, snapshot_id, files, condition or AlwaysTrue())


def _read_ahead(tasks: Iterable[FileScanTask], read: Callable[[FileScanTask], Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    """All batches in the files' order. PyIceberg's own way (`to_record_batches`) reads several files at once whatever their size."""
    with ThreadPoolExecutor(_FILES_AHEAD) as pool:

        def begin(task: FileScanTask) -> Callable[[], Iterable[pa.RecordBatch]]:
            small = task.file.file_size_in_bytes <= _SMALL_FILE_BYTES
            return pool.submit(list[pa.RecordBatch], read(task)).result if small else partial(read, task)

        rest = iter(tasks)
        begun = deque(begin(task) for task in islice(rest, _FILES_AHEAD))
        while begun:
            batches = begun.popleft()()
            begun.extend(begin(task) for task in islice(rest, 1))
            yield from batches


def _in_order(tasks: Iterable[FileScanTask]) -> tuple[FileScanTask, ...]:
    return tuple(sorted(tasks, key=lambda task: task.file.file_path))
