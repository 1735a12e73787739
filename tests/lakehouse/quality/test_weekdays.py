"""A day against its weekday's median."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.quality.manifests import Figures
from lakehouse.quality.weekdays import FEWEST, MOST, like_weekday

TODAY = date(2026, 11, 20)
TESTED = TODAY - timedelta(days=1)


def figures(tested: int, before: list[int], others: dict[date, int] | None = None) -> dict[str, Figures]:
    days = {TESTED: tested} | {TESTED - timedelta(weeks=week): rows for week, rows in enumerate(before, start=1)} | (others or {})
    return {day.isoformat(): Figures(rows=rows, files=1, bytes=rows * 10) for day, rows in days.items()}


COUNTS = st.integers(1, 10**6)


@given(tested=COUNTS, before=st.lists(COUNTS, min_size=FEWEST, max_size=MOST + 3), factor=st.integers(1, 1000), other=COUNTS)
def test_only_the_same_weekdays_before_it_count_and_only_their_proportions(tested: int, before: list[int], factor: int, other: int) -> None:
    measured = like_weekday(figures(tested, before), "rows", today=TODAY)
    # A table that is larger by a factor, with anything on other weekdays, today and later: the same answer.
    others = {TESTED - timedelta(days=1): other, TODAY: other, TODAY + timedelta(days=6): other}
    larger = figures(tested * factor, [rows * factor for rows in before], others)
    again = like_weekday(larger, "rows", today=TODAY)
    assert again.value == pytest.approx(measured.value, abs=0.001)
    assert measured.first_bad == again.first_bad == TESTED.isoformat()
    assert like_weekday(figures(tested, before), "bytes", today=TODAY).value == measured.value
    # The same rows as the usual day are 0 % off, whatever else there was.
    assert like_weekday(figures(5, [5] * len(before)), "rows", today=TODAY).value == 0


@given(st.lists(COUNTS, min_size=FEWEST, max_size=5), COUNTS)
def test_a_day_that_is_marked_changes_no_median(before: list[int], wild: int) -> None:
    marked = TESTED - timedelta(weeks=len(before) + 1)
    with_wild = like_weekday(figures(7, [*before, wild]), "rows", today=TODAY, left_out={marked})
    assert with_wild == like_weekday(figures(7, before), "rows", today=TODAY)


@pytest.mark.parametrize(
    ("partitions", "why"),
    [
        (None, "the manifests do not tell"),
        ({}, "no finished day yet"),
        ({"null": Figures(5), TODAY.isoformat(): Figures(5)}, "no finished day yet"),
        (figures(5, [5] * (FEWEST - 1)), "has 2 earlier ones to compare with, 3 are wanted"),
    ],
)
def test_what_cannot_be_compared_yet_is_skipped_with_its_reason(partitions: dict[str, Figures] | None, why: str) -> None:
    measured = like_weekday(partitions, "rows", today=TODAY)
    assert measured.skipped
    assert why in measured.detail
    assert measured.value is None


def test_a_weekday_that_was_always_empty_is_unlike_only_when_rows_come() -> None:
    assert like_weekday(figures(0, [0, 0, 0]), "rows", today=TODAY).value == 0
    assert like_weekday(figures(3, [0, 0, 0]), "rows", today=TODAY).value == 100
