from __future__ import annotations

from datetime import datetime, time

import pytest

from stack.airflow_api import last_daily_interval


@pytest.mark.parametrize(
    ("now", "start"),
    [
        ("2026-11-23T00:15:00Z", "2026-11-22T00:15:00Z"),
        ("2026-11-23T23:59:59Z", "2026-11-22T00:15:00Z"),
        ("2026-11-23T00:14:59Z", "2026-11-21T00:15:00Z"),
    ],
)
def test_the_last_interval_before_the_hour_of_the_schedule_is_the_day_before_yesterdays(now: str, start: str) -> None:
    assert last_daily_interval(time(0, 15), datetime.fromisoformat(now)) == datetime.fromisoformat(start)
