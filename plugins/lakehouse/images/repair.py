"""Puts right what a comparison found: orphans go to the quarantine, missing thumbnails are made anew. Nothing is ever deleted."""

from __future__ import annotations

import asyncio
import logging
from datetime import date
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from pyiceberg.catalog import Catalog

from lakehouse.exceptions import ServiceError, VerificationError
from lakehouse.images import rows
from lakehouse.images.decoders import Decoders
from lakehouse.images.findings import LOST, MOVABLE, Action, Comparison, Finding, Found
from lakehouse.images.inspect import RefusedImage
from lakehouse.images.keys import Layout
from lakehouse.images.rules import ImageRules
from lakehouse.local_disk import room_in
from lakehouse.objects import ObjectStore, StoredObject

log = logging.getLogger(__name__)

_LOOKED_UP = 100


def dry_run(compared: Comparison, table_name: str, max_moves: int) -> None:
    """Note on each finding what a real run would do."""
    if _stops(compared, table_name, max_moves):
        return
    for found in compared.findings.listed(*MOVABLE):
        found.action = Action.WOULD_MOVE
    for found in compared.findings.listed(Finding.MISSING_THUMBNAIL):
        found.action = Action.WOULD_REBUILD


def repair(
    store: ObjectStore, catalog: Catalog, table_name: str, compared: Comparison, *, layout: Layout, max_moves: int, run_day: date
) -> None:
    """Move to `<quarantine><run day>/<key>` what belongs to no row, rebuild thumbnails, and note on each finding what was done.

    Nothing is changed, and `compared.stopped` says why, when more than `max_moves` are to be moved or the table has no row. Before a move
    the table is asked again, because a run may have committed since.

    Raises:
        VerificationError: what was moved or written is not there when it is read back.
    """
    if _stops(compared, table_name, max_moves):
        return
    moves = iter(compared.findings.listed(*MOVABLE))
    moved = 0
    while some := list(islice(moves, _LOOKED_UP)):
        kept = _claimed(store, catalog, table_name, layout, some)
        for found in some:
            _move(store, found, f"{layout.quarantine}{run_day}/{found.key}", kept.get(found.key))
            moved += found.action is Action.MOVED
        log.info("%d of %d objects moved to %s%s/", moved, compared.findings.has(*MOVABLE), layout.quarantine, run_day)
    thumbnails = compared.findings.listed(Finding.MISSING_THUMBNAIL)
    if thumbnails:
        asyncio.run(_rebuild_all(store, compared, thumbnails))


def _stops(compared: Comparison, table_name: str, max_moves: int) -> bool:
    moves = compared.findings.has(*MOVABLE)
    if moves > max_moves:
        compared.stopped = (
            f"{moves:,} objects belong to no row of {table_name}, at most {max_moves:,} are moved in one run: was the table rolled back? "
            "If the list in ops_db.image_findings is right, trigger with a higher `max_moves`"
        )
    elif moves and not compared.rows_total:
        compared.stopped = (
            f"{table_name} has no row at all, so each of {moves:,} objects would be moved: was the table emptied, or made anew? If nobody "
            "wants the objects, move them by hand"
        )
    return compared.stopped is not None


def _claimed(store: ObjectStore, catalog: Catalog, table_name: str, layout: Layout, some: list[Found]) -> dict[str, str]:
    """Which objects are to stay, each with the reason: a row names them by now, or they may be the last copy of an image that has a row."""
    own = f"s3://{store.bucket}/"
    of_path: dict[str, list[str]] = {}  # An image and its thumbnail have one row.
    of_image: dict[str, list[str]] = {}
    for found in some:
        for key in layout.images_of(found.key):
            of_path.setdefault(own + key, []).append(found.key)
        if found.finding is Finding.ORPHAN_OBJECT and found.image_id:
            of_image.setdefault(found.image_id, []).append(found.key)
    kept: dict[str, str] = {}
    for row in rows.naming(catalog.load_table(table_name), of_path, of_image):
        if row.s3_path in of_path:
            kept |= dict.fromkeys(of_path[row.s3_path], "a row names it by now")
        elif not (row.s3_path.startswith(own) and store.stat(row.s3_path.removeprefix(own))):
            why = f"it may be the last copy of an image whose row points to {row.s3_path}: copy it there"
            kept |= dict.fromkeys(of_image[row.image_id], why)
    return kept


def _move(store: ObjectStore, found: Found, target: str, kept: str | None) -> None:
    entry = found.stored
    if entry is None or kept:
        found.done(Action.KEPT, kept or "")
    elif (there := store.stat(target)) and not _same(store, entry, there):
        found.done(Action.KEPT, f"{target} holds another object of that key already; a run of another day moves it")
    elif _move_unchanged(store, entry, target):
        moved, left = store.stat(target), store.stat(entry.key)
        if moved is None or moved.size != entry.size or left is not None:
            raise VerificationError(f"s3://{store.bucket}/{entry.key} was moved to {target}, and reading back shows {moved} and {left}")
        found.done(Action.MOVED, target)
    else:
        found.done(Action.KEPT, "it changed or went since it was listed")


def _move_unchanged(store: ObjectStore, entry: StoredObject, target: str) -> bool:
    try:
        return store.move_unchanged(entry, target)
    except ServiceError as error:
        if error.status == 404:  # Somebody else removed it.
            return False
        raise


def _same(store: ObjectStore, one: StoredObject, other: StoredObject) -> bool:
    """Whether a run that was cut off copied this very object there."""
    return one.size == other.size and (one.etag == other.etag or store.digest(one) == store.digest(other))


async def _rebuild_all(store: ObjectStore, compared: Comparison, thumbnails: list[Found]) -> None:
    with TemporaryDirectory(prefix="thumbnails-") as folder, room_in(Path(folder)):
        # Somebody may have put another file under an image's key: it is decoded where it can do no harm.
        async with Decoders(ImageRules(), 1) as decoders:
            for number, found in enumerate(thumbnails, 1):
                await _rebuild(store, compared, found, decoders, Path(folder) / "image")
                if number % _LOOKED_UP == 0 or number == len(thumbnails):
                    log.info("%d of %d missing thumbnails looked at", number, compared.findings.has(Finding.MISSING_THUMBNAIL))


async def _rebuild(store: ObjectStore, compared: Comparison, found: Found, decoders: Decoders, path: Path) -> None:
    image = found.stored
    if image is None:
        return
    digest = store.download(image, path)
    if digest != found.image_id:
        found.done(Action.KEPT, "not rebuilt: its image is not the one that its row names")
        if image.key not in {lost.key for lost in compared.findings.listed(*LOST)}:
            detail = f"SHA-256 {digest}, the row says {found.image_id}"
            compared.findings.add(Found(Finding.HASH_DIFFERS, image.key, found.image_id, detail))
        return
    try:
        thumbnail = (await decoders.look(path)).thumbnail.read_bytes()
    except RefusedImage as error:
        found.done(Action.KEPT, f"not rebuilt: {error.reason}, {error}")
        return
    store.put(found.key, thumbnail, "image/jpeg")
    if store.read(found.key) != thumbnail:
        raise VerificationError(f"s3://{store.bucket}/{found.key} was written and holds something else when it is read back")
    found.done(Action.REBUILT, f"from {image.key}")
