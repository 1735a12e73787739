from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from pyiceberg.catalog.sql import SqlCatalog

from include.summary import TABLE, facts, merge, missing_days, statement
from lakehouse.contracts import load
from lakehouse.exceptions import VerificationError
from lakehouse.iceberg.schema import to_table_types
from lakehouse.iceberg.table import ensure_table

CONTRACT = Path(__file__).resolve().parents[2] / "include" / "contracts" / "daily_option_summary.odcs.yaml"
MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)
FRIDAY = date(2026, 11, 20)


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


# Days that are missing: the very statement runs in DuckDB, over what Trino would call the table's partitions.


class Duck:
    """A cursor that takes Trino's SQL and runs it in DuckDB; `sequence` of days is the one function that sqlglot leaves to us."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.asked: list[str] = []

    def execute(self, text: str) -> None:
        self.asked.append(text)
        self._connection.execute(sqlglot.transpile(text, read="trino", write="duckdb")[0].replace("GENERATE_SERIES(", "days_between("))

    def fetchall(self) -> list[tuple[Any, ...]]:
        rows = self._connection.fetchall()
        return [tuple(value.date() if isinstance(value, datetime) else value for value in row) for row in rows]


@pytest.fixture
def partitions() -> Iterator[Callable[[dict[date, int]], Duck]]:
    """A cursor on a table whose partitions have these rows by day."""
    connection = duckdb.connect()

    def of(rows: dict[date, int]) -> Duck:
        connection.execute("CREATE MACRO days_between(a, b) AS generate_series(a::timestamp, b::timestamp, INTERVAL 1 DAY)")
        connection.execute("CREATE SCHEMA option_ticks_db")
        name = 'option_ticks_db."bronze_option_ticks$partitions"'
        connection.execute(f"CREATE TABLE {name} (partition struct(timestamp_day date), record_count bigint)")
        for day, count in rows.items():
            connection.execute(f"INSERT INTO {name} VALUES ({{'timestamp_day': ?::date}}, ?)", [day, count])
        return Duck(connection)

    yield of
    connection.close()


@pytest.mark.parametrize(
    ("there", "days", "missing"),
    [
        pytest.param({0: 5, 1: 5, 2: 5, 3: 5, 4: 5}, 30, [], id="none"),
        pytest.param({0: 5, 2: 5}, 30, [1, 3, 4], id="in between and at the end"),
        pytest.param({0: 5, 2: 0, 4: 1}, 30, [1, 2, 3], id="a day whose rows were deleted"),
        pytest.param({2: 5}, 30, [3, 4], id="nothing before the first day"),
        pytest.param({-400: 5}, 3, [1, 2, 3, 4], id="no further back than asked for"),
        pytest.param({-400: 5, 2: 5}, 0, [4], id="the last day alone"),
        pytest.param({4: 5}, 30, [], id="the first day is the last"),
        pytest.param({4: 0}, 30, [], id="a first day without rows"),
        pytest.param({9: 5}, 30, [], id="the first day is yet to come"),
        pytest.param({0: 5, 9: 5}, 30, [1, 2, 3, 4], id="nothing after the last day"),
        pytest.param({}, 30, [], id="an empty table"),
    ],
)
def test_missing_days_are_those_between_the_first_day_and_the_last_one(partitions, there, days, missing):
    cursor = partitions({MONDAY + timedelta(days=day): rows for day, rows in there.items()})
    assert missing_days(cursor, FRIDAY, days) == [MONDAY + timedelta(days=day) for day in missing]


def test_the_statement_of_missing_days_has_its_day_and_number_and_leaves_no_placeholder(partitions):
    cursor = partitions({})
    missing_days(cursor, FRIDAY, 30)
    (text,) = cursor.asked
    assert "DATE '2026-11-20' - INTERVAL '30' DAY" in text
    assert ":" not in "".join(line for line in text.splitlines() if not line.startswith("--"))


@pytest.mark.fault(25)
@pytest.mark.parametrize("days", ["30' DAY); DROP TABLE t --", "x", None])
def test_only_a_number_of_days_enters_the_statement(partitions, days):
    cursor = partitions({})
    with pytest.raises((ValueError, TypeError)):
        missing_days(cursor, FRIDAY, days)
    assert cursor.asked == []


# What the asset's event says.


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    """A real catalog with the empty summary."""
    opened = SqlCatalog("unit", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    ensure_table(opened, load(CONTRACT))
    yield opened
    opened.close()


def summarise(catalog: SqlCatalog, day: date, *symbols: str) -> int:
    table = catalog.load_table(TABLE)
    table.append(to_table_types(pa.table({"date": [day] * len(symbols), "symbol": list(symbols)}), table))
    return table.current_snapshot().snapshot_id


def test_the_event_has_the_days_and_rows_of_the_merge_and_the_files_of_its_snapshot(catalog):
    summarise(catalog, MONDAY, "A", "B", "C")
    head = summarise(catalog, TUESDAY, "A", "B")
    told = facts(catalog, {"days": ["2026-11-16", "2026-11-17"], "rows": 5})
    assert (told["days"], told["rows"], told["files"], told["snapshot_id"]) == (["2026-11-16", "2026-11-17"], 5, 1, head)
    assert told["bytes"] > 100


def test_a_merge_of_no_days_tells_no_files_of_others_and_when_the_rows_last_changed(catalog):
    head = summarise(catalog, MONDAY, "A")
    changed = catalog.load_table(TABLE).current_snapshot().timestamp_ms / 1000
    nothing = {"days": [], "rows": 0, "files": 0, "bytes": 0}
    assert facts(catalog, {"days": [], "rows": 0}) == {**nothing, "snapshot_id": head, "table": TABLE, "committed_at": changed}


def test_a_merge_into_an_empty_table_that_wrote_nothing_has_no_snapshot(catalog):
    told = facts(catalog, {"days": ["2026-11-16"], "rows": 0})
    assert (told["days"], told["rows"], told["files"], told["bytes"]) == (["2026-11-16"], 0, 0, 0)
    assert (told["snapshot_id"], told["committed_at"]) == (None, None)
