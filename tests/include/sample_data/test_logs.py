from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.sample_data.logs import SLOT, files
from lakehouse.contracts import load
from lakehouse.jsonlines import parse_lines

CONTRACT = Path(__file__).resolve().parents[3] / "include" / "contracts" / "raw_logs.odcs.yaml"
NOW = datetime(2026, 11, 20, 9, 37, 12, tzinfo=UTC)


def test_a_day_of_closed_slots_ends_before_now():
    names = [name for name, _ in files(1440, NOW)]
    assert len(names) == len(set(names)) == 144
    assert (names[0], names[-1]) == ("app-20261119T0930.jsonl", "app-20261120T0920.jsonl")


@pytest.mark.parametrize(("rows", "lines"), [(1440, 1440), (1000, 1008), (1, 144)])
def test_there_are_about_as_many_lines_as_asked_for_and_none_is_refused(rows, lines):
    contract = load(CONTRACT)
    total = 0
    for name, body in files(rows, NOW):
        parsed, refusals = parse_lines(contract, body, checksum=name, place=name, ingest_time=NOW)
        start = datetime.strptime(name, "app-%Y%m%dT%H%M.jsonl").replace(tzinfo=UTC)
        assert not refusals
        assert all(start <= row["event_time"] <= start + SLOT for row in parsed)
        assert {row["level"] for row in parsed} <= {"INFO", "WARN", "ERROR"}
        total += len(parsed)
    assert total == lines


@pytest.mark.fault(11)
def test_a_slot_has_the_same_content_whenever_it_is_made():
    later = dict(files(1440, NOW + timedelta(hours=3)))
    shared = [(name, body) for name, body in files(1440, NOW) if name in later]
    assert len(shared) == 144 - 18
    assert all(later[name] == body for name, body in shared)
    assert len({body for _, body in shared}) == len(shared)
