"""Looks for what is left of images whose objects are gone."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from pyiceberg.table import Table

from lakehouse.images import rows
from lakehouse.images.findings import Found
from lakehouse.images.keys import Layout
from lakehouse.objects import ObjectStore

_LOOKED_UP = 500


def say_where_copies_lie(store: ObjectStore, table: Table, layout: Layout, missing: Iterable[Found], orphans: Iterable[Found]) -> None:
    """Note on each missing object where its image, or what that was made from, still lies: archive, quarantine, or as an orphan."""
    by_id: dict[str, list[Found]] = {}
    for found in missing:
        by_id.setdefault(found.image_id or "", []).append(found)
    made_from: dict[str, str] = {}
    ids = iter(by_id)
    while some := list(islice(ids, _LOOKED_UP)):
        made_from |= rows.sources(table, some)
    copies: dict[str, str] = {}
    for prefix in (layout.archive, layout.quarantine):
        for entry in store.list(prefix):
            stem = entry.key.rpartition("/")[2].partition(".")[0]
            image_id = stem if stem in by_id else made_from.get(stem)
            if image_id and f"/{layout.thumbnails}" not in entry.key:
                copies[image_id] = entry.key
    copies |= {found.image_id: found.key for found in orphans if found.image_id in by_id}
    for image_id, of_image in by_id.items():
        where = f"no copy lies under {layout.archive} or {layout.quarantine}"
        if image_id in copies:
            where = f"a copy, or what it was made from, lies at {copies[image_id]}"
        for found in of_image:
            found.detail = f"no object; {where}"
