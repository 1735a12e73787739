"""Compares the listing of stored images with the rows of their table, in both directions, and puts right what can be.

It goes day by day: the day in a key, and that of a row's `upload_time`. Rows are those of one snapshot, taken before anything is listed:
a run in between can then only bring objects without a row, and those are left alone while they are young.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from lakehouse.exceptions import ConfigurationError, CountError
from lakehouse.images import repair, rows
from lakehouse.images.copies import say_where_copies_lie
from lakehouse.images.findings import MAX_LISTED, Comparison, Finding, Found, Listed
from lakehouse.images.keys import Layout, day_of
from lakehouse.images.rows import Row
from lakehouse.objects import ObjectStore, StoredObject
from lakehouse.ops.tables import append_run_rows

log = logging.getLogger(__name__)

# Keys that are looked up in the table with one scan.
LOOKED_UP = 500
_HASHED_AT_ONCE = 4


@dataclass(frozen=True)
class Criteria:
    """How to compare.

    Attributes:
        grace: what is younger may belong to a run that goes on, and is no orphan yet; nor is what lies in the folder of a day that ended
            less than that ago, because a run of that day may have found its image stored there already.
        check_hashes: read every object and compare its SHA-256.
        first_day: earlier days are left out; None for all.
    """

    grace: timedelta = timedelta(hours=24)
    check_hashes: bool = False
    first_day: date | None = None


def reconcile(
    store: ObjectStore,
    catalog: Catalog,
    table_name: str,
    *,
    run_id: str,
    criteria: Criteria | None = None,
    layout: Layout | None = None,
    dry_run: bool = True,
    max_moves: int = 1_000,
    now: datetime | None = None,
) -> Comparison:
    """Compare, put right what can be unless it is a dry run, and write what was found to `ops_db.image_findings`.

    Args:
        max_moves: more than that are not moved in one run, at most 10,000; nothing is changed then, and the result's `stopped` says so.

    Raises:
        CountError: the comparison does not add up; nothing was changed.
        VerificationError: what was moved or written is not there when it is read back.
    """
    if not 0 <= max_moves <= MAX_LISTED:
        raise ConfigurationError(f"max_moves is {max_moves}: write a number from 0 to {MAX_LISTED:,}")
    now, layout = now or datetime.now(UTC), layout or Layout()
    compared = compare(store, catalog, table_name, criteria, layout=layout, now=now)
    try:
        if dry_run:
            repair.dry_run(compared, table_name, max_moves)
        else:
            repair.repair(store, catalog, table_name, compared, layout=layout, max_moves=max_moves, run_day=now.date())
    finally:
        # Also what was done before a service went away.
        found = compared.findings.rows(table_name, run_id, now)
        append_run_rows(catalog, "ops_db.image_findings", f"{table_name}/{run_id}/{now.isoformat()}", found)
    return compared


def compare(
    store: ObjectStore,
    catalog: Catalog,
    table_name: str,
    criteria: Criteria | None = None,
    *,
    layout: Layout | None = None,
    now: datetime | None = None,
) -> Comparison:
    """Compare all days, or those from `criteria.first_day` on.

    Raises:
        CountError: objects or rows were read that ended in no place, or the rows read are not those that the manifests count.
    """
    one = _Compare(store, catalog, table_name, criteria or Criteria(), layout or Layout(), now or datetime.now(UTC))
    result = one.run()
    result.check()
    return result


class _Compare:
    """One comparison; holds what was found, and of a single day its objects."""

    def __init__(self, store: ObjectStore, catalog: Catalog, table_name: str, criteria: Criteria, layout: Layout, now: datetime) -> None:
        self._store, self._catalog, self._table_name, self._criteria, self._layout = store, catalog, table_name, criteria, layout
        self._now, self._old = now, now - criteria.grace
        self._table: Table = catalog.load_table(table_name)
        head = self._table.current_snapshot()
        self._rows_by_day = rows.count_by_day(self._table, head.snapshot_id) if head else {}
        self._result = Comparison(head.snapshot_id if head else None, sum(self._rows_by_day.values()))
        self._findings = self._result.findings
        self._started = time.monotonic()

    def run(self) -> Comparison:
        image_days, other_images = self._folders(self._layout.images)
        thumbnail_days, other_thumbnails = self._folders(self._layout.thumbnails)
        first = self._criteria.first_day
        days = sorted(
            {day for day in self._rows_by_day.keys() | image_days | thumbnail_days if day is None or first is None or day >= first},
            key=lambda day: day or date.min,
        )
        log.info("%s: %d days to compare, %d rows in all", self._table_name, len(days), self._result.rows_total)
        self._unmatched(self._counted(other_images, self._result.objects), self._result.objects, Finding.ORPHAN_OBJECT)
        self._unmatched(self._counted(other_thumbnails, self._result.thumbnails), self._result.thumbnails, Finding.ORPHAN_THUMBNAIL)
        for number, day in enumerate(days, 1):
            self._day(day)
            self._result.days += 1
            self._log_progress(day, number, len(days))
        self._staging()
        if missing := self._findings.listed(Finding.MISSING_OBJECT):
            say_where_copies_lie(self._store, self._table, self._layout, missing, self._findings.listed(Finding.ORPHAN_OBJECT))
        return self._result

    def _folders(self, prefix: str) -> tuple[set[date], Iterator[StoredObject]]:
        """The days under a prefix, and the objects that lie in no day."""
        folders, loose = self._store.folders(prefix)
        days = {folder: day_of(folder.removeprefix(prefix).rstrip("/")) for folder in folders}

        def others() -> Iterator[StoredObject]:
            yield from loose
            for folder, day in days.items():
                if day is None:
                    yield from self._store.list(folder)

        return {day for day in days.values() if day}, others()

    def _counted(self, entries: Iterable[StoredObject], tally: Listed) -> Iterator[StoredObject]:
        for entry in entries:
            tally.read += 1
            yield entry

    def _day(self, day: date | None) -> None:
        """Everything of one day; rows without a time have no day, and no folder."""
        result, layout = self._result, self._layout
        images, thumbnails = (
            {entry.key: entry for entry in self._counted(self._store.list(f"{prefix}{day}/"), tally)} if day else {}
            for prefix, tally in ((layout.images, result.objects), (layout.thumbnails, result.thumbnails))
        )
        named: set[str] = set()
        to_hash: list[tuple[Row, StoredObject]] = []
        before = result.rows.read
        prefix = f"s3://{self._store.bucket}/{layout.images}{day}/"
        # A table without a snapshot has no row, and then no day of rows either.
        for row in rows.of_day(self._table, result.snapshot_id, day) if result.snapshot_id is not None else ():
            result.rows.read += 1
            if day is None or not row.s3_path.startswith(prefix):
                self._misplaced(row, day)
                continue
            key = row.s3_path.removeprefix(f"s3://{self._store.bucket}/")
            thumbnail = layout.thumbnail_of(key)
            named |= {key, thumbnail}
            entry = images.get(key)
            if entry is None:
                result.rows.missing += 1
                self._findings.add(Found(Finding.MISSING_OBJECT, key, row.image_id))
                continue
            result.rows.with_object += 1
            if self._same_size(row, entry):
                to_hash.append((row, entry))
            if thumbnail not in thumbnails:
                self._findings.add(Found(Finding.MISSING_THUMBNAIL, thumbnail, row.image_id, stored=entry))
        if result.rows.read - before != self._rows_by_day.get(day, 0):
            raise CountError(
                f"{self._table_name}, {day}: {result.rows.read - before} rows were read, its manifests count "
                f"{self._rows_by_day.get(day, 0)}; nothing was moved"
            )
        for there, tally, orphan in (
            (images, result.objects, Finding.ORPHAN_OBJECT),
            (thumbnails, result.thumbnails, Finding.ORPHAN_THUMBNAIL),
        ):
            tally.with_row += len(there.keys() & named)
            self._unmatched((entry for key, entry in there.items() if key not in named), tally, orphan, day)
        if self._criteria.check_hashes:
            self._compare_hashes(to_hash)

    def _misplaced(self, row: Row, day: date | None) -> None:
        """A row whose address is not where a row of its day points to; its object may be there all the same."""
        own = f"s3://{self._store.bucket}/"
        if not row.s3_path.startswith(own):
            self._result.rows.misplaced += 1
            detail = f"it lies in another bucket than {self._store.bucket}: nobody looked whether it is there"
            self._findings.add(Found(Finding.MISPLACED_ROW, row.s3_path, row.image_id, detail))
            return
        key = row.s3_path.removeprefix(own)
        entry = self._store.stat(key)
        if entry is None:
            self._result.rows.missing += 1
            self._findings.add(Found(Finding.MISSING_OBJECT, key, row.image_id))
            return
        self._result.rows.misplaced += 1
        detail = f"uploaded {day}, so it should lie under {self._layout.images}{day}/; the object is there"
        self._findings.add(Found(Finding.MISPLACED_ROW, key, row.image_id, detail))
        if self._same_size(row, entry) and self._criteria.check_hashes:
            self._compare_hashes([(row, entry)])

    def _same_size(self, row: Row, entry: StoredObject) -> bool:
        if row.file_size is None or row.file_size == entry.size:
            return True
        self._findings.add(Found(Finding.SIZE_DIFFERS, entry.key, row.image_id, f"{entry.size} bytes, the row says {row.file_size}"))
        return False

    def _compare_hashes(self, pairs: list[tuple[Row, StoredObject]]) -> None:
        with ThreadPoolExecutor(_HASHED_AT_ONCE) as pool:
            for (row, entry), digest in zip(pairs, pool.map(self._store.digest, (entry for _, entry in pairs)), strict=True):
                wanted = row.checksum or row.image_id
                if digest != wanted:
                    detail = f"SHA-256 {digest}, the row says {wanted}" if digest else "it changed or went while it was looked at"
                    self._findings.add(Found(Finding.HASH_DIFFERS, entry.key, row.image_id, detail))

    def _unmatched(self, entries: Iterable[StoredObject], tally: Listed, orphan: Finding, day: date | None = None) -> None:
        """Objects that no row of their day names: young, of a row of another day or of a run that has just committed, or found."""
        young_day = day is not None and day <= self._now.date() and datetime.combine(day + timedelta(1), clock(), UTC) > self._old
        old = []
        for entry in entries:
            if young_day or entry.modified > self._old:
                tally.young += 1
            else:
                old.append(entry)
                if len(old) == LOOKED_UP:
                    self._look_up(old, tally, orphan)
                    old = []
        if old:
            self._look_up(old, tally, orphan)

    def _look_up(self, entries: list[StoredObject], tally: Listed, orphan: Finding) -> None:
        named: set[str] = set()
        # Beyond that nothing is moved anyway, and each look reads a column of the table.
        if self._findings.counts[orphan] <= MAX_LISTED:
            named = named_by_rows(self._catalog.load_table(self._table_name), self._store.bucket, self._layout, entries)
        for entry in entries:
            if entry.key in named:
                tally.with_row += 1
                continue
            tally.found += 1
            image_id = self._layout.image_id(entry.key)
            kind = orphan if image_id else Finding.FOREIGN_OBJECT
            self._findings.add(Found(kind, entry.key, image_id, f"{entry.size} bytes of {entry.modified:%Y-%m-%d %H:%M}", stored=entry))

    def _staging(self) -> None:
        tally = self._result.staging
        for entry in self._counted(self._store.list(self._layout.staging), tally):
            if entry.modified > self._old:
                tally.young += 1
            else:
                tally.found += 1
                detail = f"{entry.size} bytes of {entry.modified:%Y-%m-%d %H:%M}"
                self._findings.add(Found(Finding.STALE_STAGING, entry.key, None, detail, stored=entry))

    def _log_progress(self, day: date | None, number: int, days: int) -> None:
        result = self._result
        seconds = max(time.monotonic() - self._started, 1e-3)
        log.info(
            "%s (%d of %d days): so far %d objects, %d thumbnails, %d rows, %d findings; %.0f objects/s",
            day or "rows without a time",
            number,
            days,
            result.objects.read,
            result.thumbnails.read,
            result.rows.read,
            self._findings.counts.total(),
            (result.objects.read + result.thumbnails.read) / seconds,
        )


def named_by_rows(table: Table, bucket: str, layout: Layout, entries: Iterable[StoredObject]) -> set[str]:
    """Which of some objects (images or thumbnails) a row of the present head names."""
    of_path = {f"s3://{bucket}/{key}": entry.key for entry in entries for key in layout.images_of(entry.key)}
    return {of_path[row.s3_path] for row in rows.naming(table, of_path)}
