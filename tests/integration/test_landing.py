"""Files from the landing prefix, against the real store and catalog."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from include.assets import contract
from include.logs import to_row
from lakehouse.contracts import Contract, load
from lakehouse.exceptions import VerificationError
from lakehouse.iceberg.table import ensure_table
from lakehouse.jsonlines import load_landing
from lakehouse.objects import ObjectStore
from lakehouse.spool import take_spool
from stack.installation import Installation
from stack.report import query

pytestmark = pytest.mark.integration


def _table(catalog: Catalog, like: str, name: str) -> Contract:
    made = replace(load(contract(like)), table=f"test_db.{name}")
    ensure_table(catalog, made)
    return made


@pytest.mark.fault(8)
def test_one_bad_line_never_stops_the_others_and_a_second_time_nothing_is_added(
    catalog: Catalog, store: ObjectStore, stack: Installation, fresh_name: str
) -> None:
    made = _table(catalog, "raw_logs", fresh_name)
    landing, raw = f"landing/{fresh_name}/", f"raw/{fresh_name}/"
    good = b'{"event_time": "2026-11-22T10:00:00Z", "level": "info", "message": "password=hunter22", "meta": {"user": "u"}}\n'
    body = good * 3 + b'not json {"password": "hunter22"}\n' + b"[1]\n" + b'{"event_time": "yesterday"}\n' + b"\n"
    store.put(landing + "a.jsonl", body)
    store.put(landing + "still-open.tmp", good)
    first = load_landing(store, catalog, made, landing=landing, raw=raw, to_row=to_row)
    assert (first.files, first.read, first.loaded, first.already_there, first.refused) == (1, 6, 3, 0, 3)
    reasons = query(stack, f"SELECT reason, masked FROM ops_db.refused_records WHERE table_name = '{made.table}' ORDER BY reason")
    assert [row[0] for row in reasons] == ["bad_event_time", "not_an_object", "not_json"]
    assert "hunter22" not in str(reasons)
    assert [entry.key for entry in store.list(landing)] == [landing + "still-open.tmp"]
    assert [store.read(entry.key) for entry in store.list(raw)] == [body.replace(b"hunter22", b"***")]
    assert query(stack, f"SELECT DISTINCT message FROM {made.table}") == [["password=***"]]
    store.put(landing + "a-again.jsonl", body)
    second = load_landing(store, catalog, made, landing=landing, raw=raw, to_row=to_row)
    assert (second.read, second.loaded, second.already_there, second.refused) == (6, 0, 3, 3)
    assert query(stack, f"SELECT count(*) FROM ops_db.refused_records WHERE table_name = '{made.table}'") == [[3]]


@pytest.mark.fault(9)
def test_a_spool_file_is_landed_once_though_its_removal_was_cut_off(
    catalog: Catalog, store: ObjectStore, stack: Installation, fresh_name: str, tmp_path: Path
) -> None:
    made = _table(catalog, "raw_logs", fresh_name)
    landing, raw = f"landing/{fresh_name}/", f"raw/{fresh_name}/"
    record = {"event_time": "2026-11-22T10:00:00Z", "level": "INFO", "message": "x", "meta": {"service": "trino", "file": "trino.log"}}
    for expected in ((1, 1, 0), (1, 0, 1)):
        path = tmp_path / "services-20261122T1000.jsonl.open"
        path.write_text(json.dumps(record) + "\n")  # the second time: as if the task had been killed before it removed the file
        os.utime(path, (0, 0))
        assert take_spool(tmp_path, store, landing) == 1
        counts = load_landing(store, catalog, made, landing=landing, raw=raw, to_row=to_row)
        assert (counts.read, counts.loaded, counts.already_there) == expected
        assert not list(tmp_path.iterdir())


@pytest.mark.fault(16)
def test_an_object_is_never_overwritten_by_another_content(store: ObjectStore, fresh_name: str) -> None:
    key = f"raw/{fresh_name}/object"
    assert store.put_once(key, b"first", "text/plain") is True
    assert store.put_once(key, b"first", "text/plain") is False
    with pytest.raises(VerificationError, match="another content"):
        store.put_once(key, b"second", "text/plain")
    assert store.read(key) == b"first"
