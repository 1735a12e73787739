"""From a landing prefix to objects named by content and one commit of metadata."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog

from lakehouse.contracts import Contract
from lakehouse.exceptions import CountError
from lakehouse.iceberg.append import Input, append_once
from lakehouse.iceberg.filters import one_of
from lakehouse.images.inspect import SUFFIXES, ImageFacts, RefusedImage, inspect
from lakehouse.objects import ObjectStore
from lakehouse.ops.tables import RefusedFile, record_refusals

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registered:
    """Counts of a run: `read` comes from the listing alone; `other_tags` are images that are there under another tag."""

    read: int
    uploaded: int
    already_there: int
    refused: int
    snapshot_id: int | None
    other_tags: tuple[str, ...] = field(default=())


def register_landing(
    store: ObjectStore,
    catalog: Catalog,
    contract: Contract,
    *,
    landing: str,
    tag: str,
    source_system: str,
    max_files: int = 10_000,
) -> Registered:
    """Take every object under `landing`: store it by content with its thumbnail, register it, move it to `archive/` or `refused/`.

    The objects come first, the rows second, the landing prefix is cleared last: a kill at any point leaves at most an object
    without a row, and the next run goes on from there. An image is one row for ever; its first date decides its key.

    Raises:
        CountError: objects listed differ from uploaded + already there + refused.
    """
    entries = [entry for _, entry in zip(range(max_files), store.list(landing), strict=False)]
    now = datetime.now(UTC)
    rows: dict[str, dict[str, Any]] = {}
    taken: dict[str, tuple[str, str]] = {}  # landing key -> (image id, MIME type)
    refusals: dict[str, RefusedFile] = {}
    for number, entry in enumerate(entries, start=1):
        body = store.read(entry.key)
        try:
            facts = inspect(body)
        except RefusedImage as error:
            refusals[entry.key] = _refuse(store, contract, entry.key, body, error)
            continue
        taken[entry.key] = (facts.checksum, facts.mime_type)
        if facts.checksum not in rows:
            rows[facts.checksum] = _row(store, facts, len(body), now, tag, source_system) | {"_body": body, "_thumbnail": facts.thumbnail}
        if number % 100 == 0:
            log.info("looked at %d of %d images, %d refused", number, len(entries), len(refusals))
    known = _known(catalog, contract, list(rows))
    for image_id, row in rows.items():
        body, thumbnail = row.pop("_body"), row.pop("_thumbnail")
        if image_id not in known:
            key = row["s3_path"].removeprefix(f"s3://{store.bucket}/")
            store.put_once(key, body, row["mime_type"])
            store.put(key.replace("raw/images/", "raw/thumbnails/").rpartition(".")[0] + ".jpg", thumbnail, "image/jpeg")
    record_refusals(catalog, list(refusals.values()))
    inputs = [Input(image_id, row["s3_path"], pa.Table.from_pylist([row])) for image_id, row in rows.items()]
    result = append_once(catalog, contract.table, inputs, key_column="image_id") if inputs else None
    loaded = set(result.loaded) if result else set()
    for key, (image_id, mime_type) in taken.items():
        store.move(key, f"archive/images/{now:%Y-%m-%d}/{image_id}.{SUFFIXES[mime_type]}")
    for key in refusals:
        store.delete(key)
    uploaded = len(loaded)
    counts = Registered(
        read=len(entries),
        uploaded=uploaded,
        already_there=len(taken) - uploaded,
        refused=len(refusals),
        snapshot_id=result.snapshot_id if result else None,
        other_tags=tuple(sorted(image_id for image_id, old in known.items() if old != tag)),
    )
    if counts.read != counts.uploaded + counts.already_there + counts.refused:
        raise CountError(f"{contract.table}: {counts} does not add up; clear the task to look at the landing prefix again")
    return counts


def _row(store: ObjectStore, facts: ImageFacts, size: int, now: datetime, tag: str, source_system: str) -> dict[str, Any]:
    return {
        "image_id": facts.checksum,
        "s3_path": f"s3://{store.bucket}/raw/images/{now:%Y-%m-%d}/{facts.checksum}.{SUFFIXES[facts.mime_type]}",
        "file_size": size,
        "mime_type": facts.mime_type,
        "upload_time": now,
        "source_system": source_system,
        "tag": tag,
        "width": facts.width,
        "height": facts.height,
        "checksum": facts.checksum,
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
