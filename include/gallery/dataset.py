"""What can be taken along: a CSV of the metadata, and a data set that is pinned to a snapshot of the table.

The manifest of a data set is the same bytes whenever it is made again for the same snapshot and filters, so its SHA-256 names it. A
training job can make it without the page, and of any size:
`python -m include.gallery.dataset --snapshot 123 --tag product --out images.jsonl`.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any

from include.gallery.lake import Shown, open_table
from include.gallery.query import FIELDS, Filters
from include.gallery.settings import load
from lakehouse.exceptions import ConfigurationError, HistoryError, LakehouseError, VerificationError
from lakehouse.iceberg.page import Selection

# A page holds what it offers in memory until it is taken; these are about 25 MB and 70 MB.
CSV_ROWS = 50_000
MANIFEST_IMAGES = 200_000
LINE = ("image_id", "s3_path", "checksum", "file_size", "mime_type", "width", "height", "tag", "licence")


@dataclass(frozen=True)
class Manifest:
    """What was written: the images, and the SHA-256 (hex) of the whole file."""

    images: int
    sha256: str


def write_csv(selection: Selection, file: IO[str], *, skip: int = 0, rows: int = CSV_ROWS) -> int:
    """Write a head and up to `rows` images after the first `skip`, in the order of the files; returns how many."""
    writer = csv.writer(file)
    columns = [name for name in FIELDS if name in selection.table.schema().column_names]
    writer.writerow(columns)
    written = 0
    for batch in selection.batches(columns, skip=skip):
        for row in batch.slice(0, rows - written).to_pylist():
            writer.writerow([cell(row[name]) for name in columns])
            written += 1
        if written >= rows:
            break
    return written


def cell(value: Any) -> str:
    """A CSV cell that no spreadsheet takes for a formula (OWASP, "CSV Injection")."""
    if value is None:
        return ""
    text = value.astimezone(UTC).isoformat() if isinstance(value, datetime) and value.tzinfo else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def write_manifest(shown: Shown, filters: Filters, snapshot_id: int, file: IO[bytes]) -> Manifest:
    """Write a line about the data set and one for each image, as JSON.

    Raises:
        HistoryError: the table has no such snapshot (any more).
        VerificationError: other images were read than the table counts.
    """
    snapshot = shown.table.snapshot_by_id(snapshot_id)
    if snapshot is None:
        raise HistoryError(f"{'.'.join(shown.table.name())} has no snapshot {snapshot_id}: it has expired, or was never of this table")
    selection = filters.select(shown.table, snapshot_id)
    images, digest, written = selection.count(), hashlib.sha256(), 0
    head = {
        "table": ".".join(shown.table.name()[-2:]),
        "table_uuid": str(shown.table.metadata.table_uuid),
        "snapshot_id": snapshot_id,
        "snapshot_made": datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC).isoformat(),
        "filters": filters.chosen(),
        "images": images,
    }

    def put(line: dict[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        digest.update(data)
        file.write(data)

    put(head)
    for batch in selection.batches([name for name in LINE if name in shown.table.schema().column_names]):
        for row in batch.to_pylist():
            put({name: row.get(name) for name in LINE})
            written += 1
    if written != images:
        raise VerificationError(f"snapshot {snapshot_id} counts {images} images, {written} were read: the manifest must not be used")
    return Manifest(images, digest.hexdigest())


def head_of(path: Path) -> dict[str, Any]:
    """The first line of a manifest.

    Raises:
        ConfigurationError: the file does not begin like one.
    """
    with path.open("rb") as file:
        try:
            head: dict[str, Any] = json.loads(file.readline(1 << 20))
            return {name: head[name] for name in ("snapshot_id", "filters", "table_uuid")}
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{path} is not a manifest: its first line names no snapshot and filters") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a manifest to a file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m include.gallery.dataset", description="A data set of images, pinned to a snapshot.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--like", type=Path, help="an earlier manifest: its snapshot and filters")
    parser.add_argument("--snapshot", type=int, help="default: the present one")
    parser.add_argument("--tag", action="append", default=[])
    parser.add_argument("--format", action="append", default=[], help="such as image/png")
    parser.add_argument("--from", dest="first", type=date.fromisoformat, help="first day of upload (UTC)")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, help="last day of upload (UTC)")
    options = parser.parse_args(arguments)
    filters = Filters(tag=tuple(options.tag), mime_type=tuple(options.format), first=options.first, last=options.last)
    if options.like and (options.snapshot or filters.chosen()):
        parser.error("--like takes snapshot and filters from the manifest: give no others")
    try:
        shown = open_table(load())
        snapshot_id = options.snapshot or shown.snapshot_id
        if options.like:
            head = head_of(options.like)
            snapshot_id, filters = head["snapshot_id"], Filters.of(head["filters"])
            if head["table_uuid"] != str(shown.table.metadata.table_uuid):
                raise HistoryError(f"{options.like} is of another table than {'.'.join(shown.table.name())} is now")
        if snapshot_id is None:
            raise HistoryError(f"{'.'.join(shown.table.name())} has no images yet")
        with options.out.open("wb") as file:
            made = write_manifest(shown, filters, snapshot_id, file)
    except (LakehouseError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{options.out}: {made.images} images of snapshot {snapshot_id}, SHA-256 {made.sha256}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
