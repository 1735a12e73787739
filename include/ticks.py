"""Which days of ticks are to be written, and whether what was written is there."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from include.spark.option_ticks import RECIPES_PROPERTY, recipe
from lakehouse.contracts import load
from lakehouse.exceptions import VerificationError
from lakehouse.iceberg.table import rows_by_day

if TYPE_CHECKING:
    from pyiceberg.table import Table

PARTITION_FIELD = "timestamp_day"


def columns(contract: Path) -> tuple[str, ...]:
    """The contract's columns, which the job selects by name."""
    return load(contract).column_names


def wanted_days(last: date, days: int, rows: int, earlier_rows: int) -> dict[date, int]:
    """Rows of each day: `rows` for the last one, `earlier_rows` for the `days - 1` before it."""
    return {last - timedelta(days=back): rows if back == 0 else earlier_rows for back in range(days)}


def days_to_write(table: Table, wanted: dict[date, int], seed: int) -> dict[date, int]:
    """The wanted days that are not there yet with this seed and number of rows."""
    there = rows_by_day(table, PARTITION_FIELD)
    recipes: dict[str, str] = {}
    for snapshot in sorted(table.metadata.snapshots, key=lambda snapshot: snapshot.sequence_number or 0):
        summary = snapshot.summary.additional_properties if snapshot.summary else {}
        recipes |= json.loads(summary.get(RECIPES_PROPERTY, "{}"))
    return {
        day: rows for day, rows in sorted(wanted.items()) if there.get(day, 0) != rows or recipes.get(day.isoformat()) != recipe(rows, seed)
    }


def verify_days(table: Table, wanted: dict[date, int]) -> int:
    """The rows of the wanted days, counted from the manifests.

    Raises:
        VerificationError: a day has another number of rows than wanted.
    """
    there = rows_by_day(table, PARTITION_FIELD)
    wrong = {day.isoformat(): there.get(day, 0) for day, rows in wanted.items() if there.get(day, 0) != rows}
    if wrong:
        raise VerificationError(f"{'.'.join(table.name())}: days with another number of rows than wanted: {wrong}")
    return sum(there[day] for day in wanted)
