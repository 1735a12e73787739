"""Private metadata of images: found and cut out of the file; the coded pixels are copied as they are.

Private is what tells where or with which camera a picture was taken: the GPS list, serial numbers, owner and unique id of EXIF and its
notes of the maker; EXIF's thumbnail, which may show what was cut off the picture; XMP and PNG texts that name any of these, or cannot be
read as plain text; IPTC, and every other application segment of a JPEG but those on `segments._JPEG_KEPT`, because makers put positions and
serial numbers into segments of their own; PNG's old "Raw profile" texts and GIF's XMP as a whole; whatever follows the picture's end
(the video of a moving photograph holds a position). Orientation, times, make, model, exposure, colour profile and comments stay. Where EXIF
cannot be read within its bounds, or is there twice, its orientation alone stays.
"""

from __future__ import annotations

import struct

from PIL import ExifTags

from lakehouse.images.exif import NO_EXIF, Exif, read_exif
from lakehouse.images.segments import FORMATS, Span, broken, opened, webp_header


def clean(body: bytes, mime_type: str) -> tuple[bytes, bool]:
    """The image without private metadata, and whether there was any; the very same bytes when there was none.

    Args:
        body: an image that was decoded to its end.
        mime_type: its true type, one of `inspect.FORMATS`.

    Raises:
        RefusedImage: the file's structure is not what its format says.
    """
    find, wrap, longest = FORMATS[mime_type]
    try:
        pictures = find(body)
    except struct.error as error:
        raise broken("it ends within a header") from error
    # The places of further pictures are counted from the first one, so nothing may move.
    is_fixed = len(pictures) > 1
    edits: list[tuple[Span, bytes]] = []
    for number, spans in enumerate(pictures):
        blocks = [span for span in spans if span.exif is not None]
        exif = _read(blocks[0].exif) if len(blocks) == 1 else None
        if len(spans) == len(blocks) and (not blocks or (exif is not None and not exif.private)):
            continue
        orientation = _orientation(body, number)
        # A picture whose XMP alone said how it is turned says so in EXIF from then on.
        place = next(iter(blocks or [span for span in spans if not span.is_tail]), None)
        for span in spans:
            wrapped = [wrap(block.tobytes(orientation)) for block in (exif or NO_EXIF, NO_EXIF)] if span is place else []
            room = span.end - span.start if is_fixed else longest
            edits.append((span, next((block for block in wrapped if len(block) <= room), b"")))
    if not edits:
        return body, False
    parts, end = [], 0
    for span, new in edits:
        parts += [body[end : span.start], new]
        if is_fixed and span.end < len(body):
            parts.append(b"\xff" * (span.end - span.start - len(new)))
        end = span.end
    cleaned = b"".join([*parts, body[end:]])
    return webp_header(cleaned) if mime_type == "image/webp" else cleaned, True


def _read(block: bytes | None) -> Exif | None:
    try:
        return read_exif(block or b"")
    except ValueError:
        return None


def _orientation(body: bytes, number: int) -> int | None:
    """How the decoder turns a picture, whether EXIF or XMP told it; 1 where it is told nonsense."""
    with opened(body) as image:
        if number:
            image.seek(number)
        value = image.getexif().get(ExifTags.Base.Orientation)
    return value if value is None or value in range(1, 9) else 1
