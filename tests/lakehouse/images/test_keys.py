from __future__ import annotations

from datetime import date

import pytest

from lakehouse.images.keys import Layout, day_of

LAYOUT = Layout()
ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("key", "image_id"),
    [
        pytest.param(f"raw/images/2026-11-22/{ID}.webp", ID, id="an image"),
        pytest.param(f"raw/thumbnails/2026-11-22/{ID}.jpg", ID, id="a thumbnail"),
        pytest.param(f"raw/thumbnails/2026-11-22/{ID}.png", None, id="a thumbnail is always a JPEG"),
        pytest.param(f"raw/images/2026-11-22/{ID}.svg", None, id="no format of ours"),
        pytest.param(f"raw/images/2026-11-22/{ID}.jpg\n", None, id="a line break at the end"),
        pytest.param(f"raw/images/2026-11-22/{ID.upper()}.jpg", None, id="large letters"),
        pytest.param(f"raw/images/2026-11-22/x/{ID}.jpg", None, id="a folder too deep"),
        pytest.param(f"raw/images/{ID}.jpg", None, id="no day"),
        pytest.param(f"raw/images/20261122/{ID}.jpg", None, id="a day written otherwise"),
        pytest.param(f"raw/images/2026-02-30/{ID}.jpg", None, id="a day that never was"),
        pytest.param(f"elsewhere/2026-11-22/{ID}.jpg", None, id="another prefix"),
    ],
)
def test_a_key_is_ours_by_its_whole_name(key: str, image_id: str | None) -> None:
    assert LAYOUT.image_id(key) == image_id


def test_a_thumbnail_and_its_image_find_each_other() -> None:
    image = f"raw/images/2026-11-22/{ID}.webp"
    thumbnail = LAYOUT.thumbnail_of(image)
    assert thumbnail == f"raw/thumbnails/2026-11-22/{ID}.jpg"
    assert image in LAYOUT.images_of(thumbnail)
    assert LAYOUT.images_of(image) == [image]


def test_a_folder_is_a_day_only_in_the_one_way_of_writing_it() -> None:
    assert day_of("2026-11-22") == date(2026, 11, 22)
    assert day_of("20261122") is day_of("2026-W47-7") is day_of("") is None
