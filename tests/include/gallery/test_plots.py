from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

from include.gallery import plots
from include.gallery.figures import Totals


def values(spec):
    return spec["data"]["values"]


def test_days_are_bars_by_tag():
    spec = plots.by_day(Totals(days=Counter({(date(2026, 11, 1), "user"): 2, (None, None): 1})))
    assert values(spec) == [{"day": "2026-11-01", "tag": "user", "images": 2}, {"day": "no day", "tag": "no tag", "images": 1}]


def test_many_days_are_shown_as_months():
    days = Counter({(date(2026, 1, 1) + timedelta(days=number), "user"): 1 for number in range(120)})
    assert values(plots.by_day(Totals(days=days))) == [
        {"day": "2026-01", "tag": "user", "images": 31},
        {"day": "2026-02", "tag": "user", "images": 28},
        {"day": "2026-03", "tag": "user", "images": 31},
        {"day": "2026-04", "tag": "user", "images": 30},
    ]


def test_sizes_have_no_gaps():
    found = values(plots.sizes(Totals(sizes=Counter({9: 1, 11: 2, None: 5, 20: 1}))))
    assert [(row["from"], row["images"]) for row in found[:4]] == [("512 bytes", 1), ("1 KiB", 0), ("2 KiB", 2), ("4 KiB", 0)]
    assert found[-1]["from"] == "1 MiB"
    assert values(plots.sizes(Totals())) == []


def test_at_most_twenty_values_are_shown():
    found = values(plots.counted("Format", Counter({f"x{number}": number for number in range(30)} | {None: 99})))
    assert len(found) == 20
    assert found[0] == {"value": "none", "images": 99}
