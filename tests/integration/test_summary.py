"""The daily summary follows its ticks, also where somebody changed them by hand in Trino."""

from __future__ import annotations

from typing import Any

import pytest

from include.summary import merge
from lakehouse_provider.hooks.trino import trino_cursor

pytestmark = pytest.mark.integration
DAY = "2026-01-05"
TICKS, SUMMARY = "option_ticks_db.bronze_option_ticks", "option_ticks_db.daily_option_summary"


def run(statement: str) -> list[list[Any]]:
    cursor = trino_cursor()
    cursor.execute(statement)
    return [list(row) for row in cursor.fetchall()]


def tick(second: int, price: float, volume: int) -> str:
    moment = f"TIMESTAMP '{DAY} 15:00:{second:02d}.000000 UTC'"
    return f"({moment}, 'T-SUMMARY', 1e0, 1, 2e0, 1, {price!r}E0, {volume}, {moment})"


def test_the_summary_follows_what_is_inserted_deleted_and_emptied(pipeline: dict[str, Any], connections: dict[str, Any]) -> None:
    columns = '"timestamp", symbol, bid_price, bid_size, ask_price, ask_size, last_price, volume, ingest_time'
    of_day = f"SELECT open, high, low, close, average_price, total_volume, tick_count FROM {SUMMARY} WHERE date = DATE '{DAY}'"
    try:
        run(f"INSERT INTO {TICKS} ({columns}) VALUES {tick(1, 5.0, 10)}, {tick(2, 9.0, 20)}, {tick(3, 4.0, 30)}, {tick(4, 6.0, 40)}")
        assert DAY in merge(trino_cursor(), [])["days"]
        assert run(of_day) == [[5.0, 9.0, 4.0, 6.0, 6.0, 100, 4]]
        assert DAY not in merge(trino_cursor(), [])["days"], "nothing changed, nothing is touched"
        run(f"DELETE FROM {TICKS} WHERE symbol = 'T-SUMMARY' AND last_price = 9e0")
        assert DAY in merge(trino_cursor(), [])["days"]
        assert run(of_day) == [[5.0, 6.0, 4.0, 6.0, 5.0, 80, 3]]
    finally:
        run(f"DELETE FROM {TICKS} WHERE symbol = 'T-SUMMARY'")
    assert DAY in merge(trino_cursor(), [])["days"]
    assert run(of_day) == []
    assert DAY not in merge(trino_cursor(), [])["days"]
