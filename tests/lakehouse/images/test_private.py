from __future__ import annotations

import io
import struct
import warnings
import zlib
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageSequence, PngImagePlugin

from lakehouse.images.inspect import FORMATS, RefusedImage, inspect
from lakehouse.images.private import clean

SECRET = b"SN-4711-SECRET"
PLACE = (37.0, 33.0, 12.34)
TAGS = ExifTags.Base
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description %s
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"/>
</rdf:RDF></x:xmpmeta>"""
PRIVATE_XMP = XMP % (b'exif:GPSLatitude="37,33.2N" aux:SerialNumber="%s"' % SECRET)
TURNING_XMP = PRIVATE_XMP.replace(b"<rdf:Description ", b'<rdf:Description tiff:Orientation="8" ')


def encode(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def picture(size: tuple[int, int] = (48, 32), blue: int = 0) -> Image.Image:
    gradient = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (gradient, gradient.transpose(Image.Transpose.ROTATE_180), Image.new("L", size, blue)))


def exif(*, private: bool = True, orientation: int | None = 6, endian: str = "<") -> Image.Exif:
    made = Image.Exif()
    made.endian = endian
    if orientation:
        made[TAGS.Orientation] = orientation
    made[TAGS.Make], made[TAGS.Model], made[TAGS.DateTime] = "Maker", "A long name of a model", "2026:11:20 10:00:00"
    detail = {TAGS.ExposureTime: 0.01, TAGS.DateTimeOriginal: "2026:11:20 10:00:00"}
    if private:
        made.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: PLACE, 29: "2026:11:20"})
        detail |= {0xA431: SECRET.decode(), 0xA435: SECRET.decode(), 0xA420: SECRET.decode(), 0xA430: SECRET.decode(), 0x927C: SECRET}
    made.get_ifd(ExifTags.IFD.Exif).update(detail)
    return made


def with_thumbnail(*, private: bool = False) -> bytes:
    """An EXIF block with a second list, which describes a thumbnail."""
    block = exif(private=private).tobytes()[6:]
    entries = struct.unpack_from("<H", block, 8)[0]
    small = encode(picture((16, 8)), "JPEG") + SECRET
    more = struct.pack("<HHHIIHHII", 2, 0x0201, 4, 1, len(block) + 30, 0x0202, 4, 1, len(small)) + bytes(4)
    next_list = 10 + 12 * entries
    return b"Exif\0\0" + block[:next_list] + struct.pack("<I", len(block)) + block[next_list + 4 :] + more + small


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def jpeg_with(*segments: bytes, **options) -> bytes:
    body = encode(picture(), "JPEG", **options)
    return body[:2] + b"".join(segments) + body[2:]


def between_scans(body: bytes) -> bytes:
    first, second, rest = body.split(b"\xff\xda", 2)
    return first + b"\xff\xda" + second + segment(0xE1, exif().tobytes()) + b"\xff\xda" + rest


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_with(*chunks: bytes, **options) -> bytes:
    body = encode(picture(), "PNG", **options)
    return body[:33] + b"".join(chunks) + body[33:]


def webp_with(name: bytes, content: bytes, **options) -> bytes:
    body = encode(picture(), "WEBP", **options) + name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    return body[:4] + struct.pack("<I", len(body) - 8) + body[8:]


def gif_with(extension: bytes) -> bytes:
    body = encode(picture(), "GIF", save_all=True, append_images=[picture(blue=200)], comment=b"a comment")
    return body[:-1] + extension + body[-1:]


def mpo(**options) -> bytes:
    return encode(picture(), "MPO", save_all=True, append_images=[picture(blue=99)], **options)


def mpo_with_two_places() -> bytes:
    """A phone's JPEG; its second picture has EXIF of its own."""
    body = mpo(exif=exif())
    second = body.rindex(b"\xff\xd8\xff")
    return body[:second] + body[second:].replace(exif().tobytes(), exif(orientation=3).tobytes())


def mpo_within_itself() -> bytes:
    """A phone's JPEG whose index says that the second picture starts within a comment of the first."""
    body = mpo()
    index = body.index(b"MPF\0") + 4
    after = index - 6 + struct.unpack_from(">H", body, index - 6)[0]
    second = body.rindex(b"\xff\xd8\xff")
    place = body.index(struct.pack("<II", len(body) - second, second - index)) + 4
    return body[:place] + struct.pack("<I", after + 4 - index) + body[place + 4 : after] + segment(0xFE, b"\xff\xd8\xff\xff") + body[after:]


def frames(body: bytes) -> list[tuple[int | None, bytes]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(body)) as image:
            return [(frame.getexif().get(TAGS.Orientation), frame.convert("RGBA").tobytes()) for frame in ImageSequence.Iterator(image)]


def mime_type(body: bytes) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FORMATS[Image.open(io.BytesIO(body)).format or ""]


BIG_XMP = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 40 + SECRET
RAW_PROFILE = b"\nexif\n%8d\n" % len(exif().tobytes()) + exif().tobytes().hex().encode() + b"\n"
INFO = PngImagePlugin.PngInfo()
INFO.add_itxt("XML:com.adobe.xmp", PRIVATE_XMP.decode())
PRIVATE = {
    "a JPEG's EXIF": encode(picture(), "JPEG", exif=exif()),
    "a JPEG's EXIF, the other byte order": encode(picture(), "JPEG", exif=exif(endian=">")),
    "a progressive JPEG's EXIF": encode(picture(), "JPEG", exif=exif(), progressive=True, icc_profile=b"a profile"),
    "a JPEG's thumbnail": jpeg_with(segment(0xE1, with_thumbnail())),
    "a JPEG's thumbnail and place": jpeg_with(segment(0xE1, with_thumbnail(private=True))),
    "a JPEG's XMP": encode(picture(), "JPEG", xmp=PRIVATE_XMP),
    "a JPEG's XMP beside harmless EXIF": encode(picture(), "JPEG", xmp=PRIVATE_XMP, exif=exif(private=False)),
    "a JPEG's XMP that alone says how it is turned": encode(picture(), "JPEG", xmp=TURNING_XMP),
    "a JPEG's XMP in UTF-16": encode(picture(), "JPEG", xmp=PRIVATE_XMP.decode().encode("utf-16")),
    "a JPEG's extended XMP": jpeg_with(segment(0xE1, BIG_XMP)),
    "a JPEG's IPTC": jpeg_with(segment(0xED, b"Photoshop 3.0\x008BIM" + SECRET)),
    "a maker's own segment": jpeg_with(segment(0xE6, b"GoPro\0" + SECRET)),
    "EXIF of a JPEG that points outside": jpeg_with(
        segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x0f\0\x02\0\0\xff\xff\0\0\0\0" + SECRET)
    ),
    "two blocks of EXIF": jpeg_with(segment(0xE1, exif(private=False).tobytes()), segment(0xE1, exif().tobytes())),
    "text between the segments": jpeg_with(segment(0xFE, b"a comment") + SECRET + b"\xff"),
    "EXIF between two scans": between_scans(encode(picture(), "JPEG", progressive=True)),
    "EXIF between two scans, and XMP that says how it is turned": between_scans(
        encode(picture(), "JPEG", progressive=True, xmp=TURNING_XMP)
    ),
    "a video behind a JPEG": encode(picture(), "JPEG") + b"\0\0\0\x18ftypmp42" + SECRET,
    "a phone's two pictures": mpo(exif=exif()),
    "a phone's two pictures, each with its place": mpo_with_two_places(),
    "a video behind a phone's two pictures": mpo_with_two_places() + b"ftypmp42\xff\xd8\xff" + SECRET,
    "a PNG's EXIF": encode(picture(), "PNG", exif=exif()),
    "a PNG's XMP": encode(picture(), "PNG", pnginfo=INFO),
    "a PNG's packed XMP": png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0" + zlib.compress(PRIVATE_XMP))),
    "a PNG's packed text": png_with(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(PRIVATE_XMP))),
    "a PNG's packed text that ends early": png_with(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(SECRET * 9)[:-6])),
    "a PNG's packed profile": png_with(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(RAW_PROFILE))),
    "a PNG's profile": png_with(chunk(b"tEXt", b"Raw profile type APP1\0" + RAW_PROFILE)),
    "a PNG's text": png_with(chunk(b"tEXt", b"exif:GPSLatitude\0" + SECRET)),
    "bytes behind a PNG": encode(picture(), "PNG") + SECRET,
    "a WebP's EXIF": encode(picture(), "WEBP", exif=exif()),
    "a WebP's XMP": encode(picture(), "WEBP", xmp=PRIVATE_XMP),
    "a WebP's EXIF and XMP": encode(picture(), "WEBP", xmp=PRIVATE_XMP, exif=exif(), icc_profile=b"a profile"),
    "an animated WebP's EXIF": encode(picture(), "WEBP", exif=exif(), save_all=True, append_images=[picture(blue=200)]),
    "bytes behind a WebP": encode(picture(), "WEBP") + SECRET,
    "a GIF's XMP": gif_with(b"!\xff\x0bXMP DataXMP" + PRIVATE_XMP + b"\x01" + bytes(range(255, -1, -1)) + b"\0"),
    "bytes behind a GIF": gif_with(b"") + SECRET,
}
HARMLESS = {
    "a JPEG": encode(picture(), "JPEG", icc_profile=b"a profile", comment=b"a comment"),
    "a JPEG with EXIF": encode(picture(), "JPEG", exif=exif(private=False)),
    "a JPEG with XMP": encode(picture(), "JPEG", xmp=XMP % b'tiff:Orientation="6"'),
    "a JPEG for print": encode(picture().convert("CMYK"), "JPEG"),
    "a JPEG with zero bytes behind it": encode(picture(), "JPEG") + bytes(64),
    "a phone's two pictures": mpo(exif=exif(private=False)),
    "a PNG": png_with(chunk(b"tEXt", b"Title\0a chart"), chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"fine"))),
    "a PNG with EXIF": encode(picture(), "PNG", exif=exif(private=False), icc_profile=b"a profile"),
    "a WebP": encode(picture(), "WEBP"),
    "a WebP with EXIF": encode(picture(), "WEBP", exif=exif(private=False), xmp=XMP % b""),
    "an animated GIF": gif_with(b""),
}  # fmt: skip


def cases(bodies: dict[str, bytes]) -> list:
    return [pytest.param(body, id=name) for name, body in bodies.items()]


@pytest.mark.fault(15)
@pytest.mark.parametrize("body", cases(PRIVATE))
def test_private_metadata_is_gone_and_the_picture_is_the_same_as_is_how_it_is_turned(body):
    cleaned, had_private = clean(body, mime_type(body))
    assert had_private
    for found in (SECRET, b"GPS", b"ftyp", struct.pack("<HHI", 0x8825, 4, 1), struct.pack(">HHI", 0x8825, 4, 1)):
        assert found not in cleaned
    assert len(cleaned) <= len(body) + 40
    assert frames(cleaned) == frames(body)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert inspect(cleaned) == inspect(body)
        with Image.open(io.BytesIO(cleaned)) as image:
            assert not image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    assert clean(cleaned, mime_type(body)) == (cleaned, False)


@pytest.mark.fault(15)
@pytest.mark.parametrize("body", cases(HARMLESS))
def test_an_image_without_private_metadata_is_left_byte_by_byte(body):
    assert clean(body, mime_type(body)) == (body, False)


@pytest.mark.fault(15)
@pytest.mark.parametrize("name", [name for name in PRIVATE if name.endswith(("'s EXIF", "byte order", "place", "EXIF and XMP"))])
def test_times_make_model_exposure_and_profile_stay(name):
    before, after = Image.open(io.BytesIO(PRIVATE[name])), Image.open(io.BytesIO(clean(PRIVATE[name], mime_type(PRIVATE[name]))[0]))
    assert [after.getexif()[tag] for tag in (TAGS.Make, TAGS.Model, TAGS.DateTime)] == [
        "Maker",
        "A long name of a model",
        "2026:11:20 10:00:00",
    ]
    detail = after.getexif().get_ifd(ExifTags.IFD.Exif)
    assert dict(detail) == {TAGS.ExposureTime: 0.01, TAGS.DateTimeOriginal: "2026:11:20 10:00:00"}
    assert after.info.get("icc_profile") == before.info.get("icc_profile")


@pytest.mark.fault(15)
def test_the_second_picture_of_a_phone_keeps_its_place_in_the_file_and_loses_its_place_on_earth():
    body = PRIVATE["a phone's two pictures, each with its place"]
    cleaned = clean(body, "image/jpeg")[0]
    assert len(cleaned) == len(body)
    for opened, has_place in ((Image.open(io.BytesIO(body)), True), (Image.open(io.BytesIO(cleaned)), False)):
        assert opened.n_frames == 2
        for frame in range(2):
            opened.seek(frame)
            assert bool(opened.getexif().get_ifd(ExifTags.IFD.GPSInfo)) is has_place
            assert opened.getexif()[TAGS.Orientation] == (6, 3)[frame]


def block_of(*entries: bytes, more: bytes = b"") -> bytes:
    return (
        b"Exif\0\0MM\0*\0\0\0\x08"
        + struct.pack(">H", len(entries) + 1)
        + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
        + b"".join(entries)
        + more
    )


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    "block",
    [
        # What is written again would be a thousand times as long.
        pytest.param(
            block_of(*(struct.pack(">HHII", 0xC000 + number, 7, 20_000, 20_000) for number in range(1_000)), more=bytes(40_000)),
            id="a thousand values in one place",
        ),
        pytest.param(block_of(struct.pack(">HHII", 0x010F, 2, 100, 180), more=bytes(200)), id="a value that ends outside"),
        pytest.param(block_of(struct.pack(">HHII", 0x8769, 4, 1, 5_000), more=bytes(4)), id="a second list outside"),
        pytest.param(block_of(struct.pack(">HHII", 0x8769, 7, 4, 8), more=bytes(4)), id="a second list that is no place"),
        pytest.param(block_of(struct.pack(">HHII", 0x010F, 2, 100, 30)), id="a list that ends early"),
    ],
)
def test_of_exif_that_cannot_be_read_within_its_bounds_the_orientation_alone_stays(block):
    body = jpeg_with(segment(0xE1, block))
    cleaned, had_private = clean(body, "image/jpeg")
    assert had_private
    assert dict(Image.open(io.BytesIO(cleaned)).getexif()) == {TAGS.Orientation: 6}
    assert len(cleaned) < 1_000
    assert clean(cleaned, "image/jpeg") == (cleaned, False)


@pytest.mark.fault(15)
def test_a_picture_that_is_turned_nonsensically_is_not_turned_another_way_afterwards():
    nonsense = segment(0xE1, exif(orientation=77).tobytes())
    body = jpeg_with(nonsense, nonsense, xmp=XMP % b'tiff:Orientation="6"')
    cleaned, had_private = clean(body, "image/jpeg")
    assert had_private
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert inspect(cleaned) == inspect(body)


@pytest.mark.fault(15)
def test_exif_that_would_be_too_long_for_a_segment_keeps_its_orientation_alone():
    long = exif(private=False, orientation=None)
    long[TAGS.ImageDescription] = "a"
    long[TAGS.ImageDescription] = "a" * (65_520 - len(long.tobytes()))
    body = encode(picture(), "JPEG", exif=long, xmp=TURNING_XMP)
    cleaned = clean(body, "image/jpeg")[0]
    assert dict(Image.open(io.BytesIO(cleaned)).getexif()) == {TAGS.Orientation: 8}


@pytest.mark.fault(15)
@pytest.mark.parametrize("name", [name for name in PRIVATE if "WebP" in name])
def test_a_webp_flags_the_blocks_that_it_has(name):
    cleaned = clean(PRIVATE[name], "image/webp")[0]
    assert struct.unpack_from("<I", cleaned, 4) == (len(cleaned) - 8,)
    if cleaned[12:16] == b"VP8X":
        assert [bool(cleaned[20] & flag) for flag in (8, 4)] == [b"EXIF" in cleaned, b"XMP " in cleaned]


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b"", "image/jpeg", id="nothing for a JPEG"),
        pytest.param(b"\xff\xd8\xff\xe1", "image/jpeg", id="a segment without a length"),
        pytest.param(b"\xff\xd8\xff\xfe\xff\xffa comment", "image/jpeg", id="a segment longer than the file"),
        pytest.param(mpo().replace(b"\xff\xc0", b"\xff\xfe"), "image/jpeg", id="two pictures of no size"),
        pytest.param(b"\xff\xd8\xff\xfe\0\x01\xff\xfe\0\x02", "image/jpeg", id="a segment shorter than its length"),
        pytest.param(b"\xff\xd8\xff\xd9" + PRIVATE["a JPEG's EXIF"][2:], "image/jpeg", id="a JPEG that ends before its picture"),
        pytest.param(mpo_within_itself(), "image/jpeg", id="a second picture within the first"),
        pytest.param(PRIVATE["a PNG's EXIF"][:50], "image/png", id="a PNG that ends in a chunk"),
        pytest.param(b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIDAT", "image/png", id="a chunk of 4 GB"),
        pytest.param(PRIVATE["a WebP's EXIF"][:-9], "image/webp", id="a WebP that ends in a chunk"),
        pytest.param(b"RIFF\x14\0\0\0WEBPVP8 \xff\xff\xff\xff" + bytes(8), "image/webp", id="a WebP's chunk of 4 GB"),
        pytest.param(b"RIFF", "image/webp", id="a WebP without a length"),
        pytest.param(b"GIF89a", "image/gif", id="a GIF without a size"),
        pytest.param(HARMLESS["an animated GIF"][:-20], "image/gif", id="a GIF that ends in a block"),
    ],
)
def test_a_file_that_is_not_built_as_its_format_says_is_refused(body, kind):
    with pytest.raises(RefusedImage) as caught:
        clean(body, kind)
    assert caught.value.reason == "broken"


@pytest.mark.fault(15)
@pytest.mark.timeout(30)  # each takes less than a second, and hours if it looked at bytes again and again
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b"\xff\xd8" + b"\xff" * 4_000_000, "image/jpeg", id="filling"),
        pytest.param(b"\xff\xd8" + b"\xff\xd8" * 500_000, "image/jpeg", id="starts within starts"),
        pytest.param(b"GIF89a" + bytes(7) + b"!\xfe" + b"\x01a" * 500_000 + b"\0;", "image/gif", id="blocks of one byte"),
        pytest.param(PRIVATE["a PNG's EXIF"][:33] + chunk(b"tEXt", b"a\0b") * 100_000, "image/png", id="texts of one byte"),
        pytest.param(png_with(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000)))), "image/png", id="a bomb of text"),
    ],
)
def test_it_takes_time_by_the_length_of_the_file_alone(body, kind):
    with suppress(RefusedImage):
        clean(body, kind)


BODIES = PRIVATE | {f"harmless: {name}": body for name, body in HARMLESS.items()}


@pytest.mark.fault(15)
@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(BODIES)), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8), st.floats(0, 1))
@example("a JPEG's EXIF", [], 0.0)
def test_damage_is_cleaned_or_refused_and_never_another_error(name, flips, kept):
    damaged = bytearray(BODIES[name])
    for place, value in flips:
        # Half of them into the first 400 bytes, where the metadata is.
        damaged[int(place * (len(damaged) - 1) if value % 2 else place * min(400, len(damaged) - 1))] = value
    damaged = bytes(damaged[: int(len(damaged) * (1 if kept > 0.3 else kept))])
    try:
        cleaned, had_private = clean(damaged, mime_type(BODIES[name]))
    except RefusedImage:
        return
    assert had_private == (cleaned != damaged)
    assert clean(cleaned, mime_type(BODIES[name])) == (cleaned, False)
    with suppress(RefusedImage), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        facts = inspect(damaged)
        assert inspect(cleaned) == facts


@pytest.mark.fault(15)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(("JPEG", "PNG", "WEBP")),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from((None, *range(1, 9))),
    st.booleans(),
    st.booleans(),
    st.sampled_from("<>"),
)
def test_any_image_keeps_its_pixels_and_how_it_is_turned(kind, size, orientation, has_private, has_xmp, endian):
    options = {"xmp": PRIVATE_XMP} if has_xmp and kind != "PNG" else {}
    body = encode(picture(size), kind, exif=exif(private=has_private, orientation=orientation, endian=endian), **options)
    cleaned, had_private = clean(body, f"image/{kind.lower()}")
    assert had_private == (has_private or bool(options))
    assert frames(cleaned) == frames(body)
    assert clean(body, f"image/{kind.lower()}") == (cleaned, had_private)
