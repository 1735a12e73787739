"""From a landing prefix to objects named by content and one commit of metadata."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog

from lakehouse.contracts import Contract
from lakehouse.exceptions import CountError
from lakehouse.iceberg.append import Input, append_once
from lakehouse.iceberg.filters import one_of
from lakehouse.images.inspect import SUFFIXES, ImageFacts, Limits, RefusedImage, inspect
from lakehouse.objects import ObjectStore, StoredObject
from lakehouse.ops.tables import RefusedFile, record_refusals

log = logging.getLogger(__name__)

# Images held in memory at once.
_BATCH = 16


@dataclass(frozen=True)
class Registered:
    """Counts of a run: `read` comes from the listing alone; `other_tags` are images that are there under another tag."""

    read: int
    uploaded: int
    already_there: int
    refused: int
    snapshot_id: int | None
    other_tags: tuple[str, ...] = field(default=())


@dataclass
class _Run:
    """What a run has seen so far, by landing key."""

    taken: dict[str, tuple[str, str]] = field(default_factory=dict)  # image id and MIME type
    refused: dict[str, RefusedFile] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)  # by image id, new images alone
    known: dict[str, str] = field(default_factory=dict)  # image id and tag of images that have a row


def register_landing(
    store: ObjectStore,
    catalog: Catalog,
    contract: Contract,
    *,
    landing: str,
    tag: str,
    source_system: str,
    limits: Limits | None = None,
    max_files: int = 10_000,
) -> Registered:
    """Take every object under `landing`: store it by content with its thumbnail, register it, move it to `archive/` or `refused/`.

    The objects come first, the rows second, the landing prefix is cleared last: a kill at any point leaves at most an object
    without a row, and the next run goes on from there. An image is one row for ever; its first date decides its key.

    Raises:
        CountError: objects listed differ from uploaded + already there + refused; the landing prefix is then as it was.
    """
    limits = limits or Limits()
    now = datetime.now(UTC)
    entries = list(islice(store.list(landing), max_files))
    run = _Run()
    for start in range(0, len(entries), _BATCH):
        _take(store, catalog, contract, entries[start : start + _BATCH], run, limits, now, tag, source_system)
        log.info("looked at %d of %d images, %d refused", min(start + _BATCH, len(entries)), len(entries), len(run.refused))
    record_refusals(catalog, list(run.refused.values()))
    inputs = [Input(image_id, row["s3_path"], pa.Table.from_pylist([row])) for image_id, row in run.rows.items()]
    appended = append_once(catalog, contract.table, inputs, key_column="image_id") if inputs else None
    new = set(appended.loaded) if appended else set()
    # The first object of a new image is the upload; its further copies, like images that had a row, are already there.
    first_of = {image_id: key for key, (image_id, _) in reversed(run.taken.items())}
    repeats = sum(image_id not in new or first_of[image_id] != key for key, (image_id, _) in run.taken.items())
    counts = Registered(
        read=len(entries),
        uploaded=appended.rows if appended else 0,
        already_there=repeats,
        refused=len(run.refused),
        snapshot_id=appended.snapshot_id if appended else None,
        other_tags=tuple(sorted(image_id for image_id, old in run.known.items() if old != tag)),
    )
    if counts.read != counts.uploaded + counts.already_there + counts.refused:
        raise CountError(f"{contract.table}: {counts} does not add up; the images are still in the landing prefix")
    for key, (image_id, mime_type) in run.taken.items():
        store.move(key, f"archive/images/{now:%Y-%m-%d}/{image_id}.{SUFFIXES[mime_type]}")
    for key in run.refused:
        store.delete(key)
    return counts


def _take(
    store: ObjectStore,
    catalog: Catalog,
    contract: Contract,
    entries: list[StoredObject],
    run: _Run,
    limits: Limits,
    now: datetime,
    tag: str,
    source_system: str,
) -> None:
    """Look at a few objects and store those that are new, so that no more than a batch is held in memory."""
    looked_at: dict[str, tuple[ImageFacts, bytes]] = {}
    for entry in entries:
        if entry.size > limits.max_bytes:  # Not even read.
            run.refused[entry.key] = _refuse_unread(store, contract, entry, limits)
            continue
        body = store.read(entry.key)
        try:
            facts = inspect(body, limits)
        except RefusedImage as error:
            run.refused[entry.key] = _refuse(store, contract, entry.key, body, error)
            continue
        run.taken[entry.key] = (facts.checksum, facts.mime_type)
        looked_at[facts.checksum] = (facts, body)
    run.known |= _known(catalog, contract, list(looked_at))
    for image_id, (facts, body) in looked_at.items():
        if image_id in run.known or image_id in run.rows:
            continue
        stem = f"{now:%Y-%m-%d}/{image_id}"
        key = f"raw/images/{stem}.{SUFFIXES[facts.mime_type]}"
        store.put_once(key, body, facts.mime_type)
        store.put(f"raw/thumbnails/{stem}.jpg", facts.thumbnail, "image/jpeg")
        run.rows[image_id] = {
            "image_id": image_id,
            "s3_path": f"s3://{store.bucket}/{key}",
            "file_size": len(body),
            "mime_type": facts.mime_type,
            "upload_time": now,
            "source_system": source_system,
            "tag": tag,
            "width": facts.width,
            "height": facts.height,
            "checksum": image_id,
            "created_at": now,
        }


def _known(catalog: Catalog, contract: Contract, image_ids: list[str]) -> dict[str, str]:
    """Which images have a row, each with its tag."""
    if not image_ids:
        return {}
    table = catalog.load_table(contract.table)
    found = table.scan(one_of("image_id", image_ids), selected_fields=("image_id", "tag")).to_arrow()
    return {row["image_id"]: row["tag"] for row in found.to_pylist()}


def _refuse(store: ObjectStore, contract: Contract, key: str, body: bytes, error: RefusedImage) -> RefusedFile:
    checksum = hashlib.sha256(body).hexdigest()
    kept = f"refused/images/{checksum}"
    store.put_once(kept, body, "application/octet-stream")
    log.warning("refused %r: %s, %s; kept as %s", key, error.reason, error, kept)
    return RefusedFile(contract.table, checksum, key[:500], error.reason, str(error)[:200], f"s3://{store.bucket}/{kept}")


def _refuse_unread(store: ObjectStore, contract: Contract, entry: StoredObject, limits: Limits) -> RefusedFile:
    """Too large to be read: it is known by its place and size, and copied within the store."""
    name = hashlib.sha256(f"{entry.key}/{entry.size}".encode()).hexdigest()
    kept = f"refused/images/{name}"
    store.copy(entry.key, kept)
    detail = f"{entry.size} bytes, at most {limits.max_bytes}"
    log.warning("refused %r: too_large, %s; kept as %s", entry.key, detail, kept)
    return RefusedFile(contract.table, name, entry.key[:500], "too_large", detail, f"s3://{store.bucket}/{kept}")
