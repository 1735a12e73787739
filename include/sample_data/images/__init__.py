"""Sample images, the same each time: charts of option markets, pictures of products, avatars, and four that are broken on purpose."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from PIL import ExifTags, Image

from include.sample_data.images import charts, pictures
from include.sample_data.images.market import Underlying, underlyings

_LICENCE = "CC0-1.0"
_PLACE = {1: "N", 2: (37.0, 33.0, 58.8), 3: "E", 4: (126.0, 58.0, 40.8)}  # Seoul's city hall


class SampleImage(NamedTuple):
    """A file and its labels, as a manifest would tell them; `tag` is product, user or analytics, `source_system` manual, batch or api."""

    name: str
    body: bytes
    tag: str
    source_system: str
    licence: str


def files() -> Iterator[SampleImage]:
    """Every sample image; those of `broken` are refused."""
    for make in (_charts, _products, _avatars, broken):
        for name, body, tag, source_system in make():
            yield SampleImage(name, body, tag, source_system, _LICENCE)


def broken() -> Iterator[tuple[str, bytes, str, str]]:
    """Name, content, tag and source system of the four that are no images: cut off, a web page, a bomb, and nothing."""
    whole = encode(pictures.landscape(90, (640, 420)), "JPEG")
    yield "cut-off.jpg", whole[: len(whole) // 2], "product", "api"
    yield "not-found.jpg", b"<!doctype html><html><head><title>404</title></head><body>Not found</body></html>\n", "product", "api"
    yield "bomb.png", _bomb(20_000), "user", "api"
    yield "empty.png", b"", "user", "manual"


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The image as a file of this format."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _charts() -> Iterator[tuple[str, bytes, str, str]]:
    markets = underlyings()
    kinds: tuple[tuple[str, Callable[[Underlying, int], Image.Image], str], ...] = (
        ("candles", charts.candles, "PNG"),
        ("depth", charts.depth, "PNG"),
        ("smile", charts.smile, "WEBP"),
        ("volume", charts.volume, "JPEG"),
        ("surface", charts.surface, "PNG"),
        ("intraday", charts.intraday, "GIF"),
    )
    for number, market in enumerate(markets):
        # Three of the six for each underlying, others for its neighbour.
        for name, draw, kind in kinds[number % 2 :: 2]:
            image = draw(market, number)
            options = {"quality": 88} if kind in ("JPEG", "WEBP") else {}
            body = encode(image.quantize(64) if kind == "GIF" else image, kind, **options)
            yield f"{name}-{market.name.lower()}.{_suffix(kind)}", body, "analytics", ("batch", "api", "manual")[number % 3]
    chart = charts.candles(markets[0], 0)
    # Near-duplicates of the first one.
    yield "candles-es-recompressed.jpg", encode(chart, "JPEG", quality=35), "analytics", "manual"
    yield "candles-es-small.webp", encode(chart.resize((chart.width // 2, chart.height // 2)), "WEBP", quality=80), "analytics", "manual"
    first, *more = charts.growing(markets[1])
    yield "candles-growing.gif", encode(first, "GIF", save_all=True, append_images=more, duration=180, loop=0), "analytics", "batch"


def _products() -> Iterator[tuple[str, bytes, str, str]]:
    for number in range(4):
        yield f"logo-{number}.png", encode(pictures.logo(number), "PNG"), "product", "manual"
    for number, kind in enumerate(("WEBP", "PNG", "JPEG")):
        yield f"gradient-{number}.{_suffix(kind)}", encode(pictures.gradient(number), kind), "product", "batch"
    for number, size in enumerate(((720, 480), (640, 640), (840, 360))):
        yield f"landscape-{number}.jpg", encode(pictures.landscape(number, size), "JPEG", quality=85), "product", "api"
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Lakehouse", "Sample 1"
    exif[ExifTags.Base.DateTime] = "2026:11:20 10:00:00"
    exif[ExifTags.Base.Orientation] = 6
    turned = pictures.landscape(10, (420, 640)).transpose(Image.Transpose.ROTATE_90)
    yield "turned.jpg", encode(turned, "JPEG", exif=exif), "product", "manual"
    exif[ExifTags.Base.Orientation] = 1
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(_PLACE)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.BodySerialNumber] = "SN-0001"
    yield "with-place.jpg", encode(pictures.landscape(11, (600, 450)), "JPEG", exif=exif), "product", "manual"
    yield "for-print.jpg", encode(pictures.landscape(12, (640, 480)).convert("CMYK"), "JPEG"), "product", "batch"
    yield "heights-16-bit.png", encode(pictures.heights(13, (400, 400)), "PNG"), "product", "batch"


def _avatars() -> Iterator[tuple[str, bytes, str, str]]:
    for number in range(8):
        kind = ("PNG", "WEBP", "JPEG")[number % 3]
        yield f"avatar-{number}.{_suffix(kind)}", encode(pictures.avatar(number), kind), "user", ("api", "manual")[number % 2]


def _suffix(kind: str) -> str:
    return {"JPEG": "jpg"}.get(kind, kind.lower())


def _bomb(side: int) -> bytes:
    """A PNG of a few hundred bytes that says it is that wide and high."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1_000))) + chunk(b"IEND", b"")
