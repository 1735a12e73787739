from __future__ import annotations

import json
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.exceptions import LakehouseError, ServiceError, StorageFullError, TransientError
from lakehouse.opensearch.build import Documents
from lakehouse.opensearch.send import create

INDEX = "logs-2026.11.20"
READ_ONLY = f"index [{INDEX}] blocked by: [FORBIDDEN/8/index write (api)];"
FLOOD_STAGE = (
    f"index [{INDEX}] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];"
)
MAX_SHARDS = "Validation Failed: 1: this action would add [1] total shards, but this cluster has [1000]/[1000] maximum shards open;"
NOT_STARTED = "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];"


def documents(*ids: str, size: int = 0) -> Documents:
    lines = [
        json.dumps({"create": {"_index": INDEX, "_id": doc_id}}) + "\n" + json.dumps({"message": f"this is {doc_id}" + "x" * size}) + "\n"
        for doc_id in ids
    ]
    return Documents(*(pa.array(column, pa.string()) for column in (list(ids), ["2026.11.20"] * len(ids), lines)))


def sums(outcome) -> tuple[int, int, int]:
    return len(outcome.indexed), len(outcome.already_there), len(outcome.refused)


def test_documents_are_created_under_their_own_ids(node, client, waits):
    odd = 'a"}\n{"delete'
    outcome = create(client, documents("a", odd))
    assert (outcome.indexed, outcome.already_there, outcome.refused) == ([0, 1], [], [])
    assert node.documents[INDEX, odd] == {"message": f"this is {odd}"}
    assert len(node.bulks) == 1
    assert waits == []


@pytest.mark.fault(6)
def test_items_answered_429_are_sent_again_and_only_those(node, client, waits):
    node.busy = {"b": 2, "d": 1}
    outcome = create(client, documents("a", "b", "c", "d"))
    assert node.bulks == [["a", "b", "c", "d"], ["b", "d"], ["b"]]
    assert sorted(outcome.indexed) == [0, 1, 2, 3]
    assert node.held() == ["a", "b", "c", "d"]
    assert len(waits) == 2


@pytest.mark.fault(6)
@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        pytest.param(429, "rejected_execution_exception", "queue is full", id="429"),
        pytest.param(503, "unavailable_shards_exception", "primary shard is not active", id="503"),
        pytest.param(503, "cluster_block_exception", NOT_STARTED, id="a node that has just started"),
    ],
)
def test_items_that_stay_rejected_fail_after_a_bounded_time(node, client, waits, status, kind, reason):
    node.errors = {"b": (status, kind, reason)}
    with pytest.raises(TransientError) as caught:
        create(client, documents("a", "b"))
    assert f"kept rejecting 1 documents; the last reason was {status} {kind}: {reason}" in str(caught.value)
    assert len(node.bulks) < 20
    assert sum(waits) < 60


@pytest.mark.fault(7)
@pytest.mark.parametrize("kind", ["mapper_parsing_exception", "strict_dynamic_mapping_exception", "illegal_argument_exception"])
def test_an_item_refused_by_the_mapping_is_handed_back_with_its_reason(node, client, waits, kind):
    node.errors = {"b": (400, kind, "failed to parse field [level]")}
    outcome = create(client, documents("a", "b", "c"))
    assert (outcome.indexed, outcome.already_there) == ([0, 2], [])
    (refusal,) = outcome.refused
    assert (refusal.number, refusal.reason, refusal.detail) == (1, kind, "failed to parse field [level]")
    assert len(node.bulks) == 1


@pytest.mark.fault(7)
def test_a_document_that_is_there_already_is_counted_as_that_and_stays_as_it_is(node, client, waits):
    create(client, documents("a"))
    outcome = create(client, documents("a", "b", size=3))
    assert (outcome.indexed, outcome.already_there) == ([1], [0])
    assert node.documents[INDEX, "a"] == {"message": "this is a"}


@pytest.mark.fault(5)
@pytest.mark.parametrize("status", [503, 429, None], ids=["503", "429", "a dropped connection"])
@pytest.mark.parametrize("taken", [True, False], ids=["after it took the body", "before it took the body"])
def test_a_bulk_whose_answer_was_lost_counts_each_document_once(node, client, waits, status, taken):
    node.whole = lambda number, _: (status, taken) if number == 1 else None
    outcome = create(client, documents("a", "b", "c"))
    assert sums(outcome) == ((0, 3, 0) if taken else (3, 0, 0))
    assert node.held() == ["a", "b", "c"]


@pytest.mark.fault(22)
def test_a_node_that_stays_away_is_a_transient_error_in_bounded_time(node, client, waits):
    node.whole = lambda *_: (503, False)
    with pytest.raises(TransientError, match="503"):
        create(client, documents("a"))
    assert len(node.bulks) < 20
    assert sum(waits) < 60


@pytest.mark.fault(7)
def test_a_bulk_that_is_too_large_for_the_node_is_sent_in_parts(node, client, waits):
    node.whole = lambda _, size: (413, False) if size > 250 else None
    node.errors = {"b": (400, "mapper_parsing_exception", "no")}
    outcome = create(client, documents("a", "b", "c", "d", "e"))
    assert (outcome.indexed, [refusal.number for refusal in outcome.refused]) == ([0, 2, 3, 4], [1])
    assert node.held() == ["a", "c", "d", "e"]


@pytest.mark.fault(7)
def test_one_document_that_is_too_large_for_the_node_is_refused_and_the_others_go_in(node, client, waits):
    node.whole = lambda _, size: (413, False) if size > 800 else None
    parts = (documents("a"), documents("large", size=1000), documents("b"))
    together = Documents(*(pa.concat_arrays([getattr(part, name) for part in parts]) for name in ("ids", "days", "lines")))
    outcome = create(client, together)
    assert (sorted(outcome.indexed), [(refusal.number, refusal.reason) for refusal in outcome.refused]) == ([0, 2], [(1, "too_large")])
    assert outcome.refused[0].detail == f"{len(together.source(1))} bytes are more than the node takes"


@pytest.mark.fault(21)
def test_a_bulk_that_is_not_allowed_is_not_tried_again(node, client, waits):
    node.whole = lambda *_: (403, False)
    with pytest.raises(ServiceError, match="rights of its connection"):
        create(client, documents("a"))
    assert len(node.bulks) == 1


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    ("status", "kind", "reason", "error", "words"),
    [
        pytest.param(403, "cluster_block_exception", READ_ONLY, ServiceError, "remove the block from its settings", id="read-only"),
        pytest.param(429, "cluster_block_exception", FLOOD_STAGE, StorageFullError, "free disk on the node", id="flood stage"),
        pytest.param(400, "validation_exception", MAX_SHARDS, ServiceError, "maximum shards open", id="too many shards"),
        pytest.param(403, "security_exception", "no permissions for [create]", ServiceError, "check the role", id="no rights"),
        pytest.param(400, "index_closed_exception", "closed", ServiceError, "400 index_closed_exception", id="a closed index"),
        pytest.param(404, "index_not_found_exception", "no such index", ServiceError, "no such index", id="an index that may not be made"),
    ],
)
def test_an_index_that_takes_nothing_fails_at_once_and_refuses_nothing(node, client, waits, status, kind, reason, error, words):
    node.errors = dict.fromkeys("ab", (status, kind, reason))
    with pytest.raises(error, match=words) as caught:
        create(client, documents("a", "b"))
    assert INDEX in str(caught.value)
    assert not isinstance(caught.value, TransientError)
    assert (len(node.bulks), waits) == (1, [])
    node.errors = {}
    assert sums(create(client, documents("a", "b"))) == (2, 0, 0)


@pytest.mark.fault(23)
@pytest.mark.parametrize("status", [400, 403, 404, 429, 503])
def test_a_value_that_the_node_repeats_in_its_words_is_hidden_in_the_error(node, client, waits, status):
    node.errors = {"a": (status, "some_exception", "cannot take it. Preview of field's value: '{password=hunter2hunter2}'")}
    with pytest.raises(LakehouseError) as caught:
        create(client, documents("a"))
    assert "cannot take it" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"<html>sign in</html>", id="a page"),
        pytest.param(b'{"errors": false, "items": []}', id="fewer items"),
        pytest.param(b"{}", id="no items"),
    ],
)
def test_a_200_that_accounts_for_nothing_is_an_error_of_ours(serve, client, waits, content):
    client.base_url = serve(lambda *_: (200, {}, content))
    with pytest.raises(LakehouseError, match="OpenSearch"):
        create(client, documents("a"))


@pytest.mark.fault(6)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["new", "there", "refused", "busy once", "busy and there"]), min_size=1, max_size=12))
def test_every_document_ends_in_exactly_one_of_the_three(node, client, waits, fates):
    node.__init__()
    sent = [f"{number} {fate}" for number, fate in enumerate(fates)]
    create(client, documents(*([doc_id for doc_id in sent if doc_id.endswith("there")] or ["other"])))
    node.busy = {doc_id: 1 for doc_id in sent if "busy" in doc_id}
    node.errors = {doc_id: (400, "mapper_parsing_exception", "no") for doc_id in sent if "refused" in doc_id}
    outcome = create(client, documents(*sent))
    wanted = Counter("there" if "there" in fate else "refused" if fate == "refused" else "new" for fate in fates)
    assert sums(outcome) == (wanted["new"], wanted["there"], wanted["refused"])
    ended = [*outcome.indexed, *outcome.already_there, *(refusal.number for refusal in outcome.refused)]
    assert sorted(ended) == list(range(len(sent)))
