"""Looks at an image: limits on the header first, then one decode to its end that gives its facts, its thumbnail and its perceptual hash."""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection
from dataclasses import dataclass

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

# Formats by allow-list; the MIME type is the decoder's word, never the file name's.
# MPO is what phones call a JPEG with a second picture in it; the decoder of JPEG finds that out itself.
FORMATS = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
THUMBNAIL_SIZE = (200, 200)
# All frames of an animation together may have this many times the pixels of one image.
_FRAMES_PIXELS = 4
_ON_ITS_SIDE = (5, 6, 7, 8)  # values of EXIF's orientation that swap width and height


@dataclass(frozen=True)
class Limits:
    """What is looked at on the header, before anything is decoded; the last two bound the process that decodes.

    Attributes:
        max_ratio: longer side by shorter side.
        seconds: for one image, from the reading of its header to its thumbnail.
        memory_bytes: address space of the decoding process.

    Raises:
        ValueError: a value is no number above 0.
    """

    max_bytes: int = 50_000_000
    max_pixels: int = 50_000_000
    max_ratio: float = 50.0
    max_frames: int = 200
    seconds: float = 30.0
    memory_bytes: int = 1_500_000_000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise ValueError(f"{name} is {value!r}: write a number above 0")


@dataclass(frozen=True)
class ImageFacts:
    """Facts of a whole image; width and height in pixels, after the EXIF orientation is applied; the thumbnail is a JPEG.

    Attributes:
        perceptual_hash: difference hash of 64 bits as 16 hex digits (N. Krawetz, "Kind of Like That", 2013): images that look alike
            differ in few bits.
    """

    mime_type: str
    width: int
    height: int
    frames: int
    perceptual_hash: str
    thumbnail: bytes


class RefusedImage(ValueError):  # noqa: N818  # an outcome, not a failure of ours
    """The image is not taken; `reason` is its class, the text says what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def inspect(body: bytes, limits: Limits | None = None, formats: Collection[str] = frozenset(FORMATS.values())) -> ImageFacts:
    """Decode the image to its end.

    Args:
        body: the file's bytes.
        limits: what is taken at most.
        formats: MIME types that are taken.

    Raises:
        RefusedImage: it is empty, too large, of another format, or cannot be decoded to its end.
    """
    limits = limits or Limits()
    if not body:
        raise RefusedImage("empty", "the file has no bytes")
    if len(body) > limits.max_bytes:
        raise RefusedImage("too_large", f"{len(body)} bytes, at most {limits.max_bytes}")
    openers = [name for name, mime_type in FORMATS.items() if mime_type in formats and name != "MPO"]
    try:
        with warnings.catch_warnings():
            # Pillow only warns of a decompression bomb up to a size; our limit on pixels is checked before the decode.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(body), formats=openers) as image:
                frames = _check_header(image, limits)
                mime_type, size = FORMATS[image.format or ""], image.size
                small = _small(image if frames == 1 else image.copy())
                # Every frame, because a file may be cut off in any of them; the first one is what is shown.
                for frame in range(1, frames):
                    image.seek(frame)
                    image.load()
                turned = small.getexif().get(ExifTags.Base.Orientation) in _ON_ITS_SIDE
                width, height = size[::-1] if turned else size
                upright = _flat(ImageOps.exif_transpose(small))
                return ImageFacts(mime_type, width, height, frames, _difference_hash(upright), _encoded(upright))
    except UnidentifiedImageError as error:
        raise RefusedImage("not_an_image", "none of " + ", ".join(openers)) from error
    except Image.DecompressionBombError as error:
        raise RefusedImage("too_many_pixels", str(error)) from error
    except MemoryError as error:
        raise RefusedImage("too_much_memory", f"it takes more than {limits.memory_bytes} bytes of memory to decode") from error
    except RefusedImage:
        raise
    # Decoders raise whatever their formats make them stumble over.
    except Exception as error:
        raise RefusedImage("broken", f"it cannot be decoded to its end: {error}") from error


def _check_header(image: Image.Image, limits: Limits) -> int:
    """The number of frames."""
    width, height = image.size
    if width * height > limits.max_pixels:
        raise RefusedImage("too_many_pixels", f"{width} x {height}, at most {limits.max_pixels} pixels")
    if max(width, height) > limits.max_ratio * min(width, height):
        raise RefusedImage("too_narrow", f"{width} x {height}: one side is more than {limits.max_ratio:g} times the other")
    frames = int(getattr(image, "n_frames", 1))
    if frames > limits.max_frames:
        raise RefusedImage("too_many_frames", f"{frames} frames, at most {limits.max_frames}")
    if width * height * frames > _FRAMES_PIXELS * limits.max_pixels:
        raise RefusedImage("too_many_pixels", f"{frames} frames of {width} x {height}, at most {_FRAMES_PIXELS * limits.max_pixels} pixels")
    return frames


def _small(image: Image.Image) -> Image.Image:
    """The image as a thumbnail, not yet turned.

    A JPEG is decoded at a fraction of its size (`thumbnail` asks for that): all its data is read, so that a cut is found, but the
    transform is cheaper.
    """
    if image.mode.startswith("I;16"):  # Sixteen bits would all be cut to white.
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    elif image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    image.thumbnail(THUMBNAIL_SIZE, reducing_gap=2.0)
    image.load()  # An image that is small already has not been read yet.
    return image


def _flat(image: Image.Image) -> Image.Image:
    """In RGB, on white where it is transparent."""
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def _difference_hash(image: Image.Image) -> str:
    """Whether each of 9 x 8 grey pixels is brighter than the one to its right."""
    grey = image.convert("L").resize((9, 8), Image.Resampling.BOX)
    pixels = grey.tobytes()
    bits = 0
    for row in range(8):
        for column in range(8):
            at = 9 * row + column
            bits = bits << 1 | (pixels[at] > pixels[at + 1])
    return f"{bits:016x}"


def _encoded(image: Image.Image) -> bytes:
    image.info = {}  # The thumbnail tells nothing but what it shows.
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()
