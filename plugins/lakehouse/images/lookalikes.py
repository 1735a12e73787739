"""Images that look alike: perceptual hashes that differ in few bits."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from pyiceberg.table import Table

log = logging.getLogger(__name__)

_BITS, _BANDS = 64, 4
# Hashes that differ in fewer bits than there are bands have one band in common, so that only those are compared.
MAX_BITS = _BANDS - 1
# A hash with next to no brighter-than bits is that of a plain surface; all of those look alike, which says nothing.
_PLAIN = 4
_MAX_PAIRS, _SECONDS = 1_000, 60.0


@dataclass(frozen=True)
class Pair:
    """A new image and another that looks like it; `bits` of 64 differ."""

    image_id: str
    other_id: str
    bits: int


def lookalikes(table: Table, new: dict[str, str]) -> list[Pair]:
    """Pairs of a new image and one of the table's, the most alike first; at most 1,000, and those found within a minute.

    The table's hashes are streamed; memory grows with the new images alone.

    Args:
        table: the images' metadata, the new ones included.
        new: perceptual hashes (hex) by image id.
    """
    by_band: dict[tuple[int, int], list[tuple[str, int]]] = defaultdict(list)
    for image_id, text in new.items():
        value = int(text, 16)
        if not _is_plain(value):
            for band in _bands(value):
                by_band[band].append((image_id, value))
    if not by_band:
        return []
    pairs: set[Pair] = set()
    deadline = time.monotonic() + _SECONDS
    for other_id, value in _hashes(table):
        for band in _bands(value):
            for image_id, own in by_band.get(band, ()):
                bits = (own ^ value).bit_count()
                # Of two new ones the pair is told once.
                if bits <= MAX_BITS and other_id != image_id and not (other_id in new and other_id < image_id):
                    pairs.add(Pair(image_id, other_id, bits))
        if len(pairs) >= _MAX_PAIRS or time.monotonic() > deadline:
            log.warning("%d pairs look alike, and not all images were compared", len(pairs))
            break
    return sorted(pairs, key=lambda pair: (pair.bits, pair.image_id, pair.other_id))[:_MAX_PAIRS]


def _hashes(table: Table) -> Iterator[tuple[str, int]]:
    for batch in table.scan("perceptual_hash is not null", selected_fields=("image_id", "perceptual_hash")).to_arrow_batch_reader():
        for row in batch.to_pylist():
            yield row["image_id"], int(row["perceptual_hash"], 16)


def _bands(value: int) -> list[tuple[int, int]]:
    width = _BITS // _BANDS
    return [(number, value >> number * width & (1 << width) - 1) for number in range(_BANDS)]


def _is_plain(value: int) -> bool:
    return min(value.bit_count(), _BITS - value.bit_count()) < _PLAIN
