"""Appending once, against the real catalog."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from include.assets import contract
from lakehouse.contracts import Contract, load
from lakehouse.iceberg.append import LOADED_FILES, Input, append_once
from lakehouse.iceberg.filters import equal
from lakehouse.iceberg.table import ensure_table
from stack.installation import Installation
from stack.report import query

pytestmark = pytest.mark.integration


def _rows(count: int, log_id: str) -> pa.Table:
    now = datetime.now(UTC)
    return pa.table(
        {
            "log_id": [f"{log_id}-{number}" for number in range(count)],
            "event_time": pa.array([now] * count, pa.timestamp("us", tz="UTC")),
            "ingest_time": pa.array([now] * count, pa.timestamp("us", tz="UTC")),
        }
    )


def _contract(name: str) -> Contract:
    from dataclasses import replace

    return replace(load(contract("raw_logs")), table=f"test_db.{name}")


@pytest.mark.fault(3)
@pytest.mark.fault(11)
def test_four_writers_of_the_same_inputs_leave_each_input_once(catalog: Catalog, stack: Installation, fresh_name: str) -> None:
    table = ensure_table(catalog, _contract(fresh_name))
    inputs = [Input(f"{fresh_name}{number:04d}", f"file-{number}", _rows(10, f"{fresh_name}{number}")) for number in range(8)]

    def write(offset: int) -> int:
        return sum(append_once(catalog, f"test_db.{fresh_name}", [entry]).rows for entry in inputs[offset:] + inputs[:offset])

    with ThreadPoolExecutor(4) as pool:
        acknowledged = list(pool.map(write, range(4)))
    assert sum(acknowledged) == 80
    assert query(stack, f"SELECT count(*), count(DISTINCT log_id) FROM test_db.{fresh_name}") == [[80, 80]]
    noted = catalog.load_table(LOADED_FILES).scan(equal("table_name", f"test_db.{fresh_name}")).to_arrow()
    assert sorted(noted["checksum"].to_pylist()) == sorted(entry.checksum for entry in inputs)
    assert table.properties["commit.retry.num-retries"] == "20"


@pytest.mark.fault(13)
def test_a_table_made_by_hand_with_plain_timestamps_is_adopted_and_written_in_utc(
    catalog: Catalog, stack: Installation, fresh_name: str
) -> None:
    query(stack, "CREATE SCHEMA IF NOT EXISTS test_db")
    columns = (
        "log_id VARCHAR NOT NULL, event_time TIMESTAMP(6), level VARCHAR, message VARCHAR, meta VARCHAR, ingest_time TIMESTAMP(6) NOT NULL"
    )
    query(stack, f"CREATE TABLE test_db.{fresh_name} ({columns}) WITH (partitioning = ARRAY['day(event_time)'])")
    ensure_table(catalog, _contract(fresh_name))
    moments = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ]
    stamp = pa.timestamp("us", tz="UTC")
    rows = pa.table(
        {
            "log_id": [str(number) for number in range(4)],
            "event_time": pa.array(moments, stamp),
            "ingest_time": pa.array(moments, stamp),
        }
    )
    append_once(catalog, f"test_db.{fresh_name}", [Input(fresh_name, "edges", rows)])
    found = query(stack, f"SELECT cast(event_time AS varchar) FROM test_db.{fresh_name} ORDER BY log_id")
    assert [row[0] for row in found] == [moment.strftime("%Y-%m-%d %H:%M:%S.%f").rjust(26, "0") for moment in moments]


def test_what_a_contract_cannot_reconcile_is_refused_with_the_side_to_change(
    catalog: Catalog, stack: Installation, fresh_name: str
) -> None:
    from lakehouse.exceptions import SchemaMismatchError

    query(stack, "CREATE SCHEMA IF NOT EXISTS test_db")
    query(stack, f"CREATE TABLE test_db.{fresh_name} (log_id BIGINT, extra VARCHAR)")
    with pytest.raises(SchemaMismatchError) as error:
        ensure_table(catalog, _contract(fresh_name))
    assert "column log_id is long in the table and string in the contract" in str(error.value)
    assert "column extra is in the table and not in the contract: add it to the contract" in str(error.value)
