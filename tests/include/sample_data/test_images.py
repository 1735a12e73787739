from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from include.sample_data.images import SampleImage, broken, files
from lakehouse.contracts import load
from lakehouse.images.inspect import ImageFacts, RefusedImage, inspect
from lakehouse.images.lookalikes import MAX_BITS
from lakehouse.images.private import clean

CONTRACT = load(Path(__file__).resolve().parents[3] / "include" / "contracts" / "image_metadata.odcs.yaml")


@pytest.fixture(scope="module")
def made() -> dict[str, SampleImage]:
    """The files by their names."""
    return {image.name: image for image in files()}


@pytest.fixture(scope="module")
def looked_at(made: dict[str, SampleImage]) -> tuple[dict[str, ImageFacts], dict[str, str]]:
    """Facts of the whole ones, and the reasons of those that are refused."""
    whole, refused = {}, {}
    for name, image in made.items():
        try:
            whole[name] = inspect(image.body)
        except RefusedImage as error:
            refused[name] = error.reason
    return whole, refused


@pytest.mark.fault(15)
def test_four_are_refused_each_for_its_own_reason_and_they_are_few_enough(made, looked_at):
    assert looked_at[1] == {"cut-off.jpg": "broken", "not-found.jpg": "not_an_image", "bomb.png": "too_many_pixels", "empty.png": "empty"}
    assert set(looked_at[1]) == {name for name, *_ in broken()}
    assert len(made["bomb.png"].body) < 500
    assert Image.open(io.BytesIO(made["heights-16-bit.png"].body)).size == (400, 400)
    assert CONTRACT.refused_threshold > 4 / len(made)


def test_at_least_forty_are_whole_and_all_of_them_are_different(made, looked_at):
    assert len(looked_at[0]) >= 40
    assert len({image.body for image in made.values()}) == len(made) == len(list(files()))


def test_they_vary_in_format_size_tag_and_source(made, looked_at):
    formats = Counter(facts.mime_type for facts in looked_at[0].values())
    assert set(formats) == {"image/jpeg", "image/png", "image/webp", "image/gif"}
    assert min(formats.values()) >= 5
    assert len({(facts.width, facts.height) for facts in looked_at[0].values()}) >= 15
    tags = Counter(made[name].tag for name in looked_at[0])
    assert set(tags) == {"product", "user", "analytics"}
    assert min(tags.values()) >= 8
    assert {image.source_system for image in made.values()} == {"manual", "batch", "api"}
    assert {image.licence for image in made.values()} == {"CC0-1.0"}


@pytest.mark.fault(15)
def test_one_of_each_that_is_hard_to_take_is_among_them(made, looked_at):
    assert (looked_at[0]["turned.jpg"].width, looked_at[0]["turned.jpg"].height) == (420, 640)
    assert Image.open(io.BytesIO(made["turned.jpg"].body)).size == (640, 420)
    assert Image.open(io.BytesIO(made["for-print.jpg"].body)).mode == "CMYK"
    assert Image.open(io.BytesIO(made["heights-16-bit.png"].body)).mode == "I;16"
    assert looked_at[0]["candles-growing.gif"].frames == 12
    assert Image.open(io.BytesIO(made["with-place.jpg"].body)).getexif().get_ifd(ExifTags.IFD.GPSInfo)
    private = [name for name, facts in looked_at[0].items() if clean(made[name].body, facts.mime_type)[1]]
    assert private == ["with-place.jpg"]


def test_the_first_chart_is_there_recompressed_and_smaller(looked_at):
    first, *others = (
        int(looked_at[0][name].perceptual_hash, 16) for name in ("candles-es.png", "candles-es-recompressed.jpg", "candles-es-small.webp")
    )
    assert all((first ^ other).bit_count() <= MAX_BITS for other in others)


@pytest.mark.fault(11)
def test_the_files_are_the_same_each_time(made):
    assert list(files()) == list(made.values())
