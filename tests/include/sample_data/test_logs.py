from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from include.logs import to_row
from include.sample_data.logs import SLOT, files
from lakehouse.contracts import load
from lakehouse.jsonlines import parse_lines
from lakehouse.masking import hide_secrets

CONTRACT = Path(__file__).resolve().parents[3] / "include" / "contracts" / "raw_logs.odcs.yaml"
NOW = datetime(2026, 11, 20, 9, 37, 12, tzinfo=UTC)


def test_a_day_of_closed_slots_ends_before_now():
    names = [name for name, _ in files(1440, NOW)]
    assert len(names) == len(set(names)) == 144
    assert (names[0], names[-1]) == ("app-20261119T0930.jsonl", "app-20261120T0920.jsonl")


@pytest.mark.parametrize(("rows", "lines"), [(5000, 5000), (1440, 1440), (1, 144)])
def test_there_are_about_as_many_lines_as_asked_for_and_none_is_refused(rows, lines):
    contract = load(CONTRACT)
    total = 0
    for name, body in files(rows, NOW):
        parsed, refusals = parse_lines(contract, body, checksum=name, place=name, ingest_time=NOW, to_row=to_row)
        start = datetime.strptime(name, "app-%Y%m%dT%H%M.jsonl").replace(tzinfo=UTC)
        assert not refusals
        assert all(start <= row["event_time"] <= start + SLOT for row in parsed)
        assert {row["level"] for row in parsed} <= {"INFO", "WARN", "ERROR"}
        total += len(parsed)
    assert abs(total - lines) <= 0.02 * lines


@pytest.mark.fault(11)
def test_a_slot_has_the_same_content_whenever_it_is_made():
    later = dict(files(1440, NOW + timedelta(hours=3)))
    shared = [(name, body) for name, body in files(1440, NOW) if name in later]
    assert len(shared) == 144 - 18
    assert all(later[name] == body for name, body in shared)
    assert len({body for _, body in shared}) == len(shared)


@pytest.fixture(scope="module")
def lines() -> list[dict]:
    return [orjson.loads(line) for _, body in files(20_000, NOW) for line in body.splitlines()]


def test_days_have_a_rhythm(lines):
    hours = Counter(line["event_time"][11:13] for line in lines)
    assert hours["15"] > 2 * hours["03"]


def test_most_orders_are_accepted_and_then_filled_or_rejected_by_the_same_user(lines):
    orders = defaultdict(list)
    for line in lines:
        if "order_id" in line["meta"]:
            orders[line["meta"]["order_id"]].append(line)
    lives = Counter(
        tuple(line["message"].split(":")[0] for line in life if line["message"].startswith("order ")) for life in orders.values()
    )
    assert lives["order accepted", "order filled"] > 0.8 * len(orders)
    assert lives["order accepted", "order rejected"] > 0.05 * len(orders)
    assert all(len({line["meta"]["user"] for line in life}) == 1 for life in orders.values())
    assert all(life == sorted(life, key=lambda line: line["event_time"]) for life in orders.values())


def test_a_service_fails_for_minutes_with_stack_traces_and_recovers(lines):
    failed = [line for line in lines if line["message"].startswith("call failed")]
    assert len(failed) > 50
    assert all(line["level"] == "ERROR" and line["message"].count("\n") >= 4 for line in failed)
    slots = {(line["meta"]["service"], line["event_time"][:15]) for line in failed}
    recovered = {(line["meta"]["service"], line["event_time"][:15]) for line in lines if line["message"].startswith("recovered")}
    assert recovered
    assert slots >= recovered
    assert sum(line["level"] == "ERROR" for line in lines) < 0.1 * len(lines)


def test_no_line_looks_like_a_secret(lines):
    for line in lines:
        text = orjson.dumps(line).decode()
        assert hide_secrets(text) == text
