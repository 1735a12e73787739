from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from lakehouse.contracts import Contract
from lakehouse.exceptions import ChangedMeanwhileError, ConfigurationError, CountError, HistoryError, TransientError, VerificationError
from lakehouse.iceberg.filters import equal
from lakehouse.opensearch import tally
from lakehouse.opensearch.cursor import SHIPMENTS, last_shipment
from lakehouse.opensearch.ship import finish, plan, ship, ship_part
from lakehouse.opensearch.shipment import Counts, Part, Shipment
from lakehouse.opensearch.target import Target
from tests.lakehouse.opensearch.lines import CONTRACT, SCHEMA, add_lines, catalog_in, target_in

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
INDEX = "logs-2026.11.20"


@pytest.fixture
def target(tmp_path) -> Target:
    return target_in(tmp_path)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> Iterator[SqlCatalog]:
    with catalog_in(tmp_path_factory.mktemp("catalog")) as opened:
        yield opened


NUMBERS = count()


@pytest.fixture
def contract() -> Contract:
    return replace(CONTRACT, table=f"db.lines{next(NUMBERS)}")


@pytest.fixture
def table(catalog, contract):
    return catalog.create_table(contract.table, schema=SCHEMA)


class Shipper:
    """The three steps with everything they need."""

    def __init__(self, catalog, client, contract: Contract, target: Target) -> None:
        self.catalog, self.client, self.contract, self.target = catalog, client, contract, target

    def plan(self, **options) -> list[Part]:
        return plan(self.catalog, self.client, self.contract, self.target, **({"now": NOW} | options))

    def part(self, part: Part) -> Counts:
        return ship_part(self.catalog, self.client, self.contract, self.target, part)

    def finish(self, parts, counts) -> Shipment:
        return finish(self.catalog, self.client, self.contract, self.target, parts, counts)

    def __call__(self, **options) -> Shipment:
        return ship(self.catalog, self.client, self.contract, self.target, **({"now": NOW} | options))

    def cursors(self) -> list[tuple[int, int]]:
        """Number and snapshot of every shipment."""
        rows = self.catalog.load_table(SHIPMENTS).scan(equal("source_table", self.contract.table)).to_arrow().to_pylist()
        return sorted((row["number"], row["to_snapshot_id"]) for row in rows)

    def refused(self) -> list[dict[str, Any]]:
        """What the table of refused rows has."""
        found = self.catalog.load_table("ops_db.refused_records").scan(equal("table_name", self.contract.table)).to_arrow().to_pylist()
        return sorted(found, key=lambda row: (row["record_key"], row["reason"]))

    def refusals(self) -> list[tuple[str, str, int]]:
        """Key, reason and rows of each line."""
        return [(row["record_key"], row["reason"], row["records"]) for row in self.refused()]


@pytest.fixture
def run(catalog, client, contract, table, target, waits) -> Shipper:
    return Shipper(catalog, client, contract, target)


add = partial(add_lines, at=NOW)


def sums(shipment: Shipment | Counts) -> tuple[int, int, int]:
    counts = shipment.counts if isinstance(shipment, Shipment) else shipment
    return counts.indexed, counts.already_there, counts.refused


def test_each_run_ships_what_is_new_since_the_last(run, node, table):
    assert run() == Shipment(run.contract.table, "logs-*", lag_rows=0, lag_seconds=0.0)
    one = add(table, "a", "b")
    first = run()
    assert (first.kind, first.rows_read, sums(first), first.from_snapshot_id, first.to_snapshot_id) == ("first", 2, (2, 0, 0), None, one)
    again = run()
    assert (again.kind, again.to_snapshot_id, again.number) == (None, one, 1)
    assert again.table_uuid == str(table.metadata.table_uuid)
    add(table, "c")
    two = add(table, "d")
    second = run()
    assert (second.kind, second.rows_read, sums(second), second.from_snapshot_id) == ("new", 2, (2, 0, 0), one)
    assert sorted(node.documents) == [(INDEX, key) for key in "abcd"]
    assert node.documents[INDEX, "a"] == {"at": "2026-11-20T12:00:00.000000Z", "size": 1, "snapshot_id": str(one)}
    assert run.cursors() == [(1, one), (2, two)]


@pytest.mark.fault(13)
def test_rows_without_a_time_or_outside_the_kept_days_are_refused_and_make_no_index(run, node, table):
    moments = {"old": NOW - timedelta(days=31), "ahead": NOW + timedelta(days=2), "none": None, "edge": NOW - timedelta(days=29)}
    moments |= {"epoch": datetime(1970, 1, 1, tzinfo=UTC), "last": datetime(9999, 12, 31, tzinfo=UTC)}
    for key, moment in moments.items():
        add(table, key, at=moment)
    shipment = run()
    assert (shipment.rows_read, sums(shipment), shipment.counts.unexpected) == (6, (1, 0, 5), 1)
    assert shipment.counts.reasons == {"outside_retention": 4, "no_event_time": 1}
    assert list(node.documents) == [("logs-2026.10.22", "edge")]
    outside = [(key, "outside_retention", 1) for key in ("ahead", "epoch", "last")]
    assert run.refusals() == [*outside, ("none", "no_event_time", 1), ("old", "outside_retention", 1)]


@pytest.mark.fault(7)
def test_a_row_that_the_mapping_refuses_is_kept_with_its_reason_and_the_cursor_goes_on(run, node, table):
    node.errors = {"b": (400, "mapper_parsing_exception", "failed to parse field [level]. Preview: '{token=abcdefgh12345}'")}
    snapshot = add(table, "a", "b", "c")
    assert sums(run()) == (2, 0, 1)
    (line,) = run.refused()
    wanted = {"record_key": "b", "place": "shipment 1", "reason": "mapper_parsing_exception", "target": "logs-*", "snapshot_id": snapshot}
    assert {name: line[name] for name in wanted} == wanted
    assert json.loads(line["masked"])["size"] == 1
    assert "[level]" in line["detail"]
    assert "abcdefgh" not in line["detail"]
    assert run.cursors() == [(1, snapshot)]
    assert sums(run(resync="send")) == (0, 2, 1)
    # Each shipment has its own line: it may refuse anew what was redriven meanwhile.
    assert run.refusals() == [("b", "mapper_parsing_exception", 1)] * 2


@pytest.mark.fault(7)
def test_every_refused_row_is_found_in_the_table_also_those_without_a_key_and_over_the_bound(run, node, table, monkeypatch):
    monkeypatch.setattr(tally, "_MAX_LISTED", 4)
    refused = 0
    for name in ("a", "b"):
        add(table, None, None, "", at=NOW)
        add(table, *(f"{name}{number}" for number in range(5)), at=None)
        refused += run(max_rows=4).counts.refused
        lines = run.refusals()
        assert sum(records for *_, records in lines) == refused
        assert len(lines) <= 8 * (1 if name == "a" else 2)
    assert refused == 16
    assert Counter({reason: 0 for _, reason, _ in lines}) == {"no_key": 0, "no_event_time": 0}
    assert sums(run(resync="send")) == (0, 0, 16)


@pytest.mark.fault(6)
def test_the_cursor_does_not_move_while_the_node_keeps_rejecting(run, node, table):
    add(table, "a", "b")
    node.busy = {"b": 10**6}
    with pytest.raises(TransientError):
        run()
    assert run.cursors() == []
    node.busy = {}
    assert sums(run()) == (1, 1, 0)
    assert node.held() == ["a", "b"]


@pytest.mark.fault(9)
@pytest.mark.parametrize("place", ["record_refusals", "record_shipment"])
def test_a_kill_between_bulk_and_cursor_ships_the_same_documents_again(run, node, table, monkeypatch, place):
    class Killed(BaseException):
        """SIGKILL, as far as one process can play it."""

    def die(*_) -> None:
        raise Killed

    add(table, "a", "b")
    with monkeypatch.context() as patch:
        patch.setattr(f"lakehouse.opensearch.ship.{place}", die)
        for _ in range(2):
            with pytest.raises(Killed):
                run()
    assert (run.cursors(), node.held()) == ([], ["a", "b"])
    assert sums(run()) == (0, 2, 0)
    assert node.held() == ["a", "b"]


def test_a_document_that_cannot_be_read_back_keeps_the_cursor(run, node, table):
    add(table, "a", "b")
    node.lost = {"b"}
    with pytest.raises(
        VerificationError, match=f"{INDEX} has 1 documents of snapshot [0-9]+; it had 0, and 2 were indexed: .*the cursor has not moved"
    ):
        run()
    assert run.cursors() == []
    node.lost = set()
    assert sums(run()) == (1, 1, 0)


# Parts


def test_parts_are_shipped_in_any_order_and_some_of_them_twice(run, node, table):
    for number in range(6):
        add(table, f"{number}a", f"{number}b")
    parts = run.plan(max_rows=4)
    assert [(part.first_file, part.file_count) for part in parts] == [(0, 2), (2, 2), (4, 2)]
    assert all(part == Part(**json.loads(json.dumps(asdict(part)))) for part in parts)
    shuffled = [parts[2], parts[0], parts[1]]
    for part in shuffled[:2]:
        run.part(part)
    counts = [run.part(part) for part in shuffled]
    shipment = run.finish(parts, counts)
    assert (shipment.rows_read, sums(shipment), len(node.documents)) == (12, (4, 8, 0), 12)
    assert run.cursors() == [(1, table.refresh().current_snapshot().snapshot_id)]


def test_parts_that_are_not_the_whole_are_an_error(run, table, subtests):
    for number in range(6):
        add(table, f"{number}a", f"{number}b")
    parts = run.plan(max_rows=4)
    counts = [run.part(part) for part in parts]
    for name, listed in {
        "a part is missing": (parts[:2], counts[:2]),
        "counts are missing": (parts, counts[:2]),
        "a part is there twice": ([*parts, parts[0]], [*counts, counts[0]]),
        "a part stands for another": ([*parts[:2], parts[0]], [*counts[:2], counts[0]]),
        "a part counted nothing": (parts, [*counts[:2], Counts()]),
        "a row is counted twice": (parts, [*counts[:2], replace(counts[2], refused=1)]),
    }.items():
        with subtests.test(name), pytest.raises(CountError, match=r"db\.lines\d+: read 12 rows in 6 files, but .*the cursor has not moved"):
            run.finish(*listed)
    assert run.cursors() == []
    assert run.finish(parts, counts).rows_read == 12


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda table: table.catalog.drop_table(table.name()), "replaced by another table", id="replaced"),
        pytest.param(
            lambda table: table.maintenance.expire_snapshots().older_than(datetime.now(UTC) + timedelta(days=1)).commit(),
            "snapshot",
            id="expired",
        ),
    ],
)
def test_a_part_of_a_table_that_changed_since_the_plan_is_not_shipped(run, node, table, catalog, change, words):
    add(table, "a")
    (part,) = run.plan()
    add(table, "b")
    change(table)
    if not catalog.table_exists(run.contract.table):
        add(catalog.create_table(run.contract.table, schema=SCHEMA), "a")
    with pytest.raises(HistoryError, match=words):
        run.part(part)
    assert node.documents == {}


def test_a_window_without_rows_still_moves_the_cursor(run, node, table):
    add(table)
    assert (run().rows_read, len(run.cursors()), run().kind) == (0, 1, None)


# Two runs at once


@pytest.mark.fault(11)
def test_the_same_window_shipped_by_two_runs_at_once_is_shipped_once(run, node, table):
    add(table, *(f"{number}" for number in range(50)))
    plans = [run.plan(), run.plan()]
    barrier = threading.Barrier(2)
    found: list[Counts] = []

    def work(part: Part) -> None:
        barrier.wait()
        found.append(run.part(part))

    threads = [threading.Thread(target=work, args=(parts[0],)) for parts in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(counts.indexed for counts in found), sum(counts.already_there for counts in found)) == (50, 50)
    for parts, counts in zip(plans, found, strict=True):
        run.finish(parts, [counts])
    assert (len(run.cursors()), len(node.documents)) == (1, 50)


@pytest.mark.fault(11)
@pytest.mark.parametrize("first", [0, 1], ids=["the shorter window ends first", "the longer window ends first"])
def test_of_two_runs_with_different_windows_one_moves_the_cursor_and_nothing_is_lost(run, node, table, first):
    add(table, "a")
    short = run.plan()
    add(table, "b")
    long = run.plan()
    plans = [short, long] if first == 0 else [long, short]
    run.finish(plans[0], [run.part(plans[0][0])])
    counts = run.part(plans[1][0])
    with pytest.raises(ChangedMeanwhileError, match=r"moved the cursor of logs-\* meanwhile .*trigger the DAG once more"):
        run.finish(plans[1], [counts])
    run()
    assert node.held() == ["a", "b"]
    assert run.cursors()[-1][1] == table.refresh().current_snapshot().snapshot_id


# History


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    ("change", "words", "there"),
    [
        pytest.param(lambda table: table.delete("key == 'a'"), "rows that were read may be gone or changed", 2, id="rows deleted"),
        pytest.param(
            lambda table: table.maintenance.expire_snapshots().older_than(datetime.now(UTC) + timedelta(days=1)).commit(),
            "expired",
            3,
            id="the start expired",
        ),
        pytest.param(
            lambda table: table.manage_snapshots().set_current_snapshot(table.history()[0].snapshot_id).commit(),
            "rolled back",
            2,
            id="rolled back",
        ),
    ],
)
def test_a_changed_history_stops_with_the_param_that_resyncs(run, node, table, change, words, there):
    add(table, "a", "b")
    add(table, "c")
    run()
    if words == "expired":
        add(table, "d")
    table.refresh()
    change(table)
    for _ in range(2):
        with pytest.raises(HistoryError, match=rf"db\.lines\d+: .*snapshot.*{words}.*the param `resync`, first as a dry run"):
            run()
    assert len(run.cursors()) == 1
    dry, sent = run(resync="dry run"), run(resync="send")
    assert (dry.counts.already_there, sent.counts.already_there) == (there, there)
    assert (dry.without_row, sent.without_row) == (3 - there, 3 - there)
    assert len(run.cursors()) == 2
    add(table, "e")
    assert (run().kind, "e" in node.held()) == ("new", True)


@pytest.mark.fault(12)
def test_a_table_that_was_replaced_stops_with_the_param_that_resyncs(run, table, catalog):
    add(table, "a")
    run()
    catalog.drop_table(run.contract.table)
    add(catalog.create_table(run.contract.table, schema=SCHEMA), "b")
    with pytest.raises(HistoryError, match=r"was replaced by another table since the last shipment; .*the param `resync`"):
        run()
    sent = run(resync="send")
    assert (sums(sent), sent.without_row) == ((1, 0, 0), 1)
    assert run().kind is None


# Resync


def test_a_dry_run_says_what_is_missing_and_writes_nothing(run, node, table):
    add(table, "a", "b", "c", "a", None, None)
    first = run(resync="dry run")
    assert (first.counts.missing, sums(first), first.counts.same_id, first.without_row) == (3, (0, 1, 2), 1, 0)
    assert (run.refusals(), run.cursors(), node.bulks) == ([], [], [])
    run()
    refusals, cursors, bulks = run.refusals(), run.cursors(), len(node.bulks)
    del node.documents[INDEX, "b"]
    node.documents[INDEX, "z"] = {}
    dry = run(resync="dry run")
    assert (dry.kind, dry.rows_read, dry.counts.missing, sums(dry)) == ("dry run", 6, 1, (0, 3, 2))
    assert (dry.counts.same_id, dry.without_row, dry.counts.bytes_sent) == (1, 1, 0)
    assert (run.refusals(), run.cursors(), len(node.bulks), "b" in node.held()) == (refusals, cursors, bulks, False)
    sent = run(resync="send")
    assert (sent.kind, sums(sent), sent.without_row) == ("resync", (1, 3, 2), 1)
    assert [number for number, _ in run.cursors()] == [1, 2]


def test_an_id_that_is_in_two_indices_is_not_missing_twice(run, node, table):
    """A row whose event time was corrected."""
    add(table, "a", "b")
    node.documents = {(INDEX, "a"): {}, ("logs-2026.11.01", "a"): {}}
    counts = run(resync="dry run").counts
    assert (counts.missing, counts.already_there) == (1, 1)


def test_a_resync_of_some_days_sends_those_and_leaves_the_cursor(run, node, table):
    for day in range(4):
        add(table, f"{day}", at=NOW - timedelta(days=day))
    add(table, "none", at=None)
    run()
    before = run.cursors()
    node.documents = {("logs-2026.11.17", "z"): {}, ("logs-2026.11.19", "z"): {}}
    sent = run(resync="send", from_day=date(2026, 11, 18), to_day=date(2026, 11, 19))
    assert (sent.rows_read, sums(sent), sent.without_row) == (2, (2, 0, 0), 1)
    assert node.held() == ["1", "2", "z", "z"]
    assert run.cursors() == before
    with pytest.raises(ConfigurationError, match="days can only be given for a resync"):
        run(from_day=date(2026, 11, 18))


# Limits


@pytest.mark.parametrize("parts", [1, 100], ids=["in one part", "in a part for each file"])
def test_rows_that_would_make_too_many_indices_stop_before_they_make_them(run, node, table, parts):
    run.target = replace(run.target, max_new_indices=3)
    node.documents = {("logs-2026.11.19", "z"): {}}
    for day in range(4):
        add(table, f"{day}", at=NOW - timedelta(days=day))
    assert sums(run(max_rows=1000 // parts)) == (4, 0, 0)
    for day in range(4, 9):
        add(table, f"{day}", at=NOW - timedelta(days=day))
    with pytest.raises(
        ConfigurationError, match=r"would make [45] new indices in one run \(logs-2026\.11\.\d\d to .*raise `max_new_indices`"
    ):
        run(max_rows=1000 // parts)
    assert len({index for index, _ in node.documents}) <= 4 + 3
    assert len(run.cursors()) == 1


def test_rows_with_one_id_are_one_document_and_are_counted_as_such(run, node, table):
    add(table, "a", "a", "b")
    shipment = run()
    assert (shipment.rows_read, sums(shipment), shipment.counts.same_id) == (3, (2, 1, 0), 1)


def test_rows_of_a_table_without_a_key_are_known_by_their_values(run, node, table):
    run.contract = replace(run.contract, primary_key=())
    add(table, "a", "a", "b")
    shipment = run()
    assert (sums(shipment), shipment.counts.same_id) == ((2, 1, 0), 1)
    add(table, "b")
    assert sums(run()) == (0, 1, 0)


def test_rows_are_sent_in_bulks_of_bounded_size(run, node, table, monkeypatch):
    monkeypatch.setattr("lakehouse.opensearch.ship.BULK_BYTES", 1_000)
    monkeypatch.setattr("lakehouse.opensearch.ship._BATCH_ROWS", 50)
    keys = [f"{number:03d}" for number in range(120)]
    add(table, *keys)
    shipment = run()
    assert (sums(shipment), node.held()) == ((120, 0, 0), keys)
    assert [key for bulk in node.bulks for key in bulk] == keys
    assert 12 < len(node.bulks) < 60
    assert shipment.counts.bytes_sent > 120 * 100


def test_what_came_meanwhile_is_the_lag(run, table):
    add(table, "a")
    parts = run.plan()
    counts = [run.part(part) for part in parts]
    add(table, "b", "c")
    shipment = run.finish(parts, counts)
    assert (shipment.lag_rows, 0 < shipment.lag_seconds < 60) == (2, True)
    assert (run().lag_rows, run().lag_seconds) == (0, 0.0)


def test_a_mapping_that_does_not_fit_is_found_before_a_row_is_sent(run, node, table, target):
    template = json.loads(target.template.read_text())
    template["template"]["mappings"]["properties"]["size"] = {"type": "date"}
    target.template.write_text(json.dumps(template))
    add(table, "a")
    with pytest.raises(ConfigurationError, match=r"nothing was sent.*\n.*size"):
        run()
    assert node.bulks == []


def test_the_same_table_has_a_cursor_for_each_target(run, catalog, table):
    add(table, "a")
    run()
    assert last_shipment(catalog, run.contract.table, "other-*") is None
    run.target = replace(run.target, prefix="other-")
    assert sums(run()) == (1, 0, 0)
