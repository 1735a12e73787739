from __future__ import annotations

import pytest

from include.sample_data.images import files
from lakehouse.images.inspect import RefusedImage, inspect


def test_five_images_are_fine_and_the_one_that_is_cut_off_is_refused():
    whole, refused = {}, {}
    for name, body in files():
        try:
            whole[name] = inspect(body)
        except RefusedImage as error:
            refused[name] = error.reason
    assert refused == {"cut-off.jpeg": "broken"}
    assert len({facts.checksum for facts in whole.values()}) == 5
    assert {facts.mime_type for facts in whole.values()} == {"image/jpeg", "image/png", "image/webp", "image/gif"}


@pytest.mark.fault(11)
def test_the_images_are_the_same_each_time():
    assert list(files()) == list(files())
