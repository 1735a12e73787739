from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.exceptions import ServiceError, TransientError
from lakehouse.opensearch.client import Document


def documents(*ids: str) -> list[Document]:
    return [Document("logs-2026.11.20", doc_id, json.dumps({"message": f"this is {doc_id}"}).encode()) for doc_id in ids]


def held(node) -> list[str]:
    return sorted(doc_id for _, doc_id in node.documents)


def test_documents_are_created_under_their_own_ids(node, client, waits):
    odd = 'a"}\n{"delete'
    result = client.create_all(documents("a", odd))
    assert (result.indexed, result.already_there, result.refused) == (2, 0, ())
    assert node.documents["logs-2026.11.20", odd] == {"message": f"this is {odd}"}
    assert len(node.bulks) == 1
    assert waits == []


@pytest.mark.fault(6)
def test_items_answered_429_are_sent_again_and_only_those(node, client, waits):
    node.busy = {"b": 2, "d": 1}
    result = client.create_all(documents("a", "b", "c", "d"))
    assert node.bulks == [["a", "b", "c", "d"], ["b", "d"], ["b"]]
    assert (result.indexed, result.already_there, result.refused) == (4, 0, ())
    assert held(node) == ["a", "b", "c", "d"]
    assert len(waits) == 2


@pytest.mark.fault(6)
def test_items_that_stay_rejected_fail_after_a_bounded_time(node, client, waits):
    node.busy = {"b": 10**6}
    with pytest.raises(
        TransientError, match="kept rejecting 1 documents; the last reason was 429 rejected_execution_exception: queue is full"
    ):
        client.create_all(documents("a", "b"))
    assert len(node.bulks) < 20
    assert sum(waits) < 60


@pytest.mark.fault(7)
def test_an_item_refused_by_the_mapping_is_handed_back_with_its_reason(node, client, waits):
    node.mapping_errors = {"b"}
    result = client.create_all(documents("a", "b", "c"))
    assert (result.indexed, result.already_there) == (2, 0)
    (refusal,) = result.refused
    assert (refusal.document, refusal.reason, refusal.detail) == (
        documents("b")[0],
        "mapper_parsing_exception",
        "failed to parse field [level]",
    )
    assert len(node.bulks) == 1


@pytest.mark.fault(7)
def test_a_document_that_is_there_already_is_counted_as_that_and_stays_as_it_is(node, client, waits):
    client.create_all(documents("a"))
    other = Document("logs-2026.11.20", "a", b'{"message": "another"}')
    result = client.create_all([other, *documents("b")])
    assert (result.indexed, result.already_there) == (1, 1)
    assert node.documents["logs-2026.11.20", "a"] == {"message": "this is a"}


@pytest.mark.fault(5)
@pytest.mark.parametrize("status", [503, 429, None], ids=["503", "429", "a dropped connection"])
@pytest.mark.parametrize("taken", [True, False], ids=["after it took the body", "before it took the body"])
def test_a_bulk_whose_answer_was_lost_counts_each_document_once(node, client, waits, status, taken):
    node.whole = lambda number, _: (status, taken) if number == 1 else None
    result = client.create_all(documents("a", "b", "c"))
    assert result.indexed + result.already_there == 3
    assert result.indexed == (0 if taken else 3)
    assert held(node) == ["a", "b", "c"]


@pytest.mark.fault(22)
def test_a_node_that_stays_away_is_a_transient_error_in_bounded_time(node, client, waits):
    node.whole = lambda *_: (503, False)
    with pytest.raises(TransientError, match="503"):
        client.create_all(documents("a"))
    assert len(node.bulks) < 20
    assert sum(waits) < 60


@pytest.mark.fault(7)
def test_a_bulk_that_is_too_large_for_the_node_is_sent_in_parts(node, client, waits):
    node.whole = lambda _, size: (413, False) if size > 250 else None
    result = client.create_all(documents("a", "b", "c", "d", "e"))
    assert (result.indexed, result.refused) == (5, ())
    assert held(node) == ["a", "b", "c", "d", "e"]


@pytest.mark.fault(7)
def test_one_document_that_is_too_large_for_the_node_is_refused_and_the_others_go_in(node, client, waits):
    large = Document("logs-2026.11.20", "large", json.dumps({"message": "x" * 1000}).encode())
    node.whole = lambda _, size: (413, False) if size > 800 else None
    result = client.create_all([*documents("a"), large, *documents("b")])
    assert (result.indexed, [refusal.document.doc_id for refusal in result.refused]) == (2, ["large"])


@pytest.mark.fault(21)
def test_a_bulk_that_is_not_allowed_is_not_tried_again(node, client, waits):
    node.whole = lambda *_: (403, False)
    with pytest.raises(ServiceError, match="rights of its connection"):
        client.create_all(documents("a"))
    assert len(node.bulks) == 1


@pytest.mark.fault(6)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["new", "there", "refused", "busy once", "busy and there"]), min_size=1, max_size=12))
def test_every_document_ends_in_exactly_one_of_the_three(node, client, waits, fates):
    node.__init__()
    sent = documents(*(f"{number} {fate}" for number, fate in enumerate(fates)))
    client.create_all([document for document in sent if document.doc_id.endswith("there")] or documents("other"))
    node.busy = {document.doc_id: 1 for document in sent if "busy" in document.doc_id}
    node.mapping_errors = {document.doc_id for document in sent if "refused" in document.doc_id}
    result = client.create_all(sent)
    wanted = Counter("there" if "there" in fate else "refused" if fate == "refused" else "new" for fate in fates)
    assert (result.indexed, result.already_there, len(result.refused)) == (wanted["new"], wanted["there"], wanted["refused"])


def test_an_index_template_is_written_once_and_again_when_its_version_changes(node, client):
    template = {"index_patterns": ["logs-*"], "_meta": {"version": 1}, "template": {}}
    assert client.ensure_index_template("logs", template) is True
    assert client.ensure_index_template("logs", template) is False
    assert node.puts == 1
    assert client.ensure_index_template("logs", template | {"_meta": {"version": 2}}) is True
    assert node.templates["logs"]["_meta"]["version"] == 2


def test_ids_are_counted_over_many_requests_and_only_in_the_pattern(node, client):
    wanted = [f"id-{number}" for number in range(5_003)]
    node.documents = {("logs-2026.11.20", doc_id): {} for doc_id in wanted[1:]} | {("metrics-2026", wanted[0]): {}}
    assert client.count_ids("logs-*", wanted) == 5_002
    assert client.count("logs-*") == 5_002
