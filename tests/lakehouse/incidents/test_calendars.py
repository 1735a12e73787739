from __future__ import annotations

from datetime import date

import pytest

from lakehouse.exceptions import ConfigurationError
from lakehouse.incidents.calendars import is_business_day


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 11, 25), True),
        (date(2026, 11, 26), False),  # Thanksgiving
        (date(2026, 11, 28), False),  # a Saturday
        (date(2027, 1, 1), False),
    ],
)
def test_an_exchange_is_closed_on_weekends_and_its_holidays(day: date, expected: object) -> None:
    assert is_business_day("XNYS", day) is expected


def test_an_unknown_exchange_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"calendar 'MOON' is not known: write one of .*XNYS"):
        is_business_day("MOON", date(2026, 1, 1))
