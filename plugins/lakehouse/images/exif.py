"""EXIF blocks: read within their bounds, and written again without what tells who took the picture and where.

A block is a small TIFF file (CIPA DC-008, "Exchangeable image file format", 4.6): a list of entries, one of which points to a second
list. Its own writer and not Pillow's, whose reader copies a value as often as a hostile block points to it.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

ORIENTATION, _EXIF_POINTER = 0x0112, 0x8769
# Bytes of one value, by type; 13 is the place of a list, 129 EXIF 3.0's text in UTF-8.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_PRIVATE = {
    0x014A,  # SubIFDs, further pictures
    0x02BC,  # an XMP packet
    0x83BB,  # IPTC
    0x8649,  # Photoshop's resources, which hold copies of the others
    0x8825,  # GPS
    0x927C,  # MakerNote, where makers put serial numbers
    0xA420,  # ImageUniqueID
    0xA430,  # CameraOwnerName
    0xA431,  # BodySerialNumber
    0xA435,  # LensSerialNumber
    0xC62F,  # CameraSerialNumber
    0xC634,  # DNGPrivateData
    0xC65D,  # RawDataUniqueID
}
# They point to places, which are others once the block is written again.
_POINTERS = {_EXIF_POINTER, 0xA005}

_Entries = dict[int, tuple[int, int, bytes]]  # type, count and value by tag


@dataclass(frozen=True)
class Exif:
    """What stays of a block, and whether anything does not."""

    order: str
    main: _Entries
    detail: _Entries
    private: bool

    def tobytes(self, orientation: int | None) -> bytes:
        """The block without private entries and thumbnail, with this orientation; nothing when it has no entries."""
        main = {tag: entry for tag, entry in self.main.items() if tag != ORIENTATION}
        if orientation is not None:
            main[ORIENTATION] = (3, 1, struct.pack(self.order + "H", orientation))
        if not main and not self.detail:
            return b""
        if self.detail:  # First with any place, for the length of what comes before it.
            main[_EXIF_POINTER] = (4, 1, bytes(4))
            main[_EXIF_POINTER] = (4, 1, struct.pack(self.order + "I", 8 + len(self._list(main, 8))))
        head = (b"II" if self.order == "<" else b"MM") + struct.pack(self.order + "HI", 42, 8)
        first = head + self._list(main, 8)
        return first + (self._list(self.detail, len(first)) if self.detail else b"")

    def _list(self, entries: _Entries, start: int) -> bytes:
        lines, values = struct.pack(self.order + "H", len(entries)), b""
        place = start + 2 + 12 * len(entries) + 4
        for tag, (kind, count, value) in sorted(entries.items()):
            short = len(value) <= 4
            lines += struct.pack(self.order + "HHI", tag, kind, count)
            lines += value.ljust(4, b"\0") if short else struct.pack(self.order + "I", place + len(values))
            values += b"" if short else value + bytes(len(value) % 2)
        return lines + bytes(4) + values


NO_EXIF = Exif(">", {}, {}, private=False)


def read_exif(block: bytes) -> Exif:
    """Read a block, with or without the words `Exif` before it.

    Raises:
        ValueError: it points outside itself, or the values of a list are longer than it, because they share a place.
    """
    block = re.sub(rb"\A(?:Exif\0\0){1,2}", b"", block)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        raise ValueError("it is no TIFF")
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        main, more, private = _entries(block, start, order)
        detail: _Entries = {}
        if _EXIF_POINTER in main:
            (start,) = struct.unpack(order + "I", main[_EXIF_POINTER][2])
            detail, _, also = _entries(block, start, order)
            private |= also
    except struct.error as error:
        raise ValueError(str(error)) from error
    # A further list of the main one describes the thumbnail, which may show what was cut off the picture.
    return Exif(order, _without_pointers(main), _without_pointers(detail), private or more != 0)


def _without_pointers(entries: _Entries) -> _Entries:
    return {tag: entry for tag, entry in entries.items() if tag not in _POINTERS}


def _entries(block: bytes, start: int, order: str) -> tuple[_Entries, int, bool]:
    """Entries that stay, the place of the next list, and whether there are private ones."""
    (number,) = struct.unpack_from(order + "H", block, start)
    entries: _Entries = {}
    private, room = False, len(block)
    for at in range(start + 2, start + 2 + 12 * number, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", block, at)
        size = _SIZES.get(kind, 0) * count
        if tag in _PRIVATE:
            private = True
        elif tag == _EXIF_POINTER and (kind not in (4, 13) or count != 1):
            raise ValueError("the second list cannot be found")
        elif size:
            (place,) = (at + 8,) if size <= 4 else struct.unpack_from(order + "I", block, at + 8)
            room -= size if size > 4 else 0
            if place + size > len(block) or room < 0:
                raise ValueError(f"entry {tag:#06x} points outside, or to where others do")
            entries[tag] = (kind, count, block[place : place + size])
    return entries, struct.unpack_from(order + "I", block, start + 2 + 12 * number)[0], private
