from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.exceptions import ConfigurationError
from lakehouse.images.inspect import Limits
from lakehouse.images.rules import ImageRules, load
from stack.installation import REPO


def rules(tmp_path: Path, text: str) -> ImageRules:
    path = tmp_path / "images.yaml"
    path.write_text(text)
    return load(path)


def test_the_rules_of_this_lakehouse_take_four_formats_drop_places_and_fetch_nothing():
    found = load(REPO / "include" / "images.yaml")
    assert (found.formats, found.drop_private, found.http.hosts) == (ImageRules().formats, True, ())
    assert found.limits == Limits()


def test_what_a_file_leaves_out_has_its_default(tmp_path):
    assert rules(tmp_path, "") == ImageRules()


def test_a_url_may_bring_no_more_than_a_file(tmp_path):
    found = rules(tmp_path, "limits: {max_bytes: 1_000}\nhttp: {hosts: [images.example.org], per_host: 2}")
    assert (found.http.max_bytes, found.http.hosts, found.http.per_host) == (1_000, ("images.example.org",), 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("limit: {}", r"images\.yaml: unknown limit; write formats, http, limits, private_metadata"),
        ("limits: {max_byte: 1}", r"images\.yaml: limits: unknown max_byte; write .*max_bytes"),
        ("limits: {max_pixels: 5e7}", r"images\.yaml: limits: max_pixels is '5e7': write a number above 0"),
        ("limits: [1]", r"images\.yaml: write a mapping, and mappings under limits and http"),
        ("http: {hosts: example.org}", r"hosts is 'example.org': write a list of texts"),
        ("private_metadata: hide", r"private_metadata is 'hide': write drop or keep"),
        ("formats: [image/tiff]", r"formats image/tiff are not known; write image/gif, image/jpeg"),
        ("http: {hosts: ['https://example.org/']}", r"hosts: 'https://example\.org/'"),
    ],
)
def test_what_is_not_known_is_refused_with_what_to_write(tmp_path, text, words):
    with pytest.raises(ConfigurationError, match=words):
        rules(tmp_path, text)
