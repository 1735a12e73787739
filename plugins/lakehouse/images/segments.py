"""Where metadata lies in a JPEG, PNG, WebP or GIF, and how an EXIF block is written into each: the walk over a file's segments.

No walk reads past the end, and each looks at a byte once. What counts as private is told in `lakehouse.images.private`.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image

from lakehouse.images.inspect import RefusedImage

_WORDS = re.compile(
    rb"gps[a-z]|latitude|longitude|serial[ _-]?number|ownername|uniqueid|makernote|thumbnails|<!doctype|<!entity", re.IGNORECASE
)
_TEXT_BYTES = 1 << 20  # of a compressed text that is looked into
_BLANK = b"\0\t\r\n \xff"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_KEPT = {
    0xE0: (b"JFIF\0",),
    0xE2: (b"ICC_PROFILE\0", b"MPF\0", b"urn:iso:std:iso:ts:21496:-1\0"),  # colour, places of further pictures, high dynamic range
    0xEC: (b"Ducky",),  # Photoshop's quality
    0xEE: (b"Adobe",),  # without it the colours would be others
}
# Restarts, filling and stuffed bytes belong to the data around them.
_JPEG_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
_SOI, _EOI, _SOS, _APP1, _APP2 = 0xD8, 0xD9, 0xDA, 0xE1, 0xE2
_JPEG_LONGEST = 2 + 0xFFFF


@dataclass(frozen=True)
class Span:
    """A stretch of the file that is cut out, or an EXIF block that may be written anew in its place."""

    start: int
    end: int
    exif: bytes | None = None
    is_tail: bool = False


def _jpeg(body: bytes) -> list[list[Span]]:
    spans, end, index = _picture(body, 0)
    pictures = [spans]
    for start in _further_pictures(body, index):
        if start < end:
            raise broken("its pictures overlap")
        pictures[-1] += _tail(body, end, start)
        spans, end, _ = _picture(body, start)
        pictures.append(spans)
    pictures[-1] += _tail(body, end, len(body))
    return pictures


def _further_pictures(body: bytes, index: int | None) -> list[int]:
    """Where they start, as the decoder reads the index (CIPA DC-007) at this place."""
    if index is None:
        return []
    with opened(body) as image:
        entries = getattr(image, "mpinfo", {}).get(0xB002, [])
    return [index + int(entry["DataOffset"]) for entry in entries[1:]]


def _picture(body: bytes, start: int) -> tuple[list[Span], int, int | None]:
    """The spans of a JPEG, its end, and the place of its index of further pictures."""
    spans: list[Span] = []
    index, is_header, place = None, True, start + 2
    if body[start:place] != b"\xff\xd8":
        raise broken("there is no JPEG where one should start")
    while found := _JPEG_MARKER.search(body, place):
        if is_header and body[place : found.start()].strip(b"\xff"):  # What decoders pass over between the segments.
            spans.append(Span(place, found.start()))
        marker, place = body[found.end() - 1], found.end()
        if marker == _EOI:
            if is_header:
                raise broken("it ends before its picture")
            return spans, place, index
        if marker == _SOI:
            continue
        (size,) = struct.unpack_from(">H", body, place)
        content, place = body[place + 2 : place + size], place + size
        if size < 2 or place > len(body):
            raise broken(f"a segment of {size} bytes")
        if marker == _APP1 and content.startswith(b"Exif\0\0") and is_header:
            spans.append(Span(found.start(), place, content))
        elif 0xE0 <= marker <= 0xEF and not _is_kept(marker, content):
            spans.append(Span(found.start(), place))
        elif marker == _APP2 and content.startswith(b"MPF\0") and is_header:
            index = found.end() + 6
        is_header = is_header and marker != _SOS
    return spans, len(body), index


def _is_kept(marker: int, content: bytes) -> bool:
    if marker == _APP1 and content.startswith(_XMP):
        return not _tells(content.removeprefix(_XMP))
    return content.startswith(_JPEG_KEPT.get(marker, ()))


def _wrap_jpeg(block: bytes) -> bytes:
    content = b"Exif\0\0" + block
    # One that is longer than a segment can be is not taken: see the format's longest.
    return b"\xff\xe1" + struct.pack(">H", min(len(content) + 2, 0xFFFF)) + content if block else b""


def _png(body: bytes) -> list[list[Span]]:
    spans, place, name = [], 8, b""
    while place < len(body) and name != b"IEND":
        start, (size, name) = place, struct.unpack_from(">I4s", body, place)
        content, place = body[start + 8 : start + 8 + size], start + 12 + size
        if place > len(body):
            raise broken(f"a chunk of {size} bytes")
        if name == b"eXIf":
            spans.append(Span(start, place, content))
        elif name == b"zxIf" or (name in (b"tEXt", b"zTXt", b"iTXt") and _text_tells(name, content)):
            spans.append(Span(start, place))
    return [spans + _tail(body, place, len(body))]


def _text_tells(name: bytes, content: bytes) -> bool:
    keyword, _, text = content.partition(b"\0")
    is_packed = name == b"zTXt"
    if name == b"iTXt":
        is_packed = text[:1] != b"\0"
        text = text[2:].split(b"\0", 2)[-1]
    elif is_packed:
        text = text[1:]
    if is_packed:
        unpack = zlib.decompressobj()
        try:
            text = unpack.decompress(text, _TEXT_BYTES)
        except zlib.error:
            return True
        if not unpack.eof:
            return True
    # Colour profiles aside, these hold the blocks of other formats in hex.
    is_raw = keyword.lower().startswith(b"raw profile type") and not keyword.lower().endswith((b" icc", b" icm"))
    return is_raw or _tells(keyword) or _tells(text)


def _wrap_png(block: bytes) -> bytes:
    chunk = b"eXIf" + block
    return struct.pack(">I", len(block)) + chunk + struct.pack(">I", zlib.crc32(chunk)) if block else b""


def _webp_chunks(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk."""
    end = 8 + struct.unpack_from("<I", body, 4)[0]
    if end > len(body):
        raise broken(f"it should have {end} bytes")
    place = 12
    while place + 8 <= end:
        name, size = struct.unpack_from("<4sI", body, place)
        if place + 8 + size > end:
            raise broken(f"a chunk of {size} bytes")
        yield name, place, min(place + 8 + size + size % 2, end)
        place += 8 + size + size % 2


def _webp(body: bytes) -> list[list[Span]]:
    spans = []
    for name, start, end in _webp_chunks(body):
        if name == b"EXIF":
            spans.append(Span(start, end, body[start + 8 : end]))
        elif name == b"XMP " and _tells(body[start + 8 : end].rstrip(b"\0")):
            spans.append(Span(start, end))
    end = 8 + struct.unpack_from("<I", body, 4)[0]
    return [spans + ([Span(end, len(body), is_tail=True)] if end < len(body) else [])]


def _wrap_webp(block: bytes) -> bytes:
    return b"EXIF" + struct.pack("<I", len(block)) + block + bytes(len(block) % 2) if block else b""


def webp_header(body: bytes) -> bytes:
    """The file with its new length, and with flags only for the blocks that it has."""
    head = bytearray(body)
    struct.pack_into("<I", head, 4, len(body) - 8)
    if body[12:16] == b"VP8X":
        names = {name for name, _, _ in _webp_chunks(bytes(head))}
        head[20] = head[20] & ~0x0C | (0x08 if b"EXIF" in names else 0) | (head[20] & 0x04 if b"XMP " in names else 0)
    return bytes(head)


def _gif(body: bytes) -> list[list[Span]]:
    spans, place = [], _after_colours(body, 10, 13)
    while place < len(body):
        start, kind = place, body[place]
        place += 1
        if kind == 0x3B:
            break
        if kind == 0x2C:
            place = _after_blocks(body, _after_colours(body, place + 8, place + 9) + 1)
        elif kind == 0x21:
            place = _after_blocks(body, place + 1)
            if body[start + 1 : start + 14] == b"\xff\x0bXMP DataXMP":
                spans.append(Span(start, place))
    return [spans + _tail(body, place, len(body))]


def _after_colours(body: bytes, flags: int, place: int) -> int:
    (packed,) = struct.unpack_from("B", body, flags)
    return place + (3 << (packed % 8 + 1) if packed & 0x80 else 0)


def _after_blocks(body: bytes, place: int) -> int:
    while size := struct.unpack_from("B", body, place)[0]:
        place += 1 + size
    return place + 1


def _tells(text: bytes) -> bool:
    """Whether a text names what is private, or is not plain text: that of UTF-16 has zero bytes."""
    return b"\0" in text or _WORDS.search(text) is not None


def _tail(body: bytes, start: int, end: int) -> list[Span]:
    return [Span(start, end, is_tail=True)] if body[start:end].strip(_BLANK) else []


@contextmanager
def opened(body: bytes) -> Iterator[Image.Image]:
    """The image as the decoder reads its header.

    Raises:
        RefusedImage: the decoder stumbles.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(body)) as image:
                yield image
        except MemoryError:
            raise
        except Exception as error:  # Decoders raise whatever their formats make them stumble over.
            raise broken(str(error)) from error


def broken(found: str) -> RefusedImage:
    """The refusal of a file whose structure is not what its format says."""
    return RefusedImage("broken", f"its metadata cannot be read: {found}")


# Of each format: what finds the spans of each picture in it, what makes a block of EXIF its own, and how long that may be.
FORMATS: dict[str, tuple[Callable[[bytes], list[list[Span]]], Callable[[bytes], bytes], int]] = {
    "image/jpeg": (_jpeg, _wrap_jpeg, _JPEG_LONGEST),
    "image/png": (_png, _wrap_png, 0x7FFFFFFF),
    "image/webp": (_webp, _wrap_webp, 0x7FFFFFFF),
    "image/gif": (_gif, lambda _: b"", 0),
}
