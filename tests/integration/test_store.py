"""The object store killed under load, and clocks that differ, against the real store and catalog."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa
import pytest
from botocore import auth
from pyiceberg.catalog import Catalog

from include.assets import contract
from lakehouse.contracts import load
from lakehouse.exceptions import ServiceError
from lakehouse.iceberg.append import Input, append_once
from lakehouse.iceberg.table import ensure_table
from lakehouse.objects import ObjectStore
from stack.installation import Installation
from stack.report import query
from tests.integration.object_store import kill_object_store

pytestmark = pytest.mark.integration


@pytest.mark.fault(10)
def test_appends_ride_over_a_killed_object_store_and_nothing_acknowledged_is_lost(
    catalog: Catalog, stack: Installation, fresh_name: str
) -> None:
    made = replace(load(contract("raw_logs")), table=f"test_db.{fresh_name}")
    ensure_table(catalog, made)
    acknowledged: list[str] = []
    third = threading.Event()

    def write() -> None:
        for number in range(10):
            key = f"{fresh_name}{number}"
            now = pa.array([datetime.now().astimezone()], pa.timestamp("us", tz="UTC"))
            rows = pa.table({"log_id": [key], "event_time": now, "ingest_time": now})
            acknowledged.extend([key] * append_once(catalog, made.table, [Input(key, key, rows)], ledger=None).rows)
            if number == 2:
                third.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert third.wait(60)
    kill_object_store(stack)
    writer.join(240)
    assert not writer.is_alive()
    assert len(acknowledged) == 10
    assert sorted(row[0] for row in query(stack, f"SELECT log_id FROM {made.table}")) == sorted(acknowledged)


@pytest.mark.fault(28)
def test_a_clock_that_is_wrong_is_named(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = auth.get_current_datetime
    monkeypatch.setattr(auth, "get_current_datetime", lambda *args, **kwargs: now(*args, **kwargs) - timedelta(hours=2))
    with pytest.raises(ServiceError, match=r"the clocks of this machine and of the store differ") as caught:
        store.read("preflight/nothing")
    assert caught.value.status == 403
