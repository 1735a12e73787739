"""Reads the rows of a table of images: few columns, a day at a time, or those that name some objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysTrue, BooleanExpression, IsNull, Or
from pyiceberg.table import Table

from lakehouse.iceberg.filters import one_of, within_days
from lakehouse.iceberg.history import data_files_by_day
from lakehouse.iceberg.window import live

TIME = "upload_time"
_COLUMNS = ("image_id", "s3_path", "file_size", "checksum")
_SLICE = 5_000


@dataclass(frozen=True)
class Row:
    """What a row says of its object."""

    image_id: str
    s3_path: str
    file_size: int | None
    checksum: str | None


def count_by_day(table: Table, snapshot_id: int) -> dict[date | None, int]:
    """Rows of a snapshot by the day of their upload (None: without one), from the manifests wherever they tell."""
    snapshot = table.snapshot_by_id(snapshot_id)
    by_manifests = {day: sum(file.record_count for file in files) for day, files in data_files_by_day(table, snapshot).items()}
    total = live(table, snapshot_id).rows
    counts: dict[date | None, int] = dict(by_manifests.items())
    if sum(counts.values()) == total:
        return counts
    # Files that were written before the table was partitioned by day, or rows that were deleted: the column itself is read.
    seen = Counter[date | None]()
    for batch in _batches(table, snapshot_id, AlwaysTrue(), (TIME,)):
        seen.update(pc.cast(batch[TIME], pa.date32()).to_pylist())
    return dict(seen)


def of_day(table: Table, snapshot_id: int, day: date | None) -> Iterator[Row]:
    """The rows of a day of a snapshot."""
    condition = IsNull(TIME) if day is None else within_days(table, TIME, day, day)  # type: ignore[call-arg,arg-type]
    for batch in _batches(table, snapshot_id, condition, _COLUMNS):
        for start in range(0, len(batch), _SLICE):
            yield from (Row(**row) for row in batch.slice(start, _SLICE).to_pylist())


def naming(table: Table, paths: Collection[str], image_ids: Collection[str] = ()) -> list[Row]:
    """The rows of the present head that name one of the paths, or have one of the ids."""
    if table.current_snapshot() is None:
        return []
    condition: BooleanExpression = one_of("s3_path", paths)
    if image_ids:
        condition = Or(condition, one_of("image_id", image_ids))
    # Without a snapshot's id, which would take the snapshot's schema.
    return [Row(**row) for row in table.scan(condition, selected_fields=_COLUMNS).to_arrow().to_pylist()]


def sources(table: Table, image_ids: Collection[str]) -> dict[str, str]:
    """SHA-256 of the files that some images were made from, each with its image's id; nothing of rows that do not say."""
    if table.current_snapshot() is None or "source_checksum" not in table.schema().column_names:
        return {}
    found = table.scan(one_of("image_id", image_ids), selected_fields=("image_id", "source_checksum")).to_arrow().to_pylist()
    return {row["source_checksum"]: row["image_id"] for row in found if row["source_checksum"]}


def _batches(table: Table, snapshot_id: int, condition: BooleanExpression, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    yield from table.scan(condition, selected_fields=columns, snapshot_id=snapshot_id).to_arrow_batch_reader()
