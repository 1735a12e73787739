from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.logs import to_row
from lakehouse.contracts import Contract, load
from lakehouse.iceberg.table import ensure_table, row_count
from lakehouse.jsonlines import load_landing, parse_lines
from lakehouse.objects import ObjectStore
from lakehouse.ops.tables import ensure_ops_tables

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FIELDS = [
    {"name": "log_id", "physicalType": "string", "required": True, "primaryKey": True, "primaryKeyPosition": 1},
    {"name": "event_time", "physicalType": "timestamptz"},
    {"name": "level", "physicalType": "string"},
    {"name": "message", "physicalType": "string"},
    {"name": "meta", "physicalType": "string"},
    {"name": "ingest_time", "physicalType": "timestamptz", "required": True},
]


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    path = tmp_path_factory.mktemp("contracts") / "logs.odcs.yaml"
    table = {"name": "lines", "physicalName": "db.lines", "properties": FIELDS}
    freshness = {"property": "freshness", "value": 24, "unit": "h", "element": "lines.event_time"}
    path.write_text(json.dumps({"apiVersion": "v3.1.0", "kind": "DataContract", "schema": [table], "slaProperties": [freshness]}))
    return load(path)


def parse(contract: Contract, body: bytes):
    return parse_lines(contract, body, checksum="c0ffee", place="landing/a.jsonl", ingest_time=NOW, to_row=to_row)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TIMES = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)).map(datetime.isoformat)
LINES = st.one_of(
    st.binary(max_size=40),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({}, optional={"event_time": TIMES | JSON, "level": JSON, "message": JSON, "meta": JSON}).map(
        lambda line: json.dumps(line).encode()
    ),
)


@pytest.mark.fault(8)
@given(lines=st.lists(LINES, max_size=8))
def test_every_line_with_something_on_it_is_a_row_or_a_refusal(contract, lines):
    body = b"\n".join(lines)
    rows, refusals = parse(contract, body)
    keys = [row["log_id"] for row in rows] + [refusal.record_key for refusal in refusals]
    written = sum(bool(line.strip()) for line in body.split(b"\n"))
    assert sorted(keys) == sorted(f"c0ffee-{number}" for number in range(1, written + 1))
    pa.Table.from_pylist(rows)  # one odd value would keep the whole file from becoming a table


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(b'{"message": "cut o', "not_json", id="a line that is cut off"),
        pytest.param(b'{"meta": {"ratio": NaN}}', "not_json", id="NaN"),
        pytest.param(b'{"meta": {"ratio": -Infinity}}', "not_json", id="Infinity"),
        pytest.param(b'{"message": "\\ud800"}', "not_json", id="a lone surrogate"),
        pytest.param(b'{"message": "\xff"}', "not_json", id="bytes that are not UTF-8"),
        pytest.param(b"[" * 100_000, "not_json", id="brackets that never close"),
        pytest.param(b'["a"]', "not_an_object", id="an array"),
        pytest.param(b'"text"', "not_an_object", id="a string"),
        pytest.param(b'{"event_time": "yesterday"}', "bad_event_time", id="a time in words"),
        pytest.param(b'{"event_time": 0}', "bad_event_time", id="a time in seconds since 1970"),
        pytest.param(b'{"event_time": "9999-12-31T23:59:59-01:00"}', "bad_event_time", id="a time after the year 9999 in UTC"),
        pytest.param(b'{"event_time": "0001-01-01T00:00:00+01:00"}', "bad_event_time", id="a time before the year 1 in UTC"),
        pytest.param(b'{"message": "' + b"x " * 20_000 + b'"}', "message_too_long", id="a message of 40 kB"),
    ],
)
def test_a_bad_line_is_refused_with_its_place_and_the_lines_around_it_go_on(contract, line, reason):
    rows, refusals = parse(contract, b'{"message": "before"}\n' + line + b'\n\n{"message": "after"}\n')
    assert [row["message"] for row in rows] == ["before", "after"]
    assert [(refusal.reason, refusal.place, refusal.record_key) for refusal in refusals] == [(reason, "landing/a.jsonl:2", "c0ffee-2")]
    assert len(refusals[0].masked) <= 300
    assert len(refusals[0].detail) <= 200


@pytest.mark.fault(8)
@pytest.mark.parametrize("field", ["meta", "message", "level"])
def test_a_value_nested_a_thousand_deep_does_not_stop_its_file(contract, field):
    deep = f'{{"{field}": {"[" * 1000}{"]" * 1000}}}'.encode()
    rows, refusals = parse(contract, deep + b'\n{"message": "after"}')
    assert len(rows) + len(refusals) == 2
    assert rows[-1]["message"] == "after"


def test_the_rows_are_what_the_given_callable_makes_of_them_with_the_key(contract):
    def made(document, ingest_time):
        if document["n"] == 2:
            raise ValueError("even", "2 is even")
        return {"n": document["n"], "at": ingest_time}

    body = b'{"n": 1}\n{"n": 2}\n'
    rows, refusals = parse_lines(contract, body, checksum="c0ffee", place="a.jsonl", ingest_time=NOW, to_row=made)
    assert rows == [{"log_id": "c0ffee-1", "n": 1, "at": NOW}]
    assert [(refusal.record_key, refusal.reason, refusal.detail) for refusal in refusals] == [("c0ffee-2", "even", "2 is even")]


def test_lines_with_the_same_text_stay_apart(contract):
    rows, _ = parse(contract, b'{"message": "x"}\r\n{"message": "x"}\r\n')
    assert [row["log_id"] for row in rows] == ["c0ffee-1", "c0ffee-2"]


class Folder(ObjectStore):
    """The store's own contract over a folder: what `load_landing` needs of a bucket."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def list(self, prefix):
        for path in sorted(path for path in self.root.rglob("*") if path.is_file()):
            key = str(path.relative_to(self.root))
            if key.startswith(prefix):
                yield type("Entry", (), {"key": key})

    def read(self, key):
        return (self.root / key).read_bytes()

    def put_once(self, key, body, _):
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return True

    def delete_unchanged(self, entry):
        (self.root / entry.key).unlink(missing_ok=True)
        return True


@pytest.fixture
def land(catalog, contract, tmp_path):
    """Put files into the landing prefix and load them; returns the counts."""
    store = Folder(tmp_path / "bucket")
    ensure_ops_tables(catalog)
    ensure_table(catalog, contract)

    def load_files(files: dict[str, bytes], **options):
        for name, body in files.items():
            store.put_once(f"landing/{name}", body, "")
        return load_landing(store, catalog, contract, landing="landing/", raw="raw/", to_row=to_row, **options)

    load_files.listing = lambda: [entry.key for entry in store.list("")]
    load_files.read = store.read
    return load_files


GOOD, BAD = b'{"message": "a", "event_time": "2026-11-19T23:30:00-02:00"}\n{"message": "b"}\n', b"not json\n"


@pytest.mark.fault(9)
def test_a_load_accounts_for_every_line_and_a_second_one_adds_nothing(land, catalog):
    files = {"a.jsonl": GOOD + BAD, "b.jsonl": BAD, "empty.jsonl": b"", "open.jsonl.part": GOOD}
    first = land(files)
    assert (first.files, first.read, first.loaded, first.already_there, first.refused) == (3, 4, 2, 0, 2)
    assert [key for key in land.listing() if key.startswith("landing/")] == ["landing/open.jsonl.part"]
    assert sum(key.startswith("raw/date=2026-11-20/") for key in land.listing()) == 1  # the first line's day in UTC
    again = land(files)
    assert (again.read, again.loaded, again.already_there, again.refused) == (4, 0, 2, 2)
    assert row_count(catalog.load_table("db.lines")) == 2
    assert row_count(catalog.load_table("ops_db.refused_records")) == 2


def test_the_same_content_under_two_names_is_loaded_once(land):
    counts = land({"a.jsonl": GOOD, "b.jsonl": GOOD}, files_per_commit=2)
    assert (counts.read, counts.loaded, counts.already_there) == (4, 2, 2)
    counts = land({"c.jsonl": GOOD, "d.jsonl": GOOD}, files_per_commit=1)
    assert (counts.read, counts.loaded, counts.already_there) == (4, 0, 4)
    assert not [key for key in land.listing() if key.startswith("landing/")]


@pytest.mark.fault(23)
def test_a_secret_is_stored_nowhere_and_the_keys_are_of_the_bytes_as_they_came(land, catalog):
    body = b'{"message": "login with password=hunter2", "meta": {"token": "hunter2"}}\n{"token": "hunter2", \xff}\n'
    checksum = hashlib.sha256(body).hexdigest()
    for name in ("a.jsonl", "again.jsonl"):
        counts = land({name: body})
    assert (counts.read, counts.already_there, counts.refused) == (2, 1, 1)
    rows = catalog.load_table("db.lines").scan().to_arrow().to_pylist()
    assert [(row["log_id"], row["message"], row["meta"]) for row in rows] == [
        (f"{checksum}-1", "login with password=***", '{"token": "***"}')
    ]
    assert "hunter2" not in str(catalog.load_table("ops_db.refused_records").scan().to_arrow().to_pylist())
    (kept,) = [key for key in land.listing() if key.startswith("raw/")]
    assert Path(kept).name.startswith(f"{checksum}.masked-")
    assert land.read(kept) == body.replace(b"hunter2", b"***")  # bytes that are no text stay


def test_a_file_without_secrets_is_kept_byte_for_byte_under_its_checksum(land):
    land({"a.jsonl": GOOD})
    (kept,) = [key for key in land.listing() if key.startswith("raw/")]
    assert Path(kept).name == f"{hashlib.sha256(GOOD).hexdigest()}.jsonl"
    assert land.read(kept) == GOOD
