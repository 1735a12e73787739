"""Takes a batch of images: fetched to disk, looked at, stored by content; what became of each is staged for `register`.

No row is written here. A kill at any point leaves objects without a row, which the next try finds in their place.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyiceberg.catalog import Catalog

from lakehouse.async_objects import AsyncObjectStore
from lakehouse.contracts import Contract
from lakehouse.exceptions import ServiceError
from lakehouse.iceberg.filters import one_of
from lakehouse.images.decoders import Decoders, Looked
from lakehouse.images.fetch import Fetcher
from lakehouse.images.fetch_rules import shown_url
from lakehouse.images.inspect import RefusedImage
from lakehouse.images.keys import REFUSED, image_key, thumbnail_key
from lakehouse.images.rules import ImageRules
from lakehouse.images.sources import Batch, Source, staged
from lakehouse.local_disk import room_in
from lakehouse.objects import ObjectStore

log = logging.getLogger(__name__)

# At once: requests to the store, and of them those that hold a large body in memory.
_REQUESTS, _LARGE_REQUESTS, _LARGE_BYTES = 16, 2, 4_000_000
# URLs that are fetched at once: a host that is slow, or asks for patience, must not hold up what is landed.
_FETCHES = 32
_LOGGED_EVERY = 100
# A batch that takes longer leaves its rest for the next run, before Airflow ends the task without a word.
_SECONDS = 1_200


@dataclass(frozen=True)
class Outcome:
    """What became of one source: it has an image, or a refusal, or neither when it is left for the next run.

    Left is what was gone, or another one, by the time it was read, and what a batch had no time for.

    Attributes:
        row: the image's row, were it new.
        refused: reason and detail.
        kept_at: key or place where a refused file is kept, None when there was nothing to keep.
    """

    source: Source
    checksum: str = ""
    row: dict[str, Any] | None = None
    refused: tuple[str, str] | None = None
    kept_at: str | None = None


@dataclass
class _Taken:
    """An image on this machine's disk."""

    source: Source
    path: Path
    checksum: str
    image_id: str
    looked: Looked


def upload(store: ObjectStore, catalog: Catalog, contract: Contract, rules: ImageRules, batch: Batch) -> str:
    """Take the sources of a batch; returns the key under which their outcomes are staged.

    Raises:
        StorageFullError: the temporary folder has no room; nothing is registered, the sources stay where they are.
        TransientError, ServiceError: the store does not answer, or refuses.
        VerificationError: another content lies under an image's key.
    """
    key = batch.key.replace("/batch-", "/outcome-")
    try:
        sources = staged(store.read(batch.key))
    except ServiceError as error:
        if error.status != 404:
            raise
        log.warning("%s is gone: an earlier try of this run has ended, or clear `plan` and all after it", batch.key)
        return key
    outcomes = asyncio.run(_upload(store, catalog, contract, rules, batch, sources))
    store.put(key, json.dumps([asdict(outcome) for outcome in outcomes]).encode(), "application/json")
    return key


async def _upload(
    store: ObjectStore, catalog: Catalog, contract: Contract, rules: ImageRules, batch: Batch, sources: list[Source]
) -> list[Outcome]:
    bulk = store.asynchronous()
    with TemporaryDirectory(prefix="images-") as folder, room_in(Path(folder)):
        async with Decoders(rules, _processes()) as decoders, Fetcher(rules.http) as fetcher:
            uploader = _Uploader(bulk, rules, batch, Path(folder), decoders, fetcher)
            found = await asyncio.gather(*(uploader.take(number, source) for number, source in enumerate(sources)))
            taken = {entry.image_id: entry for entry in found if isinstance(entry, _Taken)}
            known = known_rows(catalog, contract, taken, ("image_id",))
            await asyncio.gather(*(uploader.store(image) for image_id, image in taken.items() if image_id not in known))
            log.info("%d images are new and stored, %d have a row already", len(taken) - len(known), len(known))
            return [uploader.outcome(entry) if isinstance(entry, _Taken) else entry for entry in found]


def known_rows(catalog: Catalog, contract: Contract, image_ids: Iterable[str], columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The rows of images that are registered, by image id."""
    wanted = set(image_ids)
    if not wanted:
        return {}
    found = catalog.load_table(contract.table).scan(one_of("image_id", wanted), selected_fields=tuple(columns)).to_arrow()
    return {row["image_id"]: row for row in found.to_pylist()}


def _processes() -> int:
    return min(os.cpu_count() or 1, 4)


class _Uploader:
    """The steps of one batch."""

    def __init__(self, bulk: AsyncObjectStore, rules: ImageRules, batch: Batch, spool: Path, decoders: Decoders, fetcher: Fetcher) -> None:
        self._bulk, self._rules, self._batch, self._spool = bulk, rules, batch, spool
        self._decoders, self._fetcher = decoders, fetcher
        self._requests, self._large, self._fetches = (asyncio.Semaphore(number) for number in (_REQUESTS, _LARGE_REQUESTS, _FETCHES))
        self._began, self._done, self._refused = time.monotonic(), 0, 0

    async def take(self, number: int, source: Source) -> _Taken | Outcome:
        """Bring one image to this machine's disk and look at it."""
        async with self._fetches if source.kind == "url" else self._requests:
            in_time = time.monotonic() - self._began < _SECONDS
            taken = await self._take(source, self._spool / str(number)) if in_time else Outcome(source)
        self._done += 1
        self._refused += isinstance(taken, Outcome) and taken.refused is not None
        if self._done % _LOGGED_EVERY == 0 or self._done == self._batch.files:
            seconds = max(time.monotonic() - self._began, 0.001)
            log.info("looked at %d of %d, %d refused; %.0f/s", self._done, self._batch.files, self._refused, self._done / seconds)
        return taken

    async def _take(self, source: Source, path: Path) -> _Taken | Outcome:
        try:
            if not await self._bring(source, path):
                log.info("left alone: %r is gone, or another one since it was listed", source.place)
                return Outcome(source)
            checksum = _sha256(path)
            looked = await self._decoders.look(path)
            return _Taken(source, path, checksum, checksum if looked.private_metadata != "dropped" else _sha256(path), looked)
        except RefusedImage as error:
            return await self._refuse(source, path, error)

    async def _bring(self, source: Source, path: Path) -> bool:
        """False when it is not there any more."""
        if source.refused is not None:
            raise RefusedImage(*source.refused)
        if source.kind == "url":
            await self._fetcher.fetch(source.place, path)
            return True
        if source.size > self._rules.limits.max_bytes:  # Not even read.
            raise RefusedImage("too_large", f"{source.size} bytes, at most {self._rules.limits.max_bytes}")
        if source.kind == "object":
            return await self._bulk.download(source.place, path, source.etag)
        try:
            await asyncio.to_thread(shutil.copyfile, source.place, path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except PermissionError as error:
            raise RefusedImage("unreadable", "this worker may not read it") from error
        return True

    async def _refuse(self, source: Source, path: Path, error: RefusedImage) -> Outcome:
        """Keep what was fetched; an object of the landing prefix is moved by `register`, a local file stays where it is."""
        fetched = path.exists()
        checksum = _sha256(path) if fetched else _sha256_of(source.place, source.etag or source.manifest_etag, source.size)
        kept = REFUSED + checksum if source.kind == "object" or (source.kind == "url" and fetched) else None
        if kept and source.kind == "url":
            async with self._large:
                await self._bulk.put(kept, path.read_bytes(), "application/octet-stream")
        log.warning("refused %r: %s, %s", shown(source), error.reason, error)
        return Outcome(source, checksum, refused=(error.reason, str(error)[:200]), kept_at=kept)

    async def store(self, image: _Taken) -> None:
        """Store an image, read back, and its thumbnail, which can be made again."""
        large = image.path.stat().st_size > _LARGE_BYTES
        async with self._large if large else self._requests:
            key = image_key(self._batch.started.date(), image.image_id, image.looked.mime_type)
            await self._bulk.put_once(key, image.path.read_bytes(), image.looked.mime_type)
            await self._bulk.put(thumbnail_key(key), image.looked.thumbnail.read_bytes(), "image/jpeg")

    def outcome(self, image: _Taken) -> Outcome:
        """What is staged of an image that is taken."""
        looked, labels = image.looked, image.source.labels
        row = {
            "image_id": image.image_id,
            "s3_path": f"s3://{self._bulk.bucket}/{image_key(self._batch.started.date(), image.image_id, looked.mime_type)}",
            "file_size": image.path.stat().st_size,
            "mime_type": looked.mime_type,
            "upload_time": self._batch.started.isoformat(),
            "source_system": labels.source_system,
            "tag": labels.tag,
            "width": looked.width,
            "height": looked.height,
            "checksum": image.image_id,
            "created_at": self._batch.started.isoformat(),
            "source": shown(image.source)[:500],
            "source_checksum": image.checksum,
            "licence": labels.licence,
            "frames": looked.frames,
            "perceptual_hash": looked.perceptual_hash,
            "private_metadata": looked.private_metadata,
        }
        return Outcome(image.source, image.checksum, row)


def shown(source: Source) -> str:
    """A source as people may see it: a URL without what may be secret in it."""
    return shown_url(source.place) if source.kind == "url" else source.place


def _sha256_of(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
