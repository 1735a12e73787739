from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lakehouse.exceptions import CountError
from lakehouse.images import findings
from lakehouse.images.findings import Action, Comparison, Finding, Findings, Found

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_beyond_a_bound_the_rest_of_a_kind_is_one_line_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "MAX_LISTED", 2)
    found = Findings()
    for number in range(5):
        found.add(Found(Finding.ORPHAN_OBJECT, f"raw/images/2026-11-22/{number}", detail="x" * 1_000))
    found.add(Found(Finding.MISSING_OBJECT, "raw/images/2026-11-22/a", "a"))
    rows = found.rows("media_db.image_metadata", "run", NOW)
    assert [(row["finding"], row["key"][-1], row["findings"]) for row in rows] == [
        ("missing_object", "a", 1),
        ("orphan_object", "0", 1),
        ("orphan_object", "1", 1),
        ("orphan_object", ")", 3),
    ]
    assert sum(row["findings"] for row in rows) == found.counts.total() == 6
    assert max(len(row["detail"]) for row in rows) == 500


def test_the_table_says_how_many_what_was_done_and_the_first_keys_escaped() -> None:
    found = Findings()
    for number in range(4):
        found.add(Found(Finding.FOREIGN_OBJECT, f"raw/images/|{number}\n<b>", action=Action.KEPT if number else Action.MOVED))
    lines = found.table().splitlines()
    assert lines[2:] == ["| foreign_object | 4 | moved 1, kept 3 | " + ", ".join(rf"raw/images/\|{n} \<b\>" for n in range(3)) + ", … |"]
    assert Findings().table().startswith("Nothing was found")


@pytest.mark.parametrize("name", ["objects", "thumbnails", "staging", "rows"])
def test_what_was_read_and_ended_in_no_place_is_an_error(name: str) -> None:
    compared = Comparison(snapshot_id=1, rows_total=0)
    compared.check()
    getattr(compared, name).read += 1
    with pytest.raises(CountError, match=rf"{name}: .*does not add up"):
        compared.check()
