from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.logs import LOGS, OPENSEARCH, to_row
from lakehouse.contracts import load
from lakehouse.iceberg import schema as schemas
from lakehouse.opensearch.build import Builder

CONTRACT = Path(__file__).resolve().parents[2] / "include" / "contracts" / "raw_logs.odcs.yaml"
SCHEMA = schemas.schema(load(CONTRACT)).as_arrow()
AT, LATER = datetime(2026, 11, 20, 9, 30, 0, 123456, UTC), datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.mark.fault(13)
@given(
    moment=st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),
    minutes=st.integers(-23 * 60, 23 * 60),
)
def test_an_event_time_keeps_its_moment_to_the_microsecond(moment, minutes):
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    event_time = to_row({"event_time": moment.isoformat()}, LATER)["event_time"]
    assert event_time == moment
    assert event_time.utcoffset() == timedelta(0)


@pytest.mark.fault(13)
def test_an_event_time_without_a_zone_is_utc():
    assert to_row({"event_time": "2026-11-20T09:30:00.123456"}, LATER)["event_time"] == AT


@pytest.mark.parametrize(
    ("line", "column", "value"),
    [
        ({"level": "warn"}, "level", "WARN"),
        ({"meta": {"b": 1, "a": "é"}}, "meta", '{"a": "é", "b": 1}'),
        ({"meta": '{"already": "text"}'}, "meta", '{"already": "text"}'),
        ({"meta": "not JSON"}, "meta", "not JSON"),
        ({"message": 5}, "message", "5"),
        ({}, "message", None),
        ({}, "ingest_time", LATER),
    ],
)
def test_values_become_text(line, column, value):
    assert to_row(line, LATER)[column] == value


def test_a_row_has_every_column_of_the_contract_but_the_key():
    contract = load(CONTRACT)
    assert {*to_row({}, LATER), *contract.primary_key} == set(contract.column_names)


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    ("meta", "fields"),
    [
        pytest.param({"user": "u1", "service": "risk"}, {"meta": {"service": "risk", "user": "u1"}, "service": "risk"}, id="an object"),
        pytest.param({"user": {"id": 1}}, {"meta_text": '{"user": {"id": 1}}'}, id="a user that is no plain value"),
        pytest.param({"user": ["a", "b"]}, {"meta": {"user": ["a", "b"]}}, id="two users"),
        pytest.param("no JSON", {"meta_text": "no JSON"}, id="no JSON"),
        pytest.param(None, {}, id="nothing"),
    ],
)
def test_a_line_becomes_a_document_of_the_logs(meta, fields):
    row = to_row({"event_time": AT.isoformat(), "level": "info", "message": "hello", "meta": meta}, LATER) | {"log_id": "c-1"}
    builder = Builder(LOGS, ["log_id"], snapshot_id=7, oldest=AT, newest=AT, leaves=LOGS.plain_fields())
    documents = builder.build(pa.RecordBatch.from_pylist([row], schema=SCHEMA)).documents
    assert (
        json.loads(documents.source(0))
        == {
            "event_time": "2026-11-20T09:30:00.123456Z",
            "level": "INFO",
            "message": "hello",
            "ingest_time": "2026-11-20T10:00:00.000000Z",
            "snapshot_id": "7",
        }
        | fields
    )
    assert (documents.ids.to_pylist(), documents.days.to_pylist()) == (["c-1"], ["2026.11.20"])


def test_contract_and_deletion_policy_keep_the_logs_for_the_same_time():
    policy = json.loads((OPENSEARCH / "ism_policies" / "logs.json").read_text())["policy"]
    assert policy["states"][0]["transitions"][0]["conditions"]["min_index_age"] == f"{load(CONTRACT).retention_days}d"
