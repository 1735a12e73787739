from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow

from include.feeds.ticks import SCHEMA, known_values
from include.sample_data.tick_files import files
from lakehouse.contracts import load
from lakehouse.iceberg.schema import schema
from lakehouse.quality.rows import RowRules
from lakehouse.xml_ingest.parse import Feed, Record, RefusedFileError

CONTRACT = load(Path(__file__).resolve().parents[3] / "include" / "contracts" / "collected_option_ticks.odcs.yaml")
DAY = date(2026, 11, 20)
FEED = Feed(SCHEMA)
ROWS = 500


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    """The files of a day by their names, without the day."""
    return {name.removeprefix(f"ticks-{DAY}-").removesuffix(".xml"): body for name, body in files(DAY)}


@pytest.fixture(scope="module")
def records(made: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Record]]:
    """The records of each file that is not refused whole."""
    found = {}
    for name, body in made.items():
        path = tmp_path_factory.mktemp("feed") / name
        path.write_bytes(body)
        try:
            found[name] = list(FEED.records(path))
        except RefusedFileError as error:
            assert (name, error.reason in ("cut_off", "not_well_formed")) == ("cut-off", True)  # noqa: PT017
    return found


def typed(records: list[Record]) -> pa.Table:
    """The records as the loader casts them; what is ours to fill is filled."""
    columns = []
    target = schema_to_pyarrow(schema(CONTRACT), include_field_ids=False)
    ours = {"ingest_time": datetime(2026, 11, 21, tzinfo=UTC).isoformat(), "source_file": "f"}
    for field in target:
        columns.append(pa.array([(record.values | ours).get(field.name) for record in records], pa.string()).cast(field.type))
    return pa.Table.from_arrays(columns, names=target.names)


def test_the_files_are_named_by_their_day_and_what_is_in_them(made):
    assert list(made) == ["a", "a-again", "b", "bad-records", "cut-off"]
    assert all(name.startswith(f"ticks-{DAY}-") and name.endswith(".xml") for name, _ in files(DAY))


@pytest.mark.fault(11)
def test_a_day_has_the_same_files_each_time_and_another_day_has_others(made):
    assert list(files(DAY)) == list(files(DAY))
    other = {sha256(body).digest() for _, body in files(DAY + timedelta(days=1))}
    assert not other & {sha256(body).digest() for body in made.values()}


@pytest.mark.fault(29)
def test_one_file_comes_twice_and_no_row_comes_in_two_files_besides(made, records):
    assert Counter(sha256(body).digest() for body in made.values()).most_common()[0][1] == 2
    assert made["a"] == made["a-again"]
    rows = [tuple(sorted(record.values.items())) for name in ("a", "b", "bad-records") for record in records[name]]
    assert len(set(rows)) == len(rows) == 3 * ROWS


@pytest.mark.fault(29)
def test_the_file_that_is_cut_off_is_refused_whole_and_the_others_are_read(records):
    assert set(records) == {"a", "a-again", "b", "bad-records"}
    assert {name: len(found) for name, found in records.items()} == dict.fromkeys(records, ROWS)


@pytest.mark.parametrize("name", ["a", "b"])
def test_every_record_of_a_good_file_is_loaded(records, name):
    assert [record.problem for record in records[name] if record.problem] == []
    assert set(RowRules(CONTRACT, known_values()).broken(typed(records[name]))) == {None}


@pytest.mark.fault(29)
def test_four_bad_records_are_refused_singly_for_four_reasons_and_are_few_enough(records):
    bad = [record for record in records["bad-records"] if record.problem]
    assert ["bid_size" in bad[0].problem, "timestamp" in bad[1].problem] == [True, True]
    good = [record for record in records["bad-records"] if record.problem is None]
    broken = Counter(RowRules(CONTRACT, known_values()).broken(typed(good)))
    assert broken == {None: ROWS - 4, "unknown_symbol": 1, "bid_at_most_ask": 1}
    assert CONTRACT.refused_threshold > 4 / (3 * ROWS)


def test_ticks_are_of_their_day_and_of_listed_series(records):
    data = typed(records["a"] + records["b"])
    assert {moment.date() for moment in data["timestamp"].to_pylist()} == {DAY}
    assert set(data["symbol"].to_pylist()) <= known_values()["symbol"]
    assert data["bid_price"].null_count == data["volume"].null_count == 0


def test_the_attributes_of_a_record_are_columns_of_the_table():
    assert set(FEED.names) <= set(CONTRACT.column_names)
    assert set(CONTRACT.column_names) - set(FEED.names) == {"ingest_time", "source_file"}
