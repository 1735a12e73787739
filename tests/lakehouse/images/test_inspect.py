from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from lakehouse.images.inspect import ImageFacts, Limits, RefusedImage, inspect


def encode(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def picture(mode: str = "RGB", size: tuple[int, int] = (64, 48), blue: int = 0) -> Image.Image:
    gradient = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (gradient, gradient.transpose(Image.Transpose.ROTATE_180), Image.new("L", size, blue))).convert(mode)


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is that large, and holds nothing."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\x00")) + chunk(b"IEND", b"")


def animation(kind: str, frames: int) -> bytes:
    pictures = [picture(blue=5 * number) for number in range(frames)]
    return encode(pictures[0], kind, save_all=True, append_images=pictures[1:], duration=50)


def with_gps() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif.get_ifd(0x8825).update({1: "N", 2: (37.0, 33.0, 12.0)})
    return encode(picture(), "JPEG", exif=exif)


def thumbnail(facts: ImageFacts) -> Image.Image:
    opened = Image.open(io.BytesIO(facts.thumbnail))
    opened.load()
    return opened


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    ("body", "mime_type"),
    [
        pytest.param(encode(picture(), "JPEG"), "image/jpeg", id="a JPEG"),
        pytest.param(encode(picture(), "PNG"), "image/png", id="a PNG"),
        pytest.param(encode(picture(), "WEBP"), "image/webp", id="a WebP"),
        pytest.param(encode(picture("CMYK"), "JPEG"), "image/jpeg", id="a JPEG for print (CMYK)"),
        pytest.param(encode(picture("RGBA"), "PNG"), "image/png", id="a PNG with transparency"),
        pytest.param(encode(picture("P"), "PNG"), "image/png", id="a PNG with a palette"),
        pytest.param(encode(picture("1"), "PNG"), "image/png", id="a PNG of one bit"),
        pytest.param(animation("GIF", 5), "image/gif", id="an animated GIF"),
        pytest.param(
            encode(picture(), "MPO", save_all=True, append_images=[picture(blue=9)]),
            "image/jpeg",
            id="a phone's JPEG with a second picture",
        ),
    ],
)
def test_a_whole_image_gives_its_facts_and_a_small_jpeg(body, mime_type):
    facts = inspect(body)
    assert (facts.mime_type, facts.width, facts.height) == (mime_type, 64, 48)
    small = thumbnail(facts)
    assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (64, 48))


@pytest.mark.fault(15)
def test_a_16_bit_image_keeps_its_brightness_in_the_thumbnail():
    facts = inspect(encode(Image.new("I;16", (64, 48), 0x4000), "PNG"))
    assert thumbnail(facts).convert("L").getpixel((10, 10)) == pytest.approx(0x40, abs=3)


def test_a_large_image_gets_a_thumbnail_of_at_most_200_pixels_in_its_own_shape():
    assert thumbnail(inspect(encode(picture(size=(800, 400)), "PNG"))).size == (200, 100)


@pytest.mark.fault(15)
def test_a_turned_photograph_is_measured_upright_and_its_thumbnail_tells_no_place():
    body = with_gps()
    assert Image.open(io.BytesIO(body)).getexif().get_ifd(0x8825)  # or the test would show nothing
    facts = inspect(body)
    assert (facts.width, facts.height) == (48, 64)
    assert thumbnail(facts).size == (48, 64)
    assert not thumbnail(facts).getexif()


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", "empty", id="nothing"),
        pytest.param(png_header(20_000, 20_000), "too_many_pixels", id="a header of 20,000 x 20,000"),
        pytest.param(png_header(10_000, 10_000), "too_many_pixels", id="a header that Pillow would only warn of"),
        pytest.param(png_header(5_100, 100), "too_narrow", id="a strip"),
        pytest.param(png_header(100, 100), "broken", id="a header without pixels"),
        pytest.param(encode(picture(), "JPEG")[:-50], "broken", id="a truncated JPEG"),
        pytest.param(encode(picture(), "PNG")[:-50], "broken", id="a truncated PNG"),
        pytest.param(encode(picture(), "WEBP")[:-50], "broken", id="a truncated WebP"),
        pytest.param(animation("GIF", 5)[:-200], "broken", id="a truncated animation"),
        pytest.param(b"<!doctype html><html><body>404</body></html>", "not_an_image", id="HTML"),
        pytest.param(b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not_an_image", id="SVG"),
        pytest.param(encode(picture(), "BMP"), "not_an_image", id="an image of a format that is not on the list"),
        pytest.param(encode(picture(), "TIFF"), "not_an_image", id="a TIFF"),
    ],
)
def test_what_is_not_a_whole_image_of_ours_is_refused_with_its_reason(body, reason):
    with pytest.raises(RefusedImage) as caught:
        inspect(body)
    assert caught.value.reason == reason
    assert str(caught.value)


@pytest.mark.fault(15)
def test_a_bomb_is_small_and_is_refused_before_it_is_decoded():
    bomb = png_header(20_000, 20_000)
    assert len(bomb) < 150
    with pytest.raises(RefusedImage) as caught:
        inspect(bomb, Limits(max_pixels=10**9))  # the decoder's own guard stands behind ours
    assert caught.value.reason == "too_many_pixels"


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    ("body", "limits", "reason"),
    [
        pytest.param(encode(picture(), "PNG"), {"max_bytes": 100}, "too_large", id="bytes"),
        pytest.param(encode(picture(), "PNG"), {"max_pixels": 64 * 48 - 1}, "too_many_pixels", id="pixels"),
        pytest.param(encode(picture(), "PNG"), {"max_ratio": 1.3}, "too_narrow", id="ratio"),
        pytest.param(animation("GIF", 5), {"max_frames": 4}, "too_many_frames", id="frames of a GIF"),
        pytest.param(animation("WEBP", 5), {"max_frames": 4}, "too_many_frames", id="frames of a WebP"),
    ],
)
def test_each_limit_holds_on_its_edge(body, limits, reason):
    with pytest.raises(RefusedImage) as caught:
        inspect(body, Limits(**limits))
    assert caught.value.reason == reason
    inspect(body, Limits(**{name: value + (0.1 if name == "max_ratio" else len(body)) for name, value in limits.items()}))


def test_the_animation_of_these_tests_has_its_frames():
    assert len(list(ImageSequence.Iterator(Image.open(io.BytesIO(animation("GIF", 5)))))) == 5


WHOLE = {kind: encode(picture(size=(16, 12)), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF")}
WHOLE |= {"JPEG with EXIF": with_gps(), "animated GIF": animation("GIF", 2)}


@pytest.mark.fault(15)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(WHOLE)), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6), st.floats(0, 1)
)
@example("animated GIF", [], 0.625)
def test_damage_gives_facts_or_a_refusal_and_never_another_error(name, flips, kept):
    damaged = bytearray(WHOLE[name])
    for place, value in flips:
        damaged[int(place * len(damaged))] = value
    with suppress(RefusedImage):
        facts = inspect(bytes(damaged[: int(kept * len(damaged))]))
        assert min(facts.width, facts.height, *thumbnail(facts).size) > 0
