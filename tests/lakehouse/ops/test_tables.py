from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lakehouse.ops.tables import RefusedFile, RefusedRecord, append_run_rows, ensure_ops_tables, record_refusals


def test_a_refusal_is_one_row_however_often_it_is_reported(catalog):
    ensure_ops_tables(catalog)
    record = RefusedRecord("db.t", "key", "file:1", "not_json", "why", "masked")
    file = RefusedFile("db.t", "c" * 64, "landing/x.jpg", "broken", "why", "s3://lake/refused/x")
    record_refusals(catalog, [record, record, file])
    record_refusals(catalog, [file, RefusedRecord("db.t", "key", "another:9", "not_json", "other words", "masked")])
    record_refusals(catalog, [RefusedRecord("db.t", "key", "file:1", "bad_event_time", "why", "masked")])
    records = catalog.load_table("ops_db.refused_records").scan().to_arrow().to_pylist()
    files = catalog.load_table("ops_db.refused_files").scan().to_arrow().to_pylist()
    assert sorted((row["record_key"], row["reason"], row["place"]) for row in records) == [
        ("key", "bad_event_time", "file:1"),
        ("key", "not_json", "file:1"),
    ]
    assert [(row["source"], row["kept_at"]) for row in files] == [("landing/x.jpg", "s3://lake/refused/x")]


@pytest.mark.fault(11)
def test_a_runs_rows_are_there_once_however_often_it_is_retried(catalog):
    ensure_ops_tables(catalog)
    row = {"source_table": "db.t", "target": "logs-*", "table_uuid": "u", "to_snapshot_id": 1, "rows_read": 1, "indexed": 1}
    row |= {"already_there": 0, "refused": 0, "shipped_at": datetime.now(UTC)}
    for key in ("run 1", "run 1", "run 2"):
        append_run_rows(catalog, "ops_db.shipments", key, [row])
    assert len(catalog.load_table("ops_db.shipments").scan().to_arrow()) == 2
