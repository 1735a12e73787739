"""A page of the gallery as the table grows, beside the way that tutorials do it: the whole table into pandas, then sort and slice."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import harness
from bench.harness import REPO, Result

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog

    from lakehouse.objects import ObjectStore

SIZES = [int(text) for text in os.environ.get("BENCH_IMAGES", "1000,10000,100000").split(",")]
ROUNDS = 3
# Each day has three tags, and so three files; a commit brings ten days.
_IMAGES_A_DAY = 1_000
_DAYS_A_COMMIT = 10
_THUMBNAILS = "raw/thumbnails/bench/"
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Page:
    """One page in a process of its own: seconds from opening the table to the last thumbnail, and to the figures; peak memory in MB."""

    rows: int
    seconds: float
    with_figures: float
    peak_mb: float


def run() -> list[Result]:
    """Measure against the running stack; tables (in `bench_db`) and thumbnails are removed at the end."""
    from lakehouse_provider.hooks.object_store import ObjectStoreHook

    catalog = harness.open_catalog()
    store = ObjectStoreHook().store
    _put_thumbnails(store)
    ours, rival = [], []
    try:
        for rows in SIZES:
            table = f"bench_db.images_{rows}"
            _fill(catalog, table, rows)
            for _ in range(ROUNDS):
                for way, found in (("ours", ours), ("pandas", rival)):
                    found.append(_page(way, table, rows))
            catalog.purge_table(table)
    finally:
        for rows in SIZES:
            if catalog.table_exists(f"bench_db.images_{rows}"):
                catalog.purge_table(f"bench_db.images_{rows}")
        for entry in store.list(_THUMBNAILS):
            store.delete(entry.key)
    a, b = _medians(ours), _medians(rival)
    _plot(a, b)
    return _results(a, b)


def _results(ours: list[Page], rival: list[Page]) -> list[Result]:
    first, last, theirs = ours[0], ours[-1], rival[-1]
    growth, at = f"{last.rows:,} / {first.rows:,} images", f"{last.rows:,} images"
    return [
        Result("gallery", f"page of 20 thumbnails, cold, {at} / 3 s", last.seconds, 3.0, "s", "<= 1"),
        Result("gallery", f"page and its figures, cold, {at} / 3 s", last.with_figures, 3.0, "s", ""),
        Result("gallery", f"page of 20, cold, {at}, ours / pandas", last.seconds, theirs.seconds, "s", ""),
        Result("gallery", f"peak memory, {at}, ours / pandas", last.peak_mb, theirs.peak_mb, "MB", ""),
        Result("gallery", f"page of 20, cold, ours, {growth}", last.seconds, first.seconds, "s", "<= 1.5"),
        Result("gallery", f"peak memory, ours, {growth}", last.peak_mb, first.peak_mb, "MB", "<= 1.2"),
        Result("gallery", f"peak memory, pandas, {growth}", theirs.peak_mb, rival[0].peak_mb, "MB", ""),
    ]


def _page(way: str, table: str, rows: int) -> Page:
    measured = harness.run([sys.executable, "-m", "bench.gallery_rivals", way, table], PYTHONPATH=str(REPO))
    found: dict[str, Any] = json.loads(measured.output.splitlines()[-1])
    if found.pop("images") != rows or found.pop("thumbnails") != 20:
        raise RuntimeError(f"{way} showed something else than 20 of {rows} images:\n{measured.output[-2000:]}")
    page = Page(rows, **found, peak_mb=measured.peak_mb)
    print(f"{rows:>9,} images  {way:7} {page.seconds:6.2f} s, with figures {page.with_figures:6.2f} s, {page.peak_mb:5.0f} MB", flush=True)
    return page


def _medians(pages: list[Page]) -> list[Page]:
    by_rows = {rows: [page for page in pages if page.rows == rows] for rows in SIZES}
    fields = ("seconds", "with_figures", "peak_mb")
    return [Page(rows, *(median(getattr(page, name) for page in some) for name in fields)) for rows, some in by_rows.items()]


def _fill(catalog: Catalog, name: str, rows: int) -> None:
    """Metadata alone; the rows' twenty thumbnails are the same ones."""
    from lakehouse import contracts
    from lakehouse.iceberg.data_files import write_data_files
    from lakehouse.iceberg.table import ensure_table

    contract = replace(contracts.load(REPO / "include" / "contracts" / "image_metadata.odcs.yaml"), table=name)
    if catalog.table_exists(name):
        catalog.purge_table(name)
    table = ensure_table(catalog, contract)
    for piece in _pieces(rows):
        files = write_data_files(table, [piece])
        with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
            for file in files:
                append.append_data_file(file)


def _pieces(rows: int) -> Iterator[pa.Table]:
    import pyarrow as pa

    chance = random.Random(rows)  # noqa: S311
    for first in range(0, rows, _IMAGES_A_DAY * _DAYS_A_COMMIT):
        yield pa.Table.from_pylist([_row(number, chance) for number in range(first, min(rows, first + _IMAGES_A_DAY * _DAYS_A_COMMIT))])


def _row(number: int, chance: random.Random) -> dict[str, Any]:
    image_id = hashlib.sha256(str(number).encode()).hexdigest()
    at = _FIRST + timedelta(days=number // _IMAGES_A_DAY, hours=chance.randrange(24))
    width, height = chance.choice([(640, 480), (1920, 1080), (800, 800), (1080, 1920)])
    return {
        "image_id": image_id,
        "s3_path": f"s3://lakehouse/raw/images/bench/{number % 20}.jpg",
        "file_size": int(chance.lognormvariate(12, 1)),
        "mime_type": chance.choice(["image/jpeg", "image/png", "image/webp", "image/gif"]),
        "upload_time": at,
        "source_system": chance.choice(["api", "batch", "manual"]),
        "tag": chance.choice(["analytics", "product", "user"]),
        "width": width,
        "height": height,
        "checksum": image_id,
        "created_at": at,
        "source": f"landing/images/{number}.jpg",
        "source_checksum": image_id[::-1],
        "licence": chance.choice(["CC0-1.0", "CC-BY-4.0", None]),
        "frames": 1,
        "perceptual_hash": image_id[:16],
        "private_metadata": "none",
    }


def _put_thumbnails(store: ObjectStore) -> None:
    from PIL import Image

    for number in range(20):
        body = io.BytesIO()
        Image.effect_noise((200, 150), 60).convert("RGB").save(body, "JPEG", quality=85)
        store.put(f"{_THUMBNAILS}{number}.jpg", body.getvalue(), "image/jpeg")


def _plot(ours: list[Page], rival: list[Page]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.6))
    for axis, title, name in (
        (axes[0], "seconds to a page of 20, cold", "seconds"),
        (axes[1], "peak memory of the process, MB", "peak_mb"),
    ):
        for label, pages in (("ours", ours), ("whole table into pandas", rival)):
            axis.plot([page.rows for page in pages], [getattr(page, name) for page in pages], marker="o", label=label)
        axis.set(xscale="log", xlabel="images in the table", title=title)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(f"A page of the gallery ({harness.MACHINE})")
    figure.tight_layout()
    harness.PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(harness.PICTURES / "gallery.png", dpi=100)
    print(f"plot: {harness.PICTURES / 'gallery.png'}")
