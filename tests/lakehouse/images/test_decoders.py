from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from PIL import Image

from lakehouse.exceptions import ConfigurationError
from lakehouse.images import decoders
from lakehouse.images.decoders import Decoders, Looked
from lakehouse.images.inspect import Limits, RefusedImage, inspect
from lakehouse.images.rules import ImageRules

RULES = ImageRules()
T = TypeVar("T")


def run(rules: ImageRules, use: Callable[[Decoders], Awaitable[T]]) -> T:
    async def main() -> T:
        async with Decoders(rules, 1) as decoders:
            return await use(decoders)

    return asyncio.run(main())


def limited(**limits) -> ImageRules:
    return replace(RULES, limits=Limits(**limits))


def picture(path: Path, kind: str = "JPEG", size: tuple[int, int] = (64, 48), **options) -> Path:
    Image.linear_gradient("L").resize(size).convert("RGB").save(path, kind, **options)
    return path


def noise(path: Path, side: int) -> Path:
    grey = Image.frombytes("L", (side, side), os.urandom(side * side))
    grey.save(path, "PNG", compress_level=0)
    return path


def with_gps(path: Path) -> Path:
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (37.0, 33.0, 12.0)})
    return picture(path, exif=exif)


def decoder() -> psutil.Process:
    (child,) = (child for child in psutil.Process().children() if "lakehouse.images.decoder" in " ".join(child.cmdline()))
    return child


def test_the_facts_are_those_of_inspect_and_the_thumbnail_lies_beside_the_file(tmp_path):
    path = picture(tmp_path / "0", size=(800, 600))
    facts = inspect(path.read_bytes())
    looked = run(RULES, lambda decoders: decoders.look(path))
    assert (looked.mime_type, looked.width, looked.height, looked.frames, looked.perceptual_hash, looked.private_metadata) == (
        *(facts.mime_type, facts.width, facts.height, facts.frames, facts.perceptual_hash),
        "none",
    )
    assert looked.thumbnail.read_bytes() == facts.thumbnail


@pytest.mark.fault(15)
@pytest.mark.parametrize(("drop", "word", "kept"), [(True, "dropped", False), (False, "kept", True)])
def test_a_place_in_the_metadata_is_dropped_or_kept_by_policy_and_that_is_told(tmp_path, drop, word, kept):
    path = with_gps(tmp_path / "0")
    before = path.read_bytes()
    looked = run(replace(RULES, drop_private=drop), lambda decoders: decoders.look(path))
    assert looked.private_metadata == word
    with Image.open(path) as image:
        assert bool(image.getexif().get_ifd(0x8825)) is kept
    assert (path.read_bytes() == before) is kept


@pytest.mark.fault(15)
def test_a_file_that_is_refused_stays_as_it_was(tmp_path):
    path = tmp_path / "0"
    path.write_bytes(b"<html>")
    with pytest.raises(RefusedImage) as caught:
        run(RULES, lambda decoders: decoders.look(path))
    assert (caught.value.reason, path.read_bytes()) == ("not_an_image", b"<html>")


def test_a_format_that_the_rules_leave_out_is_not_an_image(tmp_path):
    with pytest.raises(RefusedImage) as caught:
        run(replace(RULES, formats=frozenset({"image/png"})), lambda decoders: decoders.look(picture(tmp_path / "0")))
    assert caught.value.reason == "not_an_image"


async def both(decoders: Decoders, bad: Path, good: Path) -> tuple[str, Looked]:
    with pytest.raises(RefusedImage) as caught:
        await decoders.look(bad)
    return caught.value.reason, await decoders.look(good)


@pytest.mark.fault(15)
def test_an_image_that_takes_too_much_memory_is_refused_and_the_next_one_is_looked_at(tmp_path):
    bad, good = noise(tmp_path / "0", 6_000), picture(tmp_path / "1")
    reason, looked = run(limited(memory_bytes=80_000_000), lambda decoders: both(decoders, bad, good))
    assert (reason, looked.width) == ("too_much_memory", 64)


SLOW = """
import time
from lakehouse.images import decoder
look = decoder.look
decoder.look = lambda path, *rest, **more: time.sleep(60) if path.name == "0" else look(path, *rest, **more)
decoder.main()
"""


@pytest.mark.fault(15)
def test_an_image_that_takes_too_long_is_refused_and_its_decoder_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(decoders, "_START", decoders._START.partition("from ")[0] + SLOW)
    bad, good = picture(tmp_path / "0"), picture(tmp_path / "1")
    reason, looked = run(limited(seconds=2), lambda opened: both(opened, bad, good))
    assert (reason, looked.width) == ("too_slow", 64)


def test_a_decoder_that_is_killed_for_another_reason_says_nothing_about_the_image(tmp_path):
    path = picture(tmp_path / "0")

    async def use(decoders: Decoders) -> Looked:
        await decoders.look(path)
        child = decoder()
        os.kill(child.pid, signal.SIGSTOP)
        waiting = asyncio.create_task(decoders.look(path))
        await asyncio.sleep(0)
        os.kill(child.pid, signal.SIGKILL)
        return await waiting

    assert run(RULES, use).width == 64


@pytest.mark.fault(15)
def test_an_image_whose_decoder_dies_twice_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("lakehouse.images.decoders._START", "import sys; print(1, flush=True); sys.stdin.readline(); sys.exit(3)")
    with pytest.raises(RefusedImage, match="its decoder ended with 3, twice") as caught:
        run(RULES, lambda decoders: decoders.look(picture(tmp_path / "0")))
    assert caught.value.reason == "decoder_died"


@pytest.mark.fault(23)
def test_a_decoder_has_none_of_our_environment_and_ends_with_us(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE_S3", "planted-secret")

    async def use(decoders: Decoders) -> psutil.Process:
        await decoders.look(picture(tmp_path / "0"))
        child = decoder()
        assert "AIRFLOW_CONN_LAKEHOUSE_S3" not in child.environ()
        assert "planted-secret" not in Path(f"/proc/{child.pid}/environ").read_text()
        return child

    assert not run(RULES, use).is_running()


def test_a_decoder_that_does_not_start_says_nothing_about_the_image(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ConfigurationError, match="the decoding process does not start, it ended with 1"):
        run(RULES, lambda decoders: decoders.look(picture(tmp_path / "0")))
