from __future__ import annotations

import json
import time

import pytest

from lakehouse.exceptions import ConfigurationError, TransientError
from lakehouse.opensearch.client import OpenSearchClient


def test_ids_are_counted_over_many_requests_and_only_in_the_pattern(node, client):
    wanted = [f"id-{number}" for number in range(5_003)]
    node.documents = {("logs-2026.11.20", doc_id): {} for doc_id in wanted[1:]} | {("metrics-2026", wanted[0]): {}}
    assert client.count_ids("logs-*", wanted) == 5_002
    assert client.count("logs-*") == 5_002


def test_documents_are_counted_by_index_and_empty_indices_are_named_only_as_indices(node, client):
    node.documents = {("logs-1", "a"): {}, ("logs-1", "b"): {}, ("logs-2", "a"): {}, ("metrics-1", "a"): {}}
    node.empty = {"logs-3"}
    assert client.documents_by_index("logs-*") == {"logs-1": 2, "logs-2": 1}
    assert client.documents_by_index("none-*") == {}
    assert client.indices("logs-*") == {"logs-1", "logs-2", "logs-3"}


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"timed_out": True, "_shards": {"failed": 0}}, id="a search that timed out"),
        pytest.param({"timed_out": False, "_shards": {"failed": 1, "failures": [{"index": "logs-1"}]}}, id="a shard that failed"),
    ],
)
def test_half_a_count_is_no_count(serve, answer):
    client = OpenSearchClient("OpenSearch", serve(lambda *_: (200, {}, json.dumps(answer).encode())))
    with pytest.raises(TransientError, match=r"could not count all of logs-\*"):
        client.documents_by_index("logs-*")
    client.session.close()


@pytest.mark.fault(28)
@pytest.mark.parametrize("ahead", [-3_600, 40 * 86_400], ids=["an hour behind", "forty days ahead"])
def test_a_clock_that_differs_from_the_nodes_stops_what_goes_by_age(node, client, ahead):
    assert abs(client.now().timestamp() - time.time()) < 5
    node.ahead = ahead
    with pytest.raises(ConfigurationError, match="set the clocks right"):
        client.now()
