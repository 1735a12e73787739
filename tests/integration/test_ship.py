"""Shipping against the real OpenSearch: every row in exactly one place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from include.assets import contract
from include.logs import to_document
from lakehouse.contracts import load
from lakehouse.exceptions import HistoryError
from lakehouse.iceberg.append import Input, append_once
from lakehouse.iceberg.table import ensure_table
from lakehouse.opensearch.client import OpenSearchClient
from lakehouse.opensearch.ship import Shipment, ship
from stack.installation import Installation
from stack.report import query

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC)


@pytest.fixture
def client(connections: dict[str, Any], stack: Installation, fresh_name: str) -> Iterator[OpenSearchClient]:
    from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook

    yield LakehouseOpenSearchHook().client
    LakehouseOpenSearchHook("lakehouse_opensearch_admin").client.request("DELETE", f"/logs-{fresh_name}-*")


def _append(catalog: Catalog, table: str, checksum: str, times: list[datetime | None], meta: str | None = None) -> None:
    stamp = pa.timestamp("us", tz="UTC")
    rows = pa.table(
        {
            "log_id": [f"{checksum}-{number}" for number in range(len(times))],
            "event_time": pa.array(times, stamp),
            "level": ["ERROR"] * len(times),
            "message": ["same text"] * len(times),
            "meta": pa.array([meta] * len(times), pa.string()),
            "ingest_time": pa.array([NOW] * len(times), stamp),
        }
    )
    append_once(catalog, table, [Input(checksum, checksum, rows)])


def _ship(catalog: Catalog, client: OpenSearchClient, name: str, *, full: bool = False) -> Shipment:
    return ship(
        catalog,
        client,
        f"test_db.{name}",
        key_column="log_id",
        retention_days=30,
        to_document=to_document,
        index_prefix=f"logs-{name}-",
        full=full,
    )


def _table(catalog: Catalog, name: str) -> str:
    ensure_table(catalog, replace(load(contract("raw_logs")), table=f"test_db.{name}"))
    return f"test_db.{name}"


@pytest.mark.fault(13)
def test_rows_are_indexed_or_refused_by_reason_and_a_later_run_ships_only_what_is_new(
    catalog: Catalog, client: OpenSearchClient, stack: Installation, fresh_name: str
) -> None:
    table = _table(catalog, fresh_name)
    _append(catalog, table, f"{fresh_name}a", [NOW, NOW, NOW - timedelta(days=1), NOW - timedelta(days=99), None])
    first = _ship(catalog, client, fresh_name)
    assert (first.rows_read, first.indexed, first.already_there, first.refused) == (5, 3, 0, 2)
    reasons = query(stack, f"SELECT reason, count(*) FROM ops_db.refused_records WHERE table_name = '{table}' GROUP BY 1 ORDER BY 1")
    assert reasons == [["no_event_time", 1], ["outside_retention", 1]]
    assert _ship(catalog, client, fresh_name).rows_read == 0
    _append(catalog, table, f"{fresh_name}b", [NOW], meta='{"user": "u1", "a.b": 1, "a": {"b": 2}}')
    second = _ship(catalog, client, fresh_name)
    assert (second.rows_read, second.indexed, second.from_snapshot_id) == (1, 1, first.to_snapshot_id)


@pytest.mark.fault(9)
def test_shipping_everything_again_adds_no_document(catalog: Catalog, client: OpenSearchClient, fresh_name: str) -> None:
    table = _table(catalog, fresh_name)
    _append(catalog, table, fresh_name, [NOW] * 200)
    _ship(catalog, client, fresh_name)
    again = _ship(catalog, client, fresh_name, full=True)
    assert (again.rows_read, again.indexed, again.already_there) == (200, 0, 200)
    assert client.count(f"logs-{fresh_name}-*") == 200


@pytest.mark.fault(12)
def test_overwritten_history_stops_with_the_param_that_helps(
    catalog: Catalog, client: OpenSearchClient, stack: Installation, fresh_name: str
) -> None:
    table = _table(catalog, fresh_name)
    _append(catalog, table, f"{fresh_name}a", [NOW] * 3)
    _ship(catalog, client, fresh_name)
    query(stack, f"DELETE FROM {table} WHERE log_id = '{fresh_name}a-1'")
    with pytest.raises(HistoryError, match="param `full`"):
        _ship(catalog, client, fresh_name)
    assert _ship(catalog, client, fresh_name, full=True).already_there == 2
