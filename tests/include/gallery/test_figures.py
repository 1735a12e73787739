from __future__ import annotations

from collections import Counter
from datetime import date

from include.gallery import figures, settings
from include.gallery.lake import open_table
from include.gallery.query import Filters
from tests.include.gallery.local_lake import row


def test_totals_are_those_of_the_rows(lake):
    rows = [row(number) for number in range(30)] + [row(30, tag=None, file_size=None, mime_type=None, source_system=None)]
    lake.add(*rows)
    shown = open_table(settings.load())
    found = figures.totals(Filters().select(shown.table, shown.snapshot_id))
    assert (found.images, found.bytes) == (31, sum(entry["file_size"] or 0 for entry in rows))
    assert found.days == Counter((entry["upload_time"].date(), entry["tag"]) for entry in rows)
    assert found.tags == Counter(entry["tag"] for entry in rows)
    assert found.formats == Counter(entry["mime_type"] for entry in rows)
    assert found.systems == Counter(entry["source_system"] for entry in rows)
    assert found.sizes == Counter(entry["file_size"].bit_length() - 1 if entry["file_size"] else None for entry in rows)
    assert found.average_bytes == found.bytes / 31
    assert (date(2026, 11, 1), "user") in found.days
    assert figures.Totals().average_bytes == 0


def test_totals_are_remembered_by_file_and_stay_right(lake):
    lake.add(*(row(number) for number in range(10)))
    remembered = figures.Remembered()

    def images() -> int:
        shown = open_table(settings.load())
        return figures.totals(Filters().select(shown.table, shown.snapshot_id), remembered).images

    assert images() == 10
    files = len(remembered)
    lake.add(row(10))
    assert images() == 11
    assert len(remembered) == files + 1
    assert images() == 11


def test_what_is_remembered_is_bounded():
    remembered = figures.Remembered(at_most=3)
    for number in range(10):
        remembered[str(number)] = figures.Totals()
        assert len(remembered) <= 3
    assert "9" in remembered


def test_a_sample_is_fair_bounded_and_the_same_each_time(lake):
    lake.add(*(row(number) for number in range(400)), row(400, width=None))
    shown = open_table(settings.load())
    selection = Filters().select(shown.table, shown.snapshot_id)
    part = figures.sample(selection, 401, wanted=100)
    assert part == figures.sample(selection, 401, wanted=100)
    assert 60 <= len(part) <= 140
    assert set(part[0]) == {"width", "height", "mime_type", "tag"}
    assert len(figures.sample(selection, 401)) == 400
    assert len(figures.sample(selection, 401, wanted=201)) <= 402
