"""Brings `daily_option_summary` up to its ticks, day by day."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.exceptions import VerificationError
from lakehouse.iceberg.history import facts_of

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

TABLE = "option_ticks_db.daily_option_summary"
_ROUNDS = 3
SQL = Path(__file__).resolve().parent / "sql"


def merge(cursor: Any, extra_days: list[date]) -> dict[str, Any]:
    """Merge the days whose ticks and summary differ, and `extra_days`; returns the days and their rows in the summary.

    Args:
        cursor: a Trino cursor on the catalog.

    Raises:
        VerificationError: days still differ after the merge.
    """
    days: set[date] = set()
    left = sorted({*_touched(cursor), *extra_days})
    for _ in range(_ROUNDS):
        if not left:
            break
        cursor.execute(statement(left))
        cursor.fetchall()
        days |= set(left)
        # Ticks may have come while the merge ran: those days are merged again.
        left = _touched(cursor)
    if left:
        raise VerificationError(f"daily_option_summary still differs from its ticks on {[day.isoformat() for day in left]}")
    return {"days": [day.isoformat() for day in sorted(days)], "rows": _rows(cursor, sorted(days))}


def facts(catalog: Catalog, merged: dict[str, Any]) -> dict[str, Any]:
    """What the asset's event says: the days and rows of a merge, and the files and bytes of the table's newest snapshot if it wrote any."""
    table = catalog.load_table(TABLE)
    return facts_of(table, [head.snapshot_id] if merged["days"] and (head := table.current_snapshot()) else []) | merged


def missing_days(cursor: Any, until: date, days: int) -> list[date]:
    """Days without a tick between the first day of ticks and `until`, looking back at most `days`.

    Args:
        cursor: a Trino cursor on the catalog.
    """
    text = (SQL / "missing_days.sql").read_text()
    cursor.execute(text.replace(":until", _date(until)).replace(":days", str(int(days))))
    return [row[0] for row in cursor.fetchall()]


def statement(days: list[date]) -> str:
    """The MERGE for these days; nothing but dates enters it."""
    text = (SQL / "merge_daily_summary.sql").read_text()
    listed = ", ".join(f"({_date(day)})" for day in days)
    return text.replace(":days", listed).replace(":first_day", _date(days[0])).replace(":last_day", _date(days[-1]))


def _touched(cursor: Any) -> list[date]:
    cursor.execute((SQL / "touched_days.sql").read_text())
    return [row[0] for row in cursor.fetchall()]


def _rows(cursor: Any, days: list[date]) -> int:
    if not days:
        return 0
    listed = ", ".join(map(_date, days))
    cursor.execute(f"SELECT count(*) FROM option_ticks_db.daily_option_summary WHERE date IN ({listed})")  # noqa: S608  # dates alone
    return int(cursor.fetchone()[0])


def _date(day: date) -> str:
    return f"DATE '{day:%Y-%m-%d}'"
