from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.logs import to_document, to_row
from lakehouse.contracts import load

CONTRACT = Path(__file__).resolve().parents[2] / "include" / "contracts" / "raw_logs.odcs.yaml"
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


def document(meta: str | None, **changes) -> dict:
    row = {"log_id": "1", "event_time": AT, "level": "INFO", "message": "hello", "meta": meta, "ingest_time": LATER}
    event_time, made = to_document(row | changes)
    assert event_time == (row | changes)["event_time"]
    return made


def test_a_row_becomes_a_document_with_its_moments_to_the_microsecond():
    assert document(None) == {
        "event_time": "2026-11-20T09:30:00.123456+00:00",
        "level": "INFO",
        "message": "hello",
        "ingest_time": "2026-11-20T10:00:00+00:00",
    }


def test_a_row_without_a_time_has_none():
    assert document(None, event_time=None)["event_time"] is None


def test_meta_is_opened_into_flat_fields_of_text():
    made = document('{"service": "risk", "latency_ms": 12, "ok": true, "none": null, "user": {"id": [1, 2]}, "a.b": "dotted"}')
    assert made["service"] == "risk"
    assert made["meta"] == {
        "service": "risk",
        "latency_ms": "12",
        "ok": "true",
        "none": "null",
        "user": '{"id":[1,2]}',
        "a_b": "dotted",
    }


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    "meta",
    [
        pytest.param("not JSON", id="not JSON"),
        pytest.param("[1, 2]", id="not an object"),
        pytest.param('{"a": NaN}', id="NaN"),
        pytest.param('{"a": -Infinity}', id="Infinity"),
        pytest.param('{"a": ' + "[" * 1_000 + "]" * 1_000 + "}", id="nested 1,000 deep"),
        pytest.param(json.dumps({f"key{number}": 1 for number in range(1000)}), id="1,000 keys"),
        pytest.param(json.dumps({"long": "x" * 40_000}), id="40 kB"),
        pytest.param('{"a": ' + "[" * 3_000 + "]" * 3_000 + "}", id="nested 3,000 deep"),
        pytest.param('{"a": "\\ud800"}', id="a lone surrogate in a value"),
        pytest.param('{"\\ud800": 1}', id="a lone surrogate in a key"),
    ],
)
def test_meta_that_cannot_be_opened_is_kept_as_text(meta):
    made = document(meta)
    assert "meta" not in made
    assert made["meta_text"] == meta[:8_000]
    orjson.dumps(made)


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    ("meta", "fields"),
    [
        pytest.param('{"a": ' + "[" * 50 + "]" * 50 + "}", {"a": "[" * 50 + "]" * 50}, id="nested 50 deep"),
        pytest.param(json.dumps(dict.fromkeys(map(str, range(50)), 1)), dict.fromkeys(map(str, range(50)), "1"), id="50 keys"),
        pytest.param('{"a": 9223372036854775807}', {"a": "9223372036854775807"}, id="an integer of 64 bits"),
    ],
)
def test_odd_values_are_kept_as_their_json_text(meta, fields):
    made = document(meta)
    assert made["meta"] == fields
    orjson.dumps(made)


@pytest.mark.fault(13)
def test_times_of_a_table_made_by_hand_are_utc():
    naive = datetime(2026, 11, 22, 10, 0)
    row = {"event_time": naive, "ingest_time": naive, "level": "INFO", "message": "x", "meta": None}
    moment, made = to_document(row)
    assert moment == datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    assert made["event_time"] == made["ingest_time"] == "2026-11-22T10:00:00+00:00"


@pytest.mark.fault(8)
def test_an_integer_over_64_bits_does_not_stop_its_batch():
    (kept,) = document('{"a": 123456789012345678901234567890}')["meta"].values()
    assert float(kept) == pytest.approx(1.2345678901234568e29)


@pytest.mark.fault(8)
def test_keys_that_differ_by_a_dot_alone_are_both_kept():
    made = document('{"a.b": "first", "a_b": "second"}')
    assert {"first", "second"} <= set(json.dumps(made).replace("\\", "").split('"'))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.fault(8)
@given(st.one_of(st.text(), ANY.map(json.dumps)), st.text())
def test_any_row_becomes_a_document_that_can_be_sent(meta, message):
    made = document(meta, message=message)
    sent = orjson.loads(orjson.dumps(made))
    assert sent["message"] == message
    assert ("meta" in sent) != ("meta_text" in sent)
    assert all(isinstance(value, str) and "." not in key for key, value in sent.get("meta", {}).items())
