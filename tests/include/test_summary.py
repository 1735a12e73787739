from __future__ import annotations

from datetime import date

import pytest

from include.summary import merge, statement
from lakehouse.exceptions import VerificationError

MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)


class Trino:
    """As much of Trino as the merge sees: days differ until a MERGE names them."""

    def __init__(self, differing: set[date], *, heals: bool = True) -> None:
        self.differing, self.heals, self.merges, self._rows = differing, heals, [], []

    def execute(self, text: str) -> None:
        if "MERGE INTO" in text:
            self.merges.append(text)
            if self.heals:
                self.differing = {day for day in self.differing if f"DATE '{day}'" not in text}
            self._rows = []
        elif "IS DISTINCT FROM" in text:
            self._rows = [[day] for day in sorted(self.differing)]
        else:
            self._rows = [[42]]

    def fetchall(self) -> list:
        return self._rows

    def fetchone(self) -> list:
        return self._rows[0]


def test_days_that_differ_and_days_that_were_asked_for_are_merged_in_one_statement():
    trino = Trino({TUESDAY})
    assert merge(trino, [MONDAY]) == {"days": ["2026-11-16", "2026-11-17"], "rows": 42}
    assert len(trino.merges) == 1


def test_nothing_to_do_is_no_merge():
    trino = Trino(set())
    assert merge(trino, []) == {"days": [], "rows": 0}
    assert trino.merges == []


def test_days_that_still_differ_afterwards_are_an_error_that_names_them():
    with pytest.raises(VerificationError, match="2026-11-17"):
        merge(Trino({TUESDAY}, heals=False), [])


def test_the_statement_reads_from_the_first_day_to_the_last_and_leaves_no_placeholder():
    text = statement([MONDAY, TUESDAY])
    assert "VALUES (DATE '2026-11-16'), (DATE '2026-11-17')" in text
    assert "CAST(DATE '2026-11-16' AS" in text
    assert "CAST(DATE '2026-11-17' AS" in text
    assert ":" not in "".join(line for line in text.splitlines() if not line.startswith("--"))
