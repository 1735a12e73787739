"""Days of ticks: which are to be written and by which engine, the Arrow way of writing them, and whether they are there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.spark.option_ticks import RECIPES_PROPERTY, batches, recipe, recipes, work_of
from lakehouse.contracts import load
from lakehouse.exceptions import VerificationError
from lakehouse.iceberg.branches import drop_branch, start_branch
from lakehouse.iceberg.history import ancestors, facts_of, summary_of, touched_days
from lakehouse.iceberg.overwrite import overwrite_days
from lakehouse.iceberg.table import rows_by_day

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

PARTITION_FIELD = "timestamp_day"
# Up to this many rows Arrow takes some twenty seconds in one process, and Spark on the same machine three times as long; see
# docs/performance.md. Above it the work is for as many machines as the Spark connection has.
ARROW_ROWS = 10_000_000


@dataclass(frozen=True)
class Plan:
    """What a run writes: rows by day, the branch they go to, and the engine that writes them (None: everything is there)."""

    wanted: dict[date, int]
    missing: dict[date, int]
    branch: str
    engine: str | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, days as the Spark job takes them: `YYYY-MM-DD=rows`, separated by commas."""
        return {"wanted": as_text(self.wanted), "days": as_text(self.missing), "branch": self.branch, "engine": self.engine}


def plan(catalog: Catalog, table_name: str, dag_id: str, wanted: dict[date, int], seed: int, engine: str = "auto") -> Plan:
    """The wanted days that main does not have yet with this seed and number of rows, the engine for them, and their branch."""
    missing = days_to_write(catalog.load_table(table_name), wanted, seed)
    span = "_".join(dict.fromkeys((f"{min(wanted)}", f"{max(wanted)}")))
    if engine == "auto":
        engine = "arrow" if sum(missing.values()) <= ARROW_ROWS else "spark"
    branch = f"audit_{dag_id}_{span}"
    if missing and engine == "spark":
        # Spark can start a branch anew, but not on a table without a snapshot; the Arrow way starts its own.
        start_branch(catalog, table_name, branch)
    return Plan(wanted, missing, branch, engine if missing else None)


def as_text(days: dict[date, int]) -> str:
    """Days and their rows as one text."""
    return ",".join(f"{day.isoformat()}={rows}" for day, rows in days.items())


def from_text(text: str) -> dict[date, int]:
    """Days and their rows from `as_text`."""
    return {date.fromisoformat(day): int(rows) for day, _, rows in (pair.partition("=") for pair in text.split(",") if pair)}


def columns(contract: Path) -> tuple[str, ...]:
    """The contract's columns, which the job selects by name."""
    return load(contract).column_names


def wanted_days(last: date, days: int, rows: int, earlier_rows: int) -> dict[date, int]:
    """Rows of each day: `rows` for the last one, `earlier_rows` for the `days - 1` before it."""
    return {last - timedelta(days=back): rows if back == 0 else earlier_rows for back in range(days)}


def days_to_write(table: Table, wanted: dict[date, int], seed: int) -> dict[date, int]:
    """The wanted days that are not there yet with this seed and number of rows."""
    there = rows_by_day(table, PARTITION_FIELD)
    written: dict[str, str] = {}
    for snapshot in reversed(list(ancestors(table))):
        # A snapshot that was taken over from a branch has its recipes on the one that it came from.
        source = table.snapshot_by_id(int(summary_of(snapshot).get("source-snapshot-id", 0))) or snapshot
        written |= json.loads(summary_of(source).get(RECIPES_PROPERTY, "{}"))
    return {
        day: rows for day, rows in sorted(wanted.items()) if there.get(day, 0) != rows or written.get(day.isoformat()) != recipe(rows, seed)
    }


def write_with_arrow(catalog: Catalog, contract_file: Path, days: dict[date, int], seed: int, branch: str) -> int:
    """Write the days to a branch without Spark, with the very rows that Spark would write; returns the number of rows."""
    contract = load(contract_file)
    table = start_branch(catalog, contract.table, branch)
    pieces = (batch.select(list(contract.column_names)) for batch in batches(work_of(days), seed))
    made = overwrite_days(catalog, table, set(days), pieces, branch=branch, summary=recipes(days, seed))
    return int(summary_of(made)["added-records"])


def verify(catalog: Catalog, table_name: str, wanted: dict[date, int], written: dict[date, int], branch: str) -> dict[str, Any]:
    """Read the wanted days back from main's manifests, drop the branch, and return what the asset's event says.

    Raises:
        VerificationError: a day has another number of rows than wanted.
    """
    table = catalog.load_table(table_name)
    there = rows_by_day(table, PARTITION_FIELD)
    wrong = {day.isoformat(): there.get(day, 0) for day, rows in wanted.items() if there.get(day, 0) != rows}
    if wrong:
        raise VerificationError(f"{table_name}: days with another number of rows than wanted: {wrong}")
    if written:  # Else the branch is another run's, or kept from a failed audit.
        drop_branch(catalog, table_name, branch)
    written_by = next((snapshot for snapshot in ancestors(table) if touched_days(table, snapshot) & written.keys()), None)
    facts = facts_of(table, [written_by.snapshot_id] if written_by and written else [])
    return facts | {"rows_there": sum(there[day] for day in wanted)}
