from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.ops.tables import RefusedFile, RefusedRecord, append_run_rows, ensure_ops_tables, mask, record_refusals


@pytest.mark.fault(23)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("password=hunter2", id="a setting"),
        pytest.param('{"password": "hunter2"}', id="JSON"),
        pytest.param('{"password": "hun,ter2"}', id="JSON with a comma in the value"),
        pytest.param('{"meta": "{\\"password\\": \\"hunter2\\"}"}', id="JSON within JSON"),
        pytest.param("Authorization: Basic hunter2", id="a header"),
        pytest.param("Authorization: Bearer hunter2", id="a header with a token"),
        pytest.param("{'api_key': 'hunter2'}", id="a Python dict"),
        pytest.param("API-Key: hunter2", id="another header"),
        pytest.param("s3.client_secret=hunter2&x=1", id="a query string"),
        pytest.param("aws_secret_access_key=hunter2", id="a key of the object store"),
        pytest.param("https://admin:hunter2@trino:8080/x", id="a URL"),
        pytest.param("TOKEN = hunter2", id="capitals"),
    ],
)
def test_a_planted_secret_is_hidden(text):
    hidden = mask(text)
    for part in ("hunter2", "ter2"):
        assert part not in hidden
    assert "***" in hidden


@pytest.mark.parametrize("text", ["mail to jane.doe@example.org now", "card 4111111111111111 now", "order 123456 now"])
def test_mail_addresses_and_long_numbers_are_hidden_and_the_rest_stays(text):
    first, *_, last = text.split()
    assert mask(text).startswith(first)
    assert mask(text).endswith(last)
    assert "***" in mask(text)
    assert not {"jane.doe@example.org", "4111111111111111", "123456"} & set(mask(text).split())


def test_a_harmless_line_is_kept_as_it_is():
    assert mask('{"level": "INFO", "message": "order filled", "latency_ms": 12345}') == (
        '{"level": "INFO", "message": "order filled", "latency_ms": 12345}'
    )


@given(st.text())
def test_a_masked_copy_is_short_and_has_no_long_number(text):
    masked = mask(text)
    assert len(masked) <= 300
    assert not any(masked[start : start + 6].isdecimal() for start in range(len(masked)) if len(masked[start : start + 6]) == 6)


@pytest.mark.fault(8)
def test_a_long_line_is_masked_in_no_time():
    started = time.perf_counter()
    mask("x" * 20_000)
    assert time.perf_counter() - started < 0.3


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
