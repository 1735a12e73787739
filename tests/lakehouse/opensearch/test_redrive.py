from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from itertools import count
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from lakehouse.contracts import Contract
from lakehouse.exceptions import ConfigurationError, VerificationError
from lakehouse.iceberg.filters import equal
from lakehouse.opensearch import tally
from lakehouse.opensearch.redrive import REDRIVES, REFUSED_RECORDS, Open, open_refusals, prospects, redrive
from lakehouse.opensearch.ship import plan, ship, ship_part
from lakehouse.opensearch.target import Target
from lakehouse.ops.tables import RefusedRecord, record_refusals
from tests.lakehouse.opensearch.lines import CONTRACT, SCHEMA, add_lines, catalog_in, target_in

NOW = datetime.now(UTC).replace(microsecond=0)  # a redrive judges a row's age by the clock
MAPPING, OTHER = "mapper_parsing_exception", "illegal_argument_exception"
ERROR, OTHER_ERROR = (400, MAPPING, "failed to parse field [size]"), (400, OTHER, "mapper [size] cannot be changed")
NUMBERS = count()


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> Iterator[SqlCatalog]:
    with catalog_in(tmp_path_factory.mktemp("catalog")) as opened:
        yield opened


class Redriver:
    """Shipping and sending again, with everything they need."""

    def __init__(self, catalog, client, contract: Contract, target: Target) -> None:
        self.catalog, self.client, self.contract, self.target = catalog, client, contract, target

    def ship(self) -> None:
        """Ship the whole table and leave the cursor, which a redrive does not ask."""
        for part in plan(self.catalog, self.client, self.contract, self.target, now=NOW):
            ship_part(self.catalog, self.client, self.contract, self.target, part)

    def find(self, **options) -> Open:
        return open_refusals(self.catalog, self.contract, self.target, **options)

    def prospects(self, **options) -> dict[str, dict[str, int]]:
        return prospects(self.catalog, self.contract, self.target, self.find(**options).refusals)

    def open(self, **options) -> list[str]:
        return [refusal.record_key for refusal in self.find(**options).refusals]

    def __call__(self, run_id: str = "run", **options) -> dict[str, int]:
        return redrive(self.catalog, self.client, self.contract, self.target, self.find(**options).refusals, run_id=run_id)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self.catalog.load_table(table).scan(equal("table_name", self.contract.table)).to_arrow().to_pylist()

    def noted(self) -> list[tuple[str, str, str | None]]:
        """Run, outcome and reason of each line of `ops_db.redrives`."""
        return sorted(((row["run_id"], row["outcome"], row["reason"]) for row in self.rows(REDRIVES)), key=str)


@pytest.fixture
def contract() -> Contract:
    return replace(CONTRACT, table=f"db.lines{next(NUMBERS)}")


@pytest.fixture
def table(catalog, contract):
    return catalog.create_table(contract.table, schema=SCHEMA)


@pytest.fixture
def run(catalog, client, contract, table, tmp_path, waits) -> Redriver:
    return Redriver(catalog, client, contract, target_in(tmp_path))


add = partial(add_lines, at=NOW)


@pytest.mark.fault(7)
def test_what_was_refused_for_its_mapping_goes_through_once_that_is_cured_and_is_closed(run, node, table):
    add(table, "a", "b", "c")
    node.errors = {"b": ERROR, "c": ERROR}
    run.ship()
    found = run.find()
    assert (run.prospects(), found.left, found.not_listed) == ({MAPPING: {"ready": 2}}, 0, 0)
    assert (len(node.bulks), run.noted()) == (1, [])
    node.errors = {}
    assert run() == {"indexed": 2}
    assert (node.held(), node.bulks[1:]) == (["a", "b", "c"], [["b", "c"]])
    assert run.find() == Open((), 0, 0)
    assert run.noted() == [("run", "indexed", None)] * 2
    assert run("next") == {}
    assert len(run.noted()) == 2


def test_the_row_is_sent_as_it_is_in_the_source_now(run, node, table):
    add(table, "a", size=1)
    node.errors = {"a": ERROR}
    run.ship()
    table.delete("key == 'a'")
    add(table, "a", size=2)
    node.errors = {}
    assert run() == {"indexed": 1}
    (document,) = node.documents.values()
    assert (document["size"], document["snapshot_id"]) == (2, str(table.current_snapshot().snapshot_id))


def test_what_is_refused_again_stays_open_and_a_cleared_run_notes_how_it_ended(run, node, table):
    add(table, "a")
    node.errors = {"a": ERROR}
    run.ship()
    for _ in range(2):
        assert run("one") == {"refused": 1}
        assert run.open() == ["a"]
    assert run.noted() == [("one", "refused", MAPPING)]
    assert len(run.rows(REFUSED_RECORDS)) == 1
    node.errors = {}
    assert run("one") == {"indexed": 1}
    assert run.noted() == [("one", "indexed", None), ("one", "refused", MAPPING)]
    assert run.open() == []


def test_a_row_that_is_refused_for_another_reason_than_before_has_both_open_until_it_is_in(run, node, table):
    add(table, "a")
    node.errors = {"a": ERROR}
    run.ship()
    node.errors = {"a": OTHER_ERROR}
    assert run("one") == {"refused": 1}
    assert run.prospects() == {MAPPING: {"ready": 1}, OTHER: {"ready": 1}}
    assert {row["place"] for row in run.rows(REFUSED_RECORDS)} == {"shipment 1"}
    node.errors = {}
    assert run("two") == {"indexed": 1}
    assert (run.open(), node.held()) == ([], ["a"])


def test_rows_that_left_the_source_are_gone(run, node, table):
    add(table, "a", "b")
    node.errors = {"a": ERROR, "b": ERROR}
    run.ship()
    table.delete("key == 'a'")
    node.errors = {}
    assert run.prospects() == {MAPPING: {"gone": 1, "ready": 1}}
    assert run() == {"gone": 1, "indexed": 1}
    assert (run.open(), node.held()) == ([], ["b"])
    assert run.noted() == [("run", "gone", None), ("run", "indexed", None)]


@pytest.mark.fault(7)
def test_a_row_that_was_closed_and_is_refused_by_a_later_shipment_is_open_again(run, node, table, catalog, client):
    add(table, "a")
    node.errors = {"a": ERROR}
    ship(catalog, client, run.contract, run.target)
    node.errors = {}
    assert (run("one"), run.open()) == ({"indexed": 1}, [])
    add(table, "a")
    node.errors = {"a": ERROR}
    ship(catalog, client, run.contract, run.target)
    assert [(refusal.record_key, refusal.place) for refusal in run.find().refusals] == [("a", "shipment 2")]


@pytest.mark.fault(13)
def test_rows_that_are_too_old_are_taken_only_when_they_are_asked_for(run, node, table):
    add(table, "old", at=NOW - timedelta(days=40))
    add(table, "a", at=NOW)
    node.errors = {"a": ERROR}
    run.ship()
    assert run.open() == ["a"]
    assert run.prospects(reason="outside_retention") == {"outside_retention": {"refused_again": 1}}
    assert run(reason="outside_retention") == {"refused": 1}
    assert run.noted() == [("run", "refused", "outside_retention")]
    run.contract = replace(run.contract, retention_days=60)
    assert run.prospects(reason="outside_retention") == {"outside_retention": {"ready": 1}}
    assert run(reason="outside_retention") == {"indexed": 1}
    assert (node.held(), run.open(reason="outside_retention"), run.open()) == (["old"], [], ["a"])


def test_refusals_are_found_by_reason_shipment_moment_and_target(run):
    def refused(key: str, place: int, reason: str, **other) -> RefusedRecord:
        values = {
            "table_name": run.contract.table,
            "record_key": key,
            "place": f"shipment {place}",
            "reason": reason,
            "target": "logs-*",
        }
        return RefusedRecord(**(values | {"detail": "", "masked": ""} | other))

    others = [
        refused("d", 1, MAPPING, target="other-*"),
        refused("e", 1, MAPPING, target=None),
        refused("f", 1, MAPPING, table_name="db.x"),
    ]
    record_refusals(run.catalog, [refused("a", 1, MAPPING), refused("b", 1, OTHER), *others])
    between = datetime.now(UTC)
    record_refusals(run.catalog, [refused("c", 2, MAPPING)])
    assert run.open() == ["a", "b", "c"]
    assert (run.open(reason=MAPPING), run.open(reason=OTHER), run.open(reason="other")) == (["a", "c"], ["b"], [])
    assert (run.open(shipment=1), run.open(shipment=2), run.open(shipment=9)) == (["a", "b"], ["c"], [])
    assert run.open(shipment=1, reason=MAPPING) == ["a"]
    assert (run.open(until=between), run.open(until=between - timedelta(hours=1))) == (["a", "b"], [])


def test_what_was_tried_in_vain_comes_last_so_that_nothing_starves(run, node, table):
    add(table, "a", "b", "c")
    node.errors = dict.fromkeys("abc", ERROR)
    run.ship()
    assert (run.open(limit=2), run.find(limit=2).left) == (["a", "b"], 1)
    run("one", limit=2)
    assert run.open(limit=2) == ["c", "a"]
    run("two", limit=2)
    assert run.open() == ["b", "c", "a"]


def test_rows_without_a_key_of_their_own_and_those_over_the_bound_are_counted_as_not_listed(run, node, table, monkeypatch):
    monkeypatch.setattr(tally, "_MAX_LISTED", 3)
    long = "x" * 600
    node.errors = {f"sha256:{sha256(long.encode()).hexdigest()}": ERROR}
    add(table, None, None, long)
    add(table, *(f"{number}" for number in range(6)), at=None)
    run.ship()
    found = run.find()
    # Two without a key, one whose id is not its key, three over the bound.
    assert (run.prospects(), found.not_listed) == ({"no_event_time": {"refused_again": 3}}, 2 + 1 + 3)
    assert (run.find(reason=MAPPING).not_listed, run.find(reason=MAPPING).refusals) == (1, ())


def test_a_key_that_is_twice_ends_once_and_stays_open_while_one_of_its_rows_is_refused(run, node, table, monkeypatch):
    monkeypatch.setattr("lakehouse.opensearch.redrive._BATCH_ROWS", 1)
    add(table, "both", "both", "good first")
    add(table, "bad first", "good first", at=None)
    add(table, "bad first")
    node.errors = {"both": ERROR}
    run.ship()
    node.errors = {}
    assert run.prospects()[MAPPING] == {"ready": 1}
    assert run() == {"indexed": 1, "refused": 2}
    assert (sorted(run.open()), node.held()) == (["bad first", "good first"], ["bad first", "both", "good first"])


@pytest.mark.parametrize("key", [(), ("key", "size")], ids=["no key", "a key of two columns"])
def test_a_table_without_a_key_of_one_column_says_what_to_do_instead(run, key):
    run.contract = replace(run.contract, primary_key=key)
    with pytest.raises(ConfigurationError, match=r"db\.lines\d+ has no key of one column, .*resync its days instead"):
        run.prospects()


def test_a_document_that_cannot_be_read_back_closes_nothing(run, node, table):
    add(table, "a", "b")
    node.errors = {"a": ERROR, "b": ERROR}
    run.ship()
    node.errors, node.lost = {}, {"b"}
    with pytest.raises(VerificationError, match=r"logs-\d{4}\.\d\d\.\d\d has 1 of the 2 documents just sent; clear the task"):
        run()
    assert (run.noted(), run.open()) == ([], ["a", "b"])
    node.lost = set()
    assert (run(), run.open()) == ({"already_there": 1, "indexed": 1}, [])


def test_a_clock_or_a_template_that_is_wrong_stops_before_a_row_is_sent(run, node, table, subtests):
    add(table, "a")
    node.errors = {"a": ERROR}
    run.ship()
    node.errors = {}
    node.ahead = 3600
    with subtests.test("clock"), pytest.raises(ConfigurationError, match="set the clocks right"):
        run()
    node.ahead = 0
    template = json.loads(run.target.template.read_text())
    template["template"]["mappings"]["properties"]["size"] = {"type": "date"}
    run.target.template.write_text(json.dumps(template))
    with subtests.test("template"), pytest.raises(ConfigurationError, match=r"nothing was sent.*\n.*size"):
        run()
    assert (len(node.bulks), run.noted(), run.open()) == (1, [], ["a"])


@pytest.mark.fault(7)
def test_a_row_that_was_closed_and_is_refused_by_a_resync_of_the_same_snapshot_is_open_again(run, node, table, catalog, client):
    add(table, "a")
    node.errors = {"a": ERROR}
    ship(catalog, client, run.contract, run.target)
    node.errors = {}
    assert (run("one"), run.open()) == ({"indexed": 1}, [])
    node.documents.clear()
    node.errors = {"a": ERROR}
    ship(catalog, client, run.contract, run.target, resync="send")
    assert [refusal.record_key for refusal in run.find().refusals] == ["a"]
