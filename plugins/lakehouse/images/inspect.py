"""Looks at an image: limits on the header first, then one full decode that gives its facts and its thumbnail."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

# Formats by allow-list; the MIME type is the decoder's word, never the file name's.
# MPO is what phones call a JPEG with a second picture in it.
FORMATS = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
# The decoder of JPEG finds out itself that a file is an MPO.
_OPENERS = ("JPEG", "PNG", "WEBP", "GIF")
SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/gif": "gif"}
THUMBNAIL_SIZE = (200, 200)
# All frames of an animation together may have this many times the pixels of one image.
_FRAMES_PIXELS = 4


@dataclass(frozen=True)
class Limits:
    """What is looked at on the header, before anything is decoded."""

    max_bytes: int = 50_000_000
    max_pixels: int = 50_000_000
    max_ratio: float = 50.0
    max_frames: int = 200


@dataclass(frozen=True)
class ImageFacts:
    """Facts of a whole image; width and height in pixels, after the EXIF orientation is applied."""

    checksum: str
    mime_type: str
    width: int
    height: int
    thumbnail: bytes


class RefusedImage(ValueError):  # noqa: N818  # an outcome, not a failure of ours
    """The image is not taken; `reason` is its class, the text says what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def inspect(body: bytes, limits: Limits | None = None) -> ImageFacts:
    """Decode the image fully.

    Raises:
        RefusedImage: it is empty, too large, of another format, or cannot be decoded to its end.
    """
    limits = limits or Limits()
    if not body:
        raise RefusedImage("empty", "the file has no bytes")
    if len(body) > limits.max_bytes:
        raise RefusedImage("too_large", f"{len(body)} bytes, at most {limits.max_bytes}")
    try:
        with warnings.catch_warnings():
            # Pillow only warns of a decompression bomb up to a size; our limit on pixels is checked before the decode.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(body), formats=_OPENERS) as image:
                _check_header(image, limits)
                mime_type = FORMATS[image.format or ""]
                # Every frame, because a file may be cut off in any of them; the first one is what is shown.
                for frame in range(getattr(image, "n_frames", 1)):
                    image.seek(frame)
                    image.load()
                image.seek(0)
                upright = ImageOps.exif_transpose(image)
                width, height = upright.size
                return ImageFacts(hashlib.sha256(body).hexdigest(), mime_type, width, height, _thumbnail(upright))
    except UnidentifiedImageError as error:
        raise RefusedImage("not_an_image", "none of " + ", ".join(_OPENERS)) from error
    except Image.DecompressionBombError as error:
        raise RefusedImage("too_many_pixels", str(error)) from error
    except (RefusedImage, MemoryError):
        raise
    # Decoders raise whatever their formats make them stumble over.
    except Exception as error:
        raise RefusedImage("broken", f"it cannot be decoded to its end: {error}") from error


def _check_header(image: Image.Image, limits: Limits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise RefusedImage("too_many_pixels", f"{width} x {height}, at most {limits.max_pixels} pixels")
    if max(width, height) > limits.max_ratio * min(width, height):
        raise RefusedImage("too_narrow", f"{width} x {height}: one side is more than {limits.max_ratio:g} times the other")
    frames = getattr(image, "n_frames", 1)
    if frames > limits.max_frames:
        raise RefusedImage("too_many_frames", f"{frames} frames, at most {limits.max_frames}")
    if width * height * frames > _FRAMES_PIXELS * limits.max_pixels:
        raise RefusedImage("too_many_pixels", f"{frames} frames of {width} x {height}, at most {_FRAMES_PIXELS * limits.max_pixels} pixels")


def _thumbnail(image: Image.Image) -> bytes:
    small = image.copy()
    if small.mode.startswith("I;16"):  # Sixteen bits would all be cut to white.
        small = small.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    small.thumbnail(THUMBNAIL_SIZE)
    out = io.BytesIO()
    small.convert("RGB").save(out, "JPEG", quality=85)
    return out.getvalue()
