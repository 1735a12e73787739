from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.exceptions import ConfigurationError
from lakehouse.opensearch.build import Builder, Built, Documents
from lakehouse.opensearch.target import Target

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OLDEST, NEWEST = NOW - timedelta(days=30), NOW + timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
STAMP = pa.timestamp("us", "UTC")
TARGET = Target(prefix="logs-", event_time="at", template=Path("unread.json"))
WITH_META = replace(TARGET, json_columns=("meta",), lifted={"service": "meta.service"})
INT64 = 2**63


def times(*moments: datetime | int | None) -> pa.Array:
    if any(isinstance(moment, int) for moment in moments):
        return pa.array(moments, pa.int64()).cast(STAMP)
    return pa.array(moments, STAMP)


def build(columns: dict[str, Any], keys: Sequence[str] = ("key",), target: Target = TARGET, **options: Any) -> Built:
    """Builds one batch, every row at the same moment unless `at` is given."""
    length = len(next(iter(columns.values())))
    batch = pa.record_batch({"at": times(*[NOW] * length)} | columns)
    return Builder(target, keys, **({"snapshot_id": 7, "oldest": OLDEST, "newest": NEWEST} | options)).build(batch)


def pairs(documents: Documents) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Action and source of each, from the body as a node reads it."""
    lines = bytes(documents.body()).decode().split("\n")
    assert lines.pop() == ""
    return [(json.loads(action)["create"], json.loads(source)) for action, source in zip(lines[::2], lines[1::2], strict=True)]


def only(columns: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The source of the one document."""
    ((_, source),) = pairs(build({"key": ["k"]} | columns, **options).documents)
    return source


def not_unicode(*texts: bytes) -> pa.Array:
    """Text as another writer's file may have it."""
    return pa.Array.from_buffers(pa.string(), len(texts), pa.array(texts, pa.binary()).buffers())


def test_a_row_becomes_an_action_and_a_source():
    built = build({"key": ["a", "b"], "size": [1, None], "text": ["x", "y"]})
    time_and_snapshot = {"at": "2026-11-20T12:00:00.000000Z", "snapshot_id": "7"}
    assert pairs(built.documents) == [
        ({"_index": "logs-2026.11.20", "_id": "a"}, time_and_snapshot | {"size": 1, "text": "x"}),
        ({"_index": "logs-2026.11.20", "_id": "b"}, time_and_snapshot | {"text": "y"}),
    ]
    assert (len(built.refused), built.reasons, built.documents.days.to_pylist()) == (0, [], ["2026.11.20"] * 2)


@pytest.mark.parametrize(
    ("columns", "keys", "doc_id"),
    [
        pytest.param({"key": ["a b/ü"]}, ["key"], "a b/ü", id="text"),
        pytest.param({"key": [17]}, ["key"], "17", id="a number"),
        pytest.param({"key": ["é" * 256]}, ["key"], "é" * 256, id="512 bytes"),
        pytest.param(
            {"key": ["é" * 257]}, ["key"], "sha256:db33c4ce9e8a72562c8f24aa67b7abbabdb848426e8ddfff4ee08f6ae04d1b17", id="514 bytes"
        ),
        pytest.param({"key": ['q"'], "part": [3]}, ["key", "part"], '["q\\"","3"]', id="two columns"),
        pytest.param({"key": [""], "part": [3]}, ["key", "part"], '["","3"]', id="two columns, one of them empty"),
        pytest.param({"key": ["a\x00b\n"]}, ["key"], "a\x00b\n", id="control characters"),
    ],
)
def test_an_id_is_the_key_or_its_hash_for_ever(columns, keys, doc_id):
    built = build(columns, keys)
    assert built.documents.ids.to_pylist() == [doc_id]
    assert pairs(built.documents)[0][0]["_id"] == doc_id
    assert len(doc_id.encode()) <= 512


@pytest.mark.parametrize(
    ("columns", "keys"),
    [
        pytest.param({"key": ["a", None]}, ["key"], id="null"),
        pytest.param({"key": ["a", ""]}, ["key"], id="empty"),
        pytest.param({"key": ["a", "b"], "part": [1, None]}, ["key", "part"], id="one of two is null"),
    ],
)
def test_a_row_without_a_key_is_refused(columns, keys):
    built = build(columns, keys)
    assert (len(built.documents), len(built.refused), built.reasons) == (1, 1, ["no_key"])


ROW_HASH = "8e9fc820540994641231dca93a4d40f3b19ab80b42b4e9047f93d428807b37e5"
ROW: dict[str, Any] = {
    "text": ['a "b"\n', "other"],
    "size": [5, 6],
    "price": [1.5, 2.0],
    "taken": [True, False],
    "raw": [b"\xff", b""],
    "list": [[1, None], []],
}


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(ROW, id="as it is"),
        pytest.param(ROW | {"later": pa.nulls(2, pa.string())}, id="with a column that was added since and is null"),
        pytest.param(dict(reversed(ROW.items())), id="with its columns in another order"),
        pytest.param({name: values[:1] for name, values in ROW.items()}, id="alone in its batch"),
    ],
)
def test_a_table_without_a_key_gets_a_hash_of_the_row_that_stays_the_same(columns):
    assert build(columns, ()).documents.ids[0].as_py() == ROW_HASH


@pytest.mark.parametrize(
    "change",
    [{"size": [50, 6]}, {"text": ["a", "other"]}, {"price": [None, 1.0]}, {"at": times(NOW + MICROSECOND, NOW)}, {"list": [[1], []]}],
)
def test_a_row_that_differs_has_another_hash(change):
    assert build(ROW | change, ()).documents.ids[0].as_py() != ROW_HASH


def test_identical_rows_have_one_id_and_are_seen_by_their_hashes():
    built = build({"text": ["a", "a", "b"]}, ())
    assert len(set(built.documents.ids.to_pylist())) == len(set(built.id_hashes.tolist())) == 2


@pytest.mark.fault(13)
@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        pytest.param(OLDEST, None, id="the oldest"),
        pytest.param(OLDEST - MICROSECOND, "outside_retention", id="older"),
        pytest.param(NEWEST, None, id="the newest"),
        pytest.param(NEWEST + MICROSECOND, "outside_retention", id="newer"),
        pytest.param(datetime(1970, 1, 1, tzinfo=UTC), "outside_retention", id="epoch 0"),
        pytest.param(datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), "outside_retention", id="before 1970"),
        pytest.param(datetime(1, 1, 1, tzinfo=UTC), "outside_retention", id="year 1"),
        pytest.param(datetime(9999, 12, 31, 23, 59, 59, 999999, UTC), "outside_retention", id="year 9999"),
        pytest.param(253402300800000000, "outside_retention", id="year 10000"),
        pytest.param(INT64 - 1, "outside_retention", id="the largest number"),
        pytest.param(1 - INT64, "outside_retention", id="the smallest number but one"),
        pytest.param(-INT64, "outside_retention", id="the smallest number"),
        pytest.param(None, "no_event_time", id="no time"),
    ],
)
def test_a_row_outside_of_the_kept_days_is_refused_and_the_others_go_on(moment, reason):
    built = build({"key": ["odd", "good"], "at": times(moment, 1795176000000000 if isinstance(moment, int) else NOW)})
    assert built.reasons == ([reason] if reason else [])
    assert built.documents.ids.to_pylist() == (["good"] if reason else ["odd", "good"])
    for number in range(len(built.refused)):
        assert json.loads(built.refused.source(number))["snapshot_id"] == "7"


@pytest.mark.fault(13)
@settings(max_examples=20, deadline=None)
@given(st.lists(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)), min_size=20, max_size=30))
def test_a_moment_keeps_its_microseconds_and_its_day_in_utc(moments):
    aware = [moment.replace(tzinfo=UTC) for moment in moments]
    early, late = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)
    keys = [str(number) for number in range(len(moments))]
    for column in (pa.array(aware, STAMP), pa.array(moments, pa.timestamp("us"))):
        built = build({"key": keys, "at": column, "other": column}, oldest=early, newest=late)
        for moment, (action, source) in zip(aware, pairs(built.documents), strict=True):
            assert action["_index"] == f"logs-{moment.date().isoformat().replace('-', '.')}"
            assert datetime.fromisoformat(source["at"]) == datetime.fromisoformat(source["other"]) == moment
            assert source["at"].endswith("Z")


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    ("values", "written"),
    [
        pytest.param([float("nan")], None, id="NaN"),
        pytest.param([float("inf")], None, id="Infinity"),
        pytest.param(pa.array([float("-inf")], pa.float32()), None, id="-Infinity as a float"),
        pytest.param([1e300], 1e300, id="a large float"),
        pytest.param([5e-324], 5e-324, id="a small float"),
        pytest.param([2**63 - 1], 2**63 - 1, id="an integer of 64 bits"),
        pytest.param(pa.array([2**64 - 1], pa.uint64()), 2**64 - 1, id="an integer of 64 bits without a sign"),
        pytest.param([True], True, id="a boolean"),
        pytest.param([b"\xff\x00"], base64.b64encode(b"\xff\x00").decode(), id="bytes"),
        pytest.param(pa.array([b"12"], pa.binary(2)), base64.b64encode(b"12").decode(), id="bytes of a fixed length"),
        pytest.param([date(2026, 11, 20)], "2026-11-20", id="a date"),
        pytest.param([date(1, 1, 1)], "0001-01-01", id="a date in year 1"),
        pytest.param([time(1, 2, 3, 4)], "01:02:03.000004", id="a time of the day"),
        pytest.param(times(datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)), "9999-12-31T23:59:59.999999Z", id="a time in year 9999"),
        pytest.param(times(datetime(1, 1, 1, tzinfo=UTC)), "0001-01-01T00:00:00.000000Z", id="a time in year 1"),
        pytest.param(times(INT64 - 1), None, id="a time that is none"),
        pytest.param([[1, None, 2]], [1, None, 2], id="a list"),
        pytest.param([{"a": "x", "b": [float("nan")]}], {"a": "x", "b": [None]}, id="a struct"),
        pytest.param([{"raw": b"\xff"}], {"raw": "/w=="}, id="bytes in a struct"),
        pytest.param([{"at": NOW}], {"at": "2026-11-20T12:00:00Z"}, id="a time in a struct"),
        pytest.param([{"at": NOW.replace(tzinfo=None)}], {"at": "2026-11-20T12:00:00Z"}, id="a naive time in a struct"),
        pytest.param(["x" * 40_000], "x" * 40_000, id="a message of 40 kB"),
        pytest.param(["\x00\x1f\x7f\u2028\"\\/'\n\r\t😀"], "\x00\x1f\x7f\u2028\"\\/'\n\r\t😀", id="odd characters"),
        pytest.param(pa.array(["x"], pa.large_string()), "x", id="large text"),
        pytest.param(pa.nulls(1), None, id="a column of nulls"),
    ],
)
def test_a_value_is_written_as_an_index_can_take_it(values, written):
    source = only({"value": values})
    assert source.get("value") == written
    assert type(source.get("value")) is type(written)


def test_a_decimal_keeps_its_digits():
    built = build({"key": ["k"], "value": [Decimal("12345678901234567890.123456789")]})
    assert "12345678901234567890.123456789" in built.documents.source(0)


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    ("meta", "fields"),
    [
        pytest.param('{"service": "risk", "ms": 12}', {"service": "risk", "meta": {"service": "risk", "ms": 12}}, id="an object"),
        pytest.param('{"service": 5}', {"meta": {"service": 5}}, id="nothing to lift, as it is no text"),
        pytest.param("not JSON", {"meta_text": "not JSON"}, id="no JSON"),
        pytest.param('{"a": NaN}', {"meta_text": '{"a": NaN}'}, id="NaN"),
        pytest.param('{"user": {"id": 1}}', {"meta_text": '{"user": {"id": 1}}'}, id="an object where a plain value belongs"),
        pytest.param('"' + "é" * 9_000, {"meta_text": '"' + "é" * 7_999}, id="9,000 characters"),
        pytest.param(None, {}, id="null"),
        pytest.param("", {"meta_text": ""}, id="nothing"),
    ],
)
def test_a_column_of_json_is_opened_or_kept_as_text(meta, fields):
    source = only({"meta": pa.array([meta], pa.string())}, target=WITH_META, leaves={"meta": frozenset({"user"})})
    assert source == {"at": "2026-11-20T12:00:00.000000Z", "snapshot_id": "7"} | fields


@pytest.mark.fault(8)
@pytest.mark.parametrize("empty", [False, True], ids=["beside a column with text", "beside a column without any"])
def test_a_text_that_is_no_unicode_is_refused_and_the_others_go_on(empty):
    other = pa.nulls(3, pa.string()) if empty else ["x", "y", "z"]
    built = build({"key": ["a", "b", "c"], "text": not_unicode(b"\xff\xfe", b"fine", b"\xed\xa0\x80"), "meta": other}, target=WITH_META)
    assert built.documents.ids.to_pylist() == ["b"]
    assert (built.refused.ids.to_pylist(), built.reasons) == (["a", "c"], ["cannot_be_encoded"] * 2)
    assert json.loads(built.refused.source(0))["text"] == "\ufffd\ufffd"


@pytest.mark.fault(8)
def test_a_text_that_is_no_unicode_within_a_list_is_refused_as_well():
    built = build({"key": ["a", "b"], "texts": pa.ListArray.from_arrays([0, 1, 2], not_unicode(b"\xff", b"fine"))})
    assert (built.documents.ids.to_pylist(), built.reasons) == (["b"], ["cannot_be_encoded"])


@pytest.mark.parametrize(
    ("columns", "keys", "target", "named"),
    [
        pytest.param({"text": ["x"]}, ["key"], TARGET, "key", id="the key"),
        pytest.param({"key": ["x"]}, ["key"], replace(TARGET, event_time="when"), "when", id="the event time"),
    ],
)
def test_a_column_that_is_missing_is_named(columns, keys, target, named):
    with pytest.raises(ConfigurationError, match=named):
        build(columns, keys, target)


HOSTILE = st.text(alphabet="'\"`;-/*\\\n\r{}[]:,$%.é a\u2028\x01", max_size=12) | st.sampled_from(
    ["'; DROP TABLE batch; --", '"}}\n{"delete":{"_index":"logs-1","_id":"a"}}', "' || chr(10) || '", "/*", "c0", "batch", "moment", "id"]
)


@pytest.mark.fault(25)
@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(HOSTILE.filter(lambda name: name not in ("at", "snapshot_id")), min_size=1, max_size=4, unique=True),
    rows=st.lists(st.lists(st.none() | HOSTILE, min_size=5, max_size=5), min_size=1, max_size=5),
    prefix=HOSTILE,
    keyed=st.booleans(),
)
def test_names_and_values_are_never_taken_for_sql_or_json(names, rows, prefix, keyed):
    columns = {name: pa.array([row[number] for row in rows], pa.string()) for number, name in enumerate(names)}
    built = build(columns, names[:1] if keyed else (), replace(TARGET, prefix=prefix))
    assert len(built.documents) + len(built.refused) == len(rows)
    taken = [row for row in rows if not keyed or row[0]]
    for row, (action, source) in zip(taken, pairs(built.documents), strict=True):
        wanted = {name: value for name, value in zip(names, row, strict=False) if value is not None}
        if keyed:
            assert action["_id"] == wanted.pop(names[0])
        assert action["_index"] == f"{prefix}2026.11.20"
        assert source == {"at": "2026-11-20T12:00:00.000000Z", "snapshot_id": "7"} | wanted


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 300), max_size=30),
    max_bytes=st.integers(1, 2_000),
    start=st.integers(0, 5),
    refused=st.sets(st.integers(0, 30)),
)
def test_bulks_hold_every_document_once_in_order_and_are_as_large_as_they_may(sizes, max_bytes, start, refused):
    keys = [None if number in refused else str(number) for number in range(len(sizes))]
    built = build({"key": pa.array(keys, pa.string()), "text": pa.array(["x" * size for size in sizes], pa.string())})
    documents = built.documents.slice(min(start, len(built.documents)), len(built.documents))
    bulks = list(documents.bulks(max_bytes))
    assert [key for bulk in bulks for key in bulk.ids.to_pylist()] == documents.ids.to_pylist()
    assert b"".join(bytes(bulk.body()) for bulk in bulks) == bytes(documents.body())
    assert all(len(bulk) > 0 and (len(bulk.body()) <= max_bytes or len(bulk) == 1) for bulk in bulks)
    for bulk, following in pairwise(bulks):
        assert len(bulk.body()) + len(following.slice(0, 1).body()) > max_bytes


@pytest.mark.parametrize(("more", "lengths"), [(0, [2, 2, 1]), (-1, [1, 1, 1, 1, 1]), (-(10**6), [1, 1, 1, 1, 1])])
def test_a_bulk_may_be_as_large_as_its_limit_and_no_byte_larger(more, lengths):
    documents = build({"key": list("abcde")}).documents
    size = len(documents.slice(0, 2).body())
    assert [len(bulk) for bulk in documents.bulks(max(1, size + more))] == lengths


def test_documents_can_be_picked_by_their_numbers():
    documents = build({"key": list("abcd")}).documents
    assert [action["_id"] for action, _ in pairs(documents.take([3, 1]))] == ["d", "b"]
    assert [action["_id"] for action, _ in pairs(documents.slice(1, 3).take([1]))] == ["c"]
    assert bytes(documents.slice(0, 0).body()) == b""
