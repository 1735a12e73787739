"""XML files from the landing prefix, against the real store, catalog and Trino."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from pyiceberg.catalog import Catalog

from include.assets import contract
from include.feeds.ticks import SCHEMA, known_values
from include.sample_data import tick_files
from lakehouse.contracts import Contract, load
from lakehouse.exceptions import ConfigurationError
from lakehouse.groups import groups
from lakehouse.iceberg.table import ensure_table
from lakehouse.objects import ObjectStore
from lakehouse.xml_ingest import load as xml_load
from lakehouse.xml_ingest.load import Loaded, closed_files, load_group
from lakehouse.xml_ingest.parse import Feed
from stack.installation import Installation
from stack.report import query

pytestmark = [pytest.mark.integration, pytest.mark.fault(29)]

DAY = date(2026, 11, 18)
FEED = Feed(SCHEMA)
AT_ONCE = timedelta()


@pytest.fixture
def made(catalog: Catalog, fresh_name: str) -> Contract:
    made = replace(load(contract("collected_option_ticks")), table=f"test_db.{fresh_name}")
    ensure_table(catalog, made)
    return made


def run(store: ObjectStore, catalog: Catalog, made: Contract, landing: str) -> Loaded:
    closed, _ = closed_files(store, landing, quiet=AT_ONCE)
    return load_group(store, catalog, made, FEED, closed, name=made.table, known_values=known_values())


def test_every_file_and_record_ends_in_one_place_and_a_second_time_adds_nothing(
    catalog: Catalog, store: ObjectStore, stack: Installation, made: Contract, fresh_name: str
) -> None:
    landing = f"landing/{fresh_name}/"
    files = dict(tick_files.files(DAY))
    for name, body in files.items():
        store.put(landing + name, body)
    store.put(landing + "open.xml.part", b"<ticks")
    first = run(store, catalog, made, landing)
    assert (first.files_read, first.files_loaded, first.files_already_there, first.files_refused) == (5, 3, 1, 1)
    assert (first.records_read, first.records_loaded, first.records_refused) == (1500, 1496, 4)
    assert query(stack, f"SELECT count(*), count(DISTINCT source_file) FROM {made.table}") == [[1496, 3]]
    assert query(stack, f'SELECT count(*) FROM test_db."{fresh_name}$snapshots"') == [[1]]
    reasons = query(stack, f"SELECT reason, place, detail FROM ops_db.refused_records WHERE table_name = '{made.table}' ORDER BY 1, 2")
    assert [row[0] for row in reasons] == ["bid_at_most_ask", "schema", "schema", "unknown_symbol"]
    assert reasons[3][1].startswith(f"{landing}ticks-{DAY}-bad-records.xml:13 (record 11)")
    assert any("bid_size" in row[2] and "'-5'" in row[2] for row in reasons)
    refused = query(stack, f"SELECT reason, source, kept_at FROM ops_db.refused_files WHERE table_name = '{made.table}'")
    assert [row[:2] for row in refused] == [["cut_off", f"{landing}ticks-{DAY}-cut-off.xml"]]
    assert store.read(refused[0][2].removeprefix("s3://lakehouse/")) == files[f"ticks-{DAY}-cut-off.xml"]
    assert [entry.key for entry in store.list(landing)] == [landing + "open.xml.part"]
    archived = {hashlib.sha256(store.read(entry.key)).hexdigest() for entry in store.list(f"archive/{made.table}/")}
    assert archived == {hashlib.sha256(body).hexdigest() for name, body in files.items() if "cut-off" not in name}
    store.put(landing + "under another name.xml", files[f"ticks-{DAY}-b.xml"])
    second = run(store, catalog, made, landing)
    assert (second.files_read, second.files_already_there, second.records_loaded) == (1, 1, 0)
    assert query(stack, f"SELECT count(*) FROM {made.table}") == [[1496]]


@pytest.mark.fault(11)
def test_the_same_files_taken_by_two_runs_at_once_are_loaded_once(
    catalog: Catalog, store: ObjectStore, stack: Installation, made: Contract, fresh_name: str
) -> None:
    landing = f"landing/{fresh_name}/"
    for number in range(6):
        store.put(f"{landing}{number}.xml", _document([_tick(symbol) for symbol in ("ESZ25C5000", "SPY25C400")], source=str(number)))
    closed, _ = closed_files(store, landing, quiet=AT_ONCE)
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda _: load_group(store, catalog, made, FEED, closed, name=made.table), range(2)))
    assert sum(count.records_loaded for count in counts) == 12
    assert query(stack, f"SELECT count(*) FROM {made.table}") == [[12]]
    assert list(store.list(landing)) == []


def test_an_attribute_without_a_column_is_refused_before_anything_is_lost(catalog: Catalog, store: ObjectStore, made: Contract) -> None:
    without = replace(made, columns=tuple(column for column in made.columns if column.name != "exchange"))
    with pytest.raises(ConfigurationError, match=r"the records have \['exchange'\], .* does not: add the columns to its contract"):
        load_group(store, catalog, without, FEED, [], name=made.table)


class Killed(BaseException):
    """SIGKILL, as far as one process can play it."""


@pytest.mark.parametrize("point", ["the commit", "the first move"])
def test_a_kill_before_a_step_leaves_the_files_there_and_the_next_run_completes_the_work(
    catalog: Catalog, store: ObjectStore, stack: Installation, made: Contract, fresh_name: str, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    landing = f"landing/{fresh_name}/"
    for name, body in tick_files.files(DAY):
        store.put(landing + name, body)

    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(*((xml_load, "append_once", kill) if point == "the commit" else (store, "move", kill)))
        with pytest.raises(Killed):
            run(store, catalog, made, landing)
    assert len(list(store.list(landing))) == 5
    again = run(store, catalog, made, landing)
    assert again.files_read == 5
    assert query(stack, f"SELECT count(*) FROM {made.table}") == [[1496]]
    assert query(stack, f"SELECT count(*) FROM ops_db.refused_records WHERE table_name = '{made.table}'") == [[4]]
    assert query(stack, f"SELECT count(*) FROM ops_db.refused_files WHERE table_name = '{made.table}'") == [[1]]
    assert list(store.list(landing)) == []


@pytest.mark.fault(13)
def test_times_of_other_zones_become_utc_and_those_out_of_this_century_are_refused(
    catalog: Catalog, store: ObjectStore, stack: Installation, made: Contract, fresh_name: str
) -> None:
    landing = f"landing/{fresh_name}/"
    moments = ("2026-03-29T01:30:00.000001+09:00", "2026-03-29T02:30:00-05:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z")
    store.put(landing + "zones.xml", _document([_tick("SPY25C400", moment) for moment in moments]))
    counts = run(store, catalog, made, landing)
    assert (counts.records_loaded, counts.records_refused) == (2, 2)
    found = query(stack, f"SELECT cast(timestamp AS varchar) FROM {made.table} ORDER BY 1")
    assert [row[0] for row in found] == ["2026-03-28 16:30:00.000001 UTC", "2026-03-29 07:30:00.000000 UTC"]


def test_files_that_may_still_be_written_are_left_alone_and_one_that_changed_waits(
    catalog: Catalog, store: ObjectStore, made: Contract, fresh_name: str
) -> None:
    landing = f"landing/{fresh_name}/"
    store.put(landing + "a.xml", _document([_tick("SPY25C400")]))
    assert closed_files(store, landing, quiet=timedelta(minutes=1))[0] == []
    closed, _ = closed_files(store, landing, quiet=AT_ONCE)
    grown = _document([_tick("SPY25C400"), _tick("ESZ25C5000")])
    store.put(landing + "a.xml", grown)
    counts = load_group(store, catalog, made, FEED, closed, name=made.table)
    assert (counts.files_left, counts.files_loaded) == (1, 0)
    assert store.read(landing + "a.xml") == grown


def test_thousands_of_files_go_in_groups_of_a_stated_size(store: ObjectStore, fresh_name: str) -> None:
    landing = f"landing/{fresh_name}/"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.put(f"{landing}{number:04d}.xml", b"x" * 100), range(1200)))
    closed, _ = closed_files(store, landing, quiet=AT_ONCE)
    made = list(groups(closed, max_files=500, max_bytes=45_000))
    assert [len(group) for group in made] == [450, 450, 300]
    assert sorted(entry.key for group in made for entry in group) == [entry.key for entry in closed]


@pytest.mark.fault(28)
def test_a_full_disk_is_named_and_the_file_is_loaded_when_there_is_room(
    catalog: Catalog, store: ObjectStore, stack: Installation, made: Contract, fresh_name: str
) -> None:
    landing = f"landing/{fresh_name}/"
    store.put(landing + "big.xml", _document([_tick("SPY25C400")] * 5000))
    code = f"""
import resource, signal, sys
sys.path.insert(0, {str(SCHEMA.parents[2])!r})
from tests.integration.test_tick_files import *
from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.object_store import ObjectStoreHook
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
made = replace(load(contract("collected_option_ticks")), table={made.table!r})
run(ObjectStoreHook().store, LakehouseCatalogHook().catalog, made, {landing!r})
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "StorageFullError" in result.stderr.splitlines()[-1], result.stderr[-2000:]
    assert "make room there, or set TMPDIR" in result.stderr.splitlines()[-1]
    assert [entry.key for entry in store.list(landing)] == [landing + "big.xml"]
    assert run(store, catalog, made, landing).records_loaded == 5000


def test_a_key_that_got_another_content_meanwhile_keeps_it_for_the_next_run(
    catalog: Catalog, store: ObjectStore, stack: Installation, made: Contract, fresh_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = f"landing/{fresh_name}/"
    store.put(landing + "a.xml", _document([_tick("SPY25C400")]))
    append = xml_load.append_once

    def append_while_the_key_is_written_again(*arguments: Any, **options: Any) -> Any:
        store.put(landing + "a.xml", _document([_tick("ESZ25C5000")]))
        return append(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(xml_load, "append_once", append_while_the_key_is_written_again)
        assert run(store, catalog, made, landing).records_loaded == 1
    assert run(store, catalog, made, landing).records_loaded == 1
    assert query(stack, f"SELECT symbol FROM {made.table} ORDER BY 1") == [["ESZ25C5000"], ["SPY25C400"]]
    assert list(store.list(landing)) == []


def _tick(symbol: str, moment: str = "2026-11-18T14:30:00Z") -> str:
    sizes = 'bid_price="1.0" bid_size="1" ask_price="1.5" ask_size="1" volume="10"'
    return f'<tick timestamp="{moment}" symbol="{symbol}" {sizes}/>'


def _document(lines: list[str], source: str = "test") -> bytes:
    text = "\n".join(lines)
    return f'<?xml version="1.0"?>\n<ticks xmlns="urn:lakehouse:ticks:1" source="{source}">\n{text}\n</ticks>\n'.encode()
