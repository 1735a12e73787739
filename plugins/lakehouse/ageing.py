"""Removes objects that are older than their prefix keeps them."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from lakehouse.objects import ObjectStore, StoredObject

log = logging.getLogger(__name__)

_EVERY = 1_000


def delete_old_objects(store: ObjectStore, prefix: str, *, days: int, now: datetime, only_say: bool = False) -> list[StoredObject]:
    """Delete the objects under a prefix that are older, and return them; an object that changed meanwhile stays."""
    old = [entry for entry in store.list(prefix) if entry.modified < now - timedelta(days=days)]
    gone = [entry for number, entry in enumerate(old, 1) if only_say or _delete(store, entry, number, len(old))]
    log.info(
        "%s: %d objects are older than %d days, %d of them %s", prefix, len(old), days, len(gone), "would go" if only_say else "deleted"
    )
    return gone


def _delete(store: ObjectStore, entry: StoredObject, number: int, of: int) -> bool:
    if number % _EVERY == 0:
        log.info("%d of %d", number, of)
    return store.delete_unchanged(entry)
