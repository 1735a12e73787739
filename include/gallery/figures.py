"""Figures of a selection: its totals, counted batch by batch and remembered by file, and a sample of its images' dimensions."""

from __future__ import annotations

from collections import Counter
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import And

from lakehouse.iceberg.filters import below
from lakehouse.iceberg.page import Selection

COLUMNS = ("file_size", "upload_time", "tag", "mime_type", "source_system")


@dataclass(frozen=True)
class Totals:
    """Counts of images; `sizes` by the power of two that a file's bytes reach, `days` by UTC day and tag. No value is counted as `None`."""

    images: int = 0
    bytes: int = 0
    days: Counter[tuple[date | None, str | None]] = field(default_factory=Counter)
    formats: Counter[str | None] = field(default_factory=Counter)
    systems: Counter[str | None] = field(default_factory=Counter)
    sizes: Counter[int | None] = field(default_factory=Counter)

    @property
    def tags(self) -> Counter[str | None]:
        """Images of each tag."""
        tags: Counter[str | None] = Counter()
        for (_, tag), images in self.days.items():
            tags[tag] += images
        return tags

    @property
    def average_bytes(self) -> float:
        """Bytes of the average image, 0 when there is none."""
        return self.bytes / self.images if self.images else 0.0


def totals(selection: Selection, cache: MutableMapping[str, Totals] | None = None) -> Totals:
    """Everything counted; columns that an older table lacks count as no value."""
    there = [name for name in COLUMNS if name in selection.table.schema().column_names]
    return selection.fold(there, _of_batch, _together, Totals(), cache=cache)


def _of_batch(batch: pa.RecordBatch) -> Totals:
    columns: dict[str, Any] = {name: batch[name] if name in batch.schema.names else pa.nulls(len(batch), pa.int64()) for name in COLUMNS}
    size = columns["file_size"]
    day = columns["upload_time"].cast(pa.date32()) if pa.types.is_timestamp(columns["upload_time"].type) else pa.nulls(len(batch))
    reached = pc.floor(pc.log2(pc.max_element_wise(size, pa.scalar(1, pa.int64()), skip_nulls=False))).cast(pa.int32())
    return Totals(
        images=len(batch),
        bytes=pc.sum(size).as_py() or 0,
        days=_counted(day, columns["tag"]),
        formats=_counted(columns["mime_type"]),
        systems=_counted(columns["source_system"]),
        sizes=_counted(reached),
    )


def _counted(*columns: Any) -> Counter[Any]:
    names = [str(number) for number in range(len(columns))]
    rows = pa.table(dict(zip(names, columns, strict=True))).group_by(names).aggregate([([], "count_all")]).to_pylist()
    return Counter({tuple(row[name] for name in names) if len(names) > 1 else row["0"]: row["count_all"] for row in rows})


def _together(one: Totals, other: Totals) -> Totals:
    return Totals(
        one.images + other.images,
        one.bytes + other.bytes,
        one.days + other.days,
        one.formats + other.formats,
        one.systems + other.systems,
        one.sizes + other.sizes,
    )


def sample(selection: Selection, images: int, *, wanted: int = 1000) -> list[dict[str, Any]]:
    """Width, height, format and tag of about so many of the images, the same ones each time.

    Ids are SHA-256 sums, so those below a bound are a fair sample, and Parquet's statistics and the readers can tell them by themselves.

    Args:
        images: how many the selection has.
    """
    part = selection
    if images > wanted:
        part = Selection(
            selection.table,
            And(selection.condition, below("image_id", f"{int(wanted / images * 16**8):08x}")),
            selection.snapshot_id,
            selection.containing,
        )
    there = [name for name in ("width", "height", "mime_type", "tag") if name in part.table.schema().column_names]
    rows: list[dict[str, Any]] = []
    for batch in part.batches(there):
        rows += batch.slice(0, 2 * wanted - len(rows)).to_pylist()
        if len(rows) >= 2 * wanted:
            break
    return [row for row in rows if row.get("width") and row.get("height")]


class Remembered(dict[str, Totals]):
    """What files were counted to, by path; it begins anew when it is full, because files of old snapshots pile up in it."""

    def __init__(self, at_most: int = 20_000) -> None:
        super().__init__()
        self._at_most = at_most

    def __setitem__(self, path: str, counted: Totals) -> None:
        if len(self) >= self._at_most:
            self.clear()
        super().__setitem__(path, counted)
