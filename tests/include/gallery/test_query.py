from __future__ import annotations

from datetime import date

import pytest

from include.gallery import settings
from include.gallery.lake import open_table
from include.gallery.query import Filters
from lakehouse.exceptions import ConfigurationError
from tests.include.gallery.local_lake import row


@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        (Filters(), lambda _: True),
        (Filters(tag=("user", "product")), lambda row: row["tag"] in ("user", "product")),
        (Filters(first=date(2026, 11, 3)), lambda row: row["upload_time"].date() >= date(2026, 11, 3)),
        (Filters(last=date(2026, 11, 3)), lambda row: row["upload_time"].date() <= date(2026, 11, 3)),
        (Filters(min_bytes=5000, max_bytes=9000), lambda row: 5000 <= row["file_size"] <= 9000),
        (Filters(min_width=650, max_width=655, min_height=480, max_height=480), lambda row: 650 <= row["width"] <= 655),
        (Filters(min_height=481), lambda _: False),
        (Filters(licence="cc0"), lambda row: row["licence"] == "CC0-1.0"),
        (Filters(source="SAMPLE-2", tag=("user",)), lambda row: "Sample-2" in row["source"] and row["tag"] == "user"),
        (Filters(checksum=row(9)["source_checksum"][:20]), lambda entry: entry["image_id"] == row(9)["image_id"]),
        (Filters(image_id="%"), lambda _: False),
    ],
)
def test_filters_match_what_they_say(sixty, filters, matches, monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_GALLERY", str(sixty.settings))
    shown = open_table(settings.load())
    found = filters.select(shown.table, shown.snapshot_id).page(sort_by="upload_time", limit=100, fields=["image_id"])
    assert [entry["image_id"] for entry in found] == [row(number)["image_id"] for number in range(60) if matches(row(number))]


def test_filters_come_back_from_plain_data():
    filters = Filters(tag=("user",), first=date(2026, 11, 1), last=date(2026, 11, 2), max_bytes=5, source="x")
    assert Filters.of(filters.chosen()) == filters
    with pytest.raises(ConfigurationError, match="no filters of the gallery"):
        Filters.of({"colour": "red"})


def test_what_is_chosen_is_plain_data():
    assert Filters(tag=("user",), first=date(2026, 11, 1), min_bytes=0).chosen() == {"tag": ["user"], "first": "2026-11-01", "min_bytes": 0}
