"""Shipping through a proxy that lets single calls go wrong, to the real OpenSearch: the counts hold, or the run fails and says why."""

from __future__ import annotations

import json
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyiceberg.catalog import Catalog

from lakehouse import http
from lakehouse.exceptions import ConfigurationError, LakehouseError, ServiceError, StorageFullError, TransientError, VerificationError
from lakehouse.opensearch import send
from lakehouse.opensearch import ship as shipping
from lakehouse.opensearch.client import OpenSearchClient
from stack.installation import Installation
from tests.fault_proxy import Answer, FaultProxy, with_body
from tests.integration.shipping import NOW, Logs, document, killer, logs

pytestmark = pytest.mark.integration

BULK, SEARCH = "/_bulk", "/_search"
BULK_BYTES = 3_000  # about ten rows
PLANTED = ("Planted0Secret9Value", "AKIAPLANTED0SECRET99", "planted.person@example.org")


def order_id_is_a_number(mapping: dict[str, Any]) -> None:
    """So that an order id of letters is a real mapping error."""
    mapping["properties"]["meta"]["properties"]["order_id"] = {"type": "long"}


@pytest.fixture
def made(catalog: Catalog, stack: Installation, fresh_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logs]:
    monkeypatch.setattr(shipping, "BULK_BYTES", BULK_BYTES)
    monkeypatch.setattr(send, "_BACK_OFF", (0.02, 0.04, 0.08))
    monkeypatch.setattr(http, "_PATIENCE", (0.02, 0.04, 0.08))
    with logs(catalog, fresh_name, order_id_is_a_number) as made:
        yield made


@pytest.fixture
def proxy(made: Logs) -> Iterator[FaultProxy]:
    """In front of the node."""
    with FaultProxy(made.client.base_url, verify=str(made.client._verify)) as proxy:
        yield proxy


@pytest.fixture
def client(made: Logs, proxy: FaultProxy) -> Iterator[OpenSearchClient]:
    """The shipper's client, through the proxy."""
    opened = made.at(proxy.url)
    yield opened
    opened.session.close()


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(row["log_id"] for row in rows)


def held(made: Logs) -> list[str]:
    return sorted(key for _, key in made.documents())


def items(body: bytes, change: Callable[[int, dict[str, Any]], dict[str, Any]]) -> bytes:
    answer = json.loads(body)
    answer["items"] = [{"create": change(number, item["create"])} for number, item in enumerate(answer["items"])]
    return json.dumps(answer).encode()


def rejected(number: int, item: dict[str, Any]) -> dict[str, Any]:
    busy = {"status": 429, "error": {"type": "rejected_execution_exception", "reason": "queue is full"}}
    return busy if number % 3 == 0 else item


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    "what",
    [
        pytest.param({"drop": True}, id="the connection is closed after the node took the body"),
        pytest.param({"answer": lambda _: Answer(503)}, id="503 after the node took the body"),
        pytest.param({"cut": 20}, id="the answer is cut off"),
        pytest.param({"status": 502}, id="502 before the node saw it"),
        pytest.param({"status": 429}, id="429 before the node saw it"),
    ],
)
def test_a_lost_answer_of_a_bulk_counts_each_row_once(
    made: Logs, proxy: FaultProxy, client: OpenSearchClient, what: dict[str, Any]
) -> None:
    rows = made.append([NOW] * 30)
    fault = proxy.add("POST", BULK, nth=2, **what)
    counts = made.ship(client).counts
    taken = "status" not in what
    assert fault.seen >= 4
    assert (counts.indexed + counts.already_there, counts.refused, counts.already_there > 0) == (30, 0, taken)
    assert held(made) == ids(rows)


@pytest.mark.fault(6)
def test_items_that_are_rejected_are_sent_again_and_only_those(made: Logs, proxy: FaultProxy, client: OpenSearchClient) -> None:
    rows = made.append([NOW] * 30)
    sent: list[int] = []
    proxy.add("POST", BULK, times=2, answer=with_body(lambda body: items(body, rejected)))
    proxy.add("POST", BULK, times=0, request=lambda body: (sent.append(body.count(b'"create"')), body)[1])
    counts = made.ship(client).counts
    assert (counts.indexed + counts.already_there, counts.already_there, len(sent)) == (30, 4, 3)
    assert held(made) == ids(rows)


@pytest.mark.fault(6)
def test_items_that_stay_rejected_fail_the_run_and_the_cursor_stays(made: Logs, proxy: FaultProxy, client: OpenSearchClient) -> None:
    rows = made.append([NOW] * 30)
    proxy.add("POST", BULK, times=0, answer=with_body(lambda body: items(body, rejected)))
    with pytest.raises(TransientError, match=r"kept rejecting .* 429 rejected_execution_exception: queue is full"):
        made.ship(client)
    assert made.numbers_of_shipments() == []
    proxy.heal()
    counts = made.ship(client).counts
    assert (counts.indexed + counts.already_there, held(made)) == (30, ids(rows))


@pytest.mark.fault(7)
def test_a_mapping_error_a_conflict_and_a_bulk_that_is_too_large(made: Logs, proxy: FaultProxy, client: OpenSearchClient) -> None:
    rows = made.append([NOW] * 28)
    bad = made.append([NOW], meta='{"order_id": "letters"}')
    large = made.append([NOW], message="x" * 5_000)
    there = rows[7]
    made.admin.request("PUT", f"/{made.index()}/_create/{there['log_id']}?refresh=true", json={"message": "an earlier self"})
    proxy.add("POST", BULK, times=0, when=lambda body: len(body) > 1_500, status=413)
    counts = made.ship(client).counts
    assert (counts.indexed, counts.already_there, counts.refused) == (27, 1, 2)
    assert {(row["record_key"], row["reason"]) for row in made.refused()} == {
        (bad[0]["log_id"], "mapper_parsing_exception"),
        (large[0]["log_id"], "too_large"),
    }
    assert any("order_id" in row["detail"] for row in made.refused())
    assert held(made) == ids(rows)
    assert made.documents()[made.index(), there["log_id"]] == {"message": "an earlier self"}


KEYS = st.text(max_size=5) | st.sampled_from(
    ["user", "order_id", "a", "b", "a.b", ".", " ", "a. ", "_id", "_source", "*", "a*", "\x00", "é"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)
ODD = [
    "not JSON",
    "",
    "[1, 2]",
    '{"a": NaN}',
    '{"a": "\\ud800"}',
    '{"a": 123456789012345678901234567890}',
    '{"a": -1e300, "b": 1e400}',
    json.dumps({f"key{number}": 1 for number in range(1_000)}),
    json.dumps({f"key{number}": 1 for number in range(50)}),
    '{"a": ' + "[" * 50 + "]" * 50 + "}",
    '{"a": {"b": {"c": {"d": {"e": 1}}}}}',
    '{"user": {"id": 1}, "a.b": 1, "a": 2}',
    '{"user": "' + "ü" * 7_000 + '"}',
    "x" * 40_000,
]


@pytest.mark.fault(8)
def test_odd_values_are_all_taken_by_the_node_and_come_back_as_they_were(made: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "BULK_BYTES", 1_000_000)

    @settings(max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
    @given(metas=st.lists(st.dictionaries(KEYS, VALUES, max_size=4).map(json.dumps), min_size=100, max_size=120), message=st.text())
    def run(metas: list[str], message: str) -> None:
        before = set(made.documents())
        rows = [row for meta in (*ODD, *metas) for row in _rows(made, meta=meta, message=message)]
        made.append_rows(rows)
        counts = made.ship().counts
        # A number is wanted in `order_id`, by this test's mapping alone.
        refused = {row["record_key"] for row in made.refused()}
        assert counts.refused == len(refused & set(ids(rows)))
        documents = {key: source for key, source in made.documents().items() if key not in before}
        for row in rows:
            if row["log_id"] in refused:
                assert "order_id" in row["meta"]
                continue
            source = documents[made.index(), row["log_id"]]
            kept = {name: source.pop(name) for name in ("meta", "meta_text", "snapshot_id", "service") if name in source}
            assert source == document(row)
            assert (
                kept.get("meta_text", "")[:8_000] == row["meta"][:8_000] if "meta_text" in kept else kept["meta"] == json.loads(row["meta"])
            )

    run()


def _rows(made: Logs, **columns: Any) -> list[dict[str, Any]]:
    plain = {"level": "ERROR", "message": "same text", "meta": None, "ingest_time": NOW, "event_time": NOW}
    return [plain | columns | {"log_id": f"{made.name}-{next(made.numbers):05d}"}]


@pytest.mark.fault(9)
def test_a_process_killed_in_mid_bulk_and_another_before_the_cursor_leave_each_row_once(made: Logs, proxy: FaultProxy) -> None:
    rows = made.append([NOW] * 60) + made.append([NOW - timedelta(days=1)] * 20)
    refused = made.append([None] * 3)
    running: list[subprocess.Popen[str]] = []
    kill = killer(lambda: running[-1])
    # The node took the third bulk and its answer is on the way; then, the last bulk went in and the end reads the indices back.
    for path, nth in ((BULK, 3), (SEARCH, 3)):
        proxy.heal()
        fault = proxy.add("POST", path, nth=nth, after=kill, drop=True)
        running.append(made.start_process(proxy.url, BULK_BYTES))
        _, errors = running[-1].communicate(timeout=60)
        assert (running[-1].returncode, fault.seen) == (-9, nth), errors
        assert made.numbers_of_shipments() == []
        there = len(made.documents())
        assert there == 80 if path == SEARCH else 0 < there < 80
    proxy.heal()
    shipment = made.ship(made.at(proxy.url))
    counts = shipment.counts
    assert (shipment.rows_read, counts.indexed, counts.already_there, counts.refused) == (83, 0, 80, 3)
    assert held(made) == ids(rows)
    assert sorted(row["record_key"] for row in made.refused()) == ids(refused)
    assert made.numbers_of_shipments() == [1]
    assert {key: source for (_, key), source in made.documents().items()} == {
        row["log_id"]: document(row, snapshot_id=str(shipment.to_snapshot_id)) for row in rows
    }


@pytest.mark.fault(11)
def test_the_same_shipment_by_two_processes_at_once_is_as_one(made: Logs, proxy: FaultProxy) -> None:
    rows = made.append([NOW] * 60) + made.append([NOW - timedelta(days=1)] * 20)
    refused = made.append([None])
    both = threading.Barrier(2, timeout=60)
    proxy.add("POST", BULK, times=2, before=both.wait)
    processes = [made.start_process(proxy.url, BULK_BYTES) for _ in range(2)]
    outputs = [process.communicate(timeout=90) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    shipments = [json.loads(out.splitlines()[-1]) for out, _ in outputs]
    assert sum(shipment["indexed"] for shipment in shipments) == 80
    assert all(shipment["indexed"] + shipment["already_there"] == 80 for shipment in shipments)
    assert held(made) == ids(rows)
    assert (len(made.refused()), made.refused()[0]["record_key"]) == (1, refused[0]["log_id"])
    assert made.numbers_of_shipments() == [1]


@pytest.mark.fault(22)
def test_a_node_that_takes_five_seconds_is_waited_for(made: Logs, proxy: FaultProxy, client: OpenSearchClient) -> None:
    made.append([NOW])
    proxy.add("POST", BULK, delay=5)
    assert made.ship(client).counts.indexed == 1


@pytest.mark.fault(22)
def test_a_node_that_is_not_there_or_not_the_one_we_trust_is_named_and_nothing_is_green(made: Logs, proxy: FaultProxy) -> None:
    made.append([NOW])
    stranger = OpenSearchClient("OpenSearch", made.client.base_url, auth=made.client.session.auth, verify=True)
    with pytest.raises(ServiceError, match="TLS failed, check the connection's ca_certs"):
        made.ship(stranger)
    stranger.session.close()
    with FaultProxy(made.client.base_url) as gone:
        nobody = made.at(gone.url)
    with pytest.raises(TransientError, match=r"does not answer .connection refused.*host and port of its connection"):
        made.ship(nobody)
    nobody.session.close()
    for fault in (BULK, SEARCH):
        proxy.heal()
        proxy.add("POST", fault, times=0, status=503)
        client = made.at(proxy.url)
        with pytest.raises(TransientError, match="503"):
            made.ship(client)
        client.session.close()
    assert made.numbers_of_shipments() == []
    assert made.ship().rows_read == 1


@pytest.mark.fault(23)
def test_planted_secrets_are_found_in_no_log_no_refused_row_and_no_error(
    made: Logs, proxy: FaultProxy, client: OpenSearchClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    word, key, mail = PLANTED
    leaky = f"GET https://user:{word}@host/ password={word} aws {key} by {mail}, Authorization: Bearer {word}.{word}"
    meta = {"password": word, "order_id": f"token={word}", "user": mail, "note": leaky}
    made.append([NOW, None, NOW - timedelta(days=99)], message=leaky, meta=json.dumps(meta))
    made.append([NOW], message=leaky, meta=json.dumps({"order_id": {"password": word, "x": key}}))
    made.append([NOW], message=leaky, meta=f"no JSON: {leaky}")
    counts = made.ship(client).counts
    assert (counts.indexed, counts.refused) == (2, 3)
    assert {row["reason"] for row in made.refused()} == {"mapper_parsing_exception", "no_event_time", "outside_retention"}
    errors: list[str] = []
    for change in (
        lambda item: item | {"status": 400, "error": {"type": "new_exception", "reason": f"Preview: '{leaky}'"}},
        lambda item: item | {"status": 403, "error": {"type": "cluster_block_exception", "reason": f"blocked: '{leaky}'"}},
        lambda item: item | {"status": 500, "error": {"type": "new_exception", "reason": "it", "caused_by": {"reason": leaky}}},
        None,
    ):
        proxy.heal()
        broken = with_body(lambda body, change=change: items(body, lambda _, item: change(item)))
        proxy.add("POST", BULK, times=0, answer=broken if change else lambda _: Answer(400, body=json.dumps({"error": leaky}).encode()))
        made.append([NOW], message=leaky)
        with pytest.raises(LakehouseError) as caught:
            made.ship(client)
        error: BaseException | None = caught.value
        while error is not None:
            errors.append(repr(error))
            error = error.__cause__ or error.__context__
    rows = json.dumps(made.refused(), default=str)
    assert [secret for secret in PLANTED if secret in rows] == []
    seen = "\n".join([*errors, caplog.text])
    assert [secret for secret in (word, key, made.client.session.auth[1]) if secret in seen] == []


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    ("block", "error", "words"),
    [
        pytest.param("write", ServiceError, "takes no writes .*remove the block from its settings", id="read-only"),
        pytest.param("read_only_allow_delete", StorageFullError, "its disk is over the flood stage", id="flood stage"),
    ],
)
def test_an_index_that_is_read_only_fails_fast_and_named_and_goes_on_when_it_is_cured(
    made: Logs, block: str, error: type[Exception], words: str
) -> None:
    rows = made.append([NOW])
    made.ship()
    rows += made.append([NOW] * 30)
    made.set_block(block, on=True)
    started = time.monotonic()
    try:
        with pytest.raises(error, match=words) as caught:
            made.ship()
    finally:
        made.set_block(block, on=False)
    assert made.index() in str(caught.value)
    assert time.monotonic() - started < 5
    assert (made.numbers_of_shipments(), made.refused()) == ([1], [])
    assert (made.ship().counts.indexed, held(made)) == (30, ids(rows))


@pytest.mark.fault(28)
def test_a_clock_that_is_wrong_stops_a_run_before_a_row_is_refused_for_it(made: Logs, proxy: FaultProxy, client: OpenSearchClient) -> None:
    rows = made.append([NOW] * 30)
    tomorrow = int(time.time()) + 86_400
    proxy.add("GET", "/_cat/health", answer=with_body(lambda _: json.dumps([{"epoch": str(tomorrow)}]).encode()))
    with pytest.raises(ConfigurationError, match=r"it is .* here and .* on OpenSearch.*: set the clocks right"):
        made.ship(client)
    assert (made.numbers_of_shipments(), made.refused(), held(made)) == ([], [], [])
    assert (made.ship(client).counts.indexed, held(made)) == (30, ids(rows))


def test_a_row_that_is_dropped_on_its_way_while_its_answer_says_created_fails_the_run(
    made: Logs, proxy: FaultProxy, client: OpenSearchClient
) -> None:
    rows = made.append([NOW] * 30)

    def without_the_first(body: bytes) -> bytes:
        return b"\n".join(body.split(b"\n")[2:])

    def as_if_it_were_there(body: bytes) -> bytes:
        # What somebody else writes meanwhile does not stand in for it.
        foreign = {"event_time": NOW.isoformat(), "snapshot_id": "1"}
        made.admin.request("PUT", f"/{made.index()}/_doc/of-another-run", json=foreign)
        answer = json.loads(body)
        return json.dumps(answer | {"items": [{"create": {"status": 201}}, *answer["items"]]}).encode()

    proxy.add("POST", BULK, nth=2, request=without_the_first, answer=with_body(as_if_it_were_there))
    with pytest.raises(
        VerificationError, match=f"{made.index()} has 29 documents of snapshot [0-9]+; it had 0, and 30 were indexed: some are gone"
    ):
        made.ship(client)
    assert made.numbers_of_shipments() == []
    made.admin.request("DELETE", f"/{made.index()}/_doc/of-another-run")
    counts = made.ship(client).counts
    assert (counts.indexed, counts.already_there, held(made)) == (1, 29, ids(rows))


@pytest.mark.fault(12)
def test_an_index_that_loses_documents_in_mid_shipment_fails_the_run(made: Logs, proxy: FaultProxy, client: OpenSearchClient) -> None:
    rows = made.append([NOW] * 30)
    proxy.add("POST", BULK, nth=3, before=lambda: made.admin.request("DELETE", f"/{made.index()}") and None)
    with pytest.raises(VerificationError, match="some are gone"):
        made.ship(client)
    assert (made.ship(client).counts.accounted, held(made)) == (30, ids(rows))


@pytest.mark.fault(13)
def test_times_are_found_by_their_microsecond_and_day(made: Logs) -> None:
    midnight = datetime(NOW.year, NOW.month, NOW.day, tzinfo=NOW.tzinfo)
    made.append([midnight, midnight - timedelta.resolution])
    made.ship()
    assert {index for index, _ in made.documents()} == {made.index(midnight), made.index(midnight - timedelta(days=1))}
    before = {"range": {"event_time": {"lt": f"{midnight:%Y-%m-%dT%H:%M:%S.%f}Z"}}}
    assert made.admin.count(made.target.pattern, before) == 1
