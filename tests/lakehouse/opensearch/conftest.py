"""A real small HTTP server that answers `_bulk`, `_count`, `_search` by index, `_refresh` and `_cat/indices` as OpenSearch 3 does."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from lakehouse.opensearch.client import OpenSearchClient

JSON = {"Content-Type": "application/json"}
MAPPING_ERROR = (400, "mapper_parsing_exception", "failed to parse field [level]")


class Node:
    """What the node holds, what it was asked, and what goes wrong.

    Attributes:
        documents: (index, id) -> document, as `_bulk` with `create` keeps them.
        empty: indices without a document.
        bulks: the ids of each bulk request.
        busy: id -> how many times it is answered 429 before it is taken.
        errors: id -> status, type and reason of its item, always.
        ahead: seconds that its clock is ahead of ours.
        lost: ids that are answered 201 and not kept.
        whole: called with the number of the bulk (from 1) and its size; (status, taken) answers the request as a whole, after the
            node took the documents or before; status None drops the connection.
    """

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], dict] = {}
        self.empty: set[str] = set()
        self.bulks: list[list[str]] = []
        self.busy: dict[str, int] = {}
        self.errors: dict[str, tuple[int, str, str]] = {}
        self.ahead = 0.0
        self.lost: set[str] = set()
        self.whole: Callable[[int, int], tuple[int | None, bool] | None] = lambda *_: None

    def answer(self, _: str, path: str, __: dict[str, str], body: bytes):
        path, _, options = path.partition("?")
        if path == "/_bulk":
            return self._bulk(body)
        if path == "/_cat/health":
            return 200, JSON, json.dumps([{"epoch": str(int(time.time() + self.ahead))}]).encode()
        if path.endswith("/_refresh"):
            return 200, JSON, b"{}"
        if path.startswith("/_cat/indices/"):
            names = {index for index, _ in self._matching(path.split("/")[3])} | self.empty
            return 200, JSON, json.dumps([{"index": name} for name in names]).encode()
        if path.endswith("/_count"):
            if "*" not in path and "ignore_unavailable=true" not in options and not self._matching(path.split("/")[1]):
                return 404, JSON, json.dumps({"error": {"type": "index_not_found_exception"}, "status": 404}).encode()
            ids = json.loads(body)["query"].get("ids", {}).get("values")
            found = sum(ids is None or key in ids for _, key in self._matching(path.split("/")[1]))
            return 200, JSON, json.dumps({"count": found}).encode()
        if path.endswith("/_search"):
            wanted = json.loads(body)["query"].get("term", {}).items()
            found = [key for key in self._matching(path.split("/")[1]) if wanted <= self.documents[key].items()]
            counts = Counter(index for index, _ in found)
            answer = {"aggregations": {"by": {"buckets": [{"key": key, "doc_count": count} for key, count in counts.items()]}}}
            return 200, JSON, json.dumps({"timed_out": False, "_shards": {"failed": 0}} | (answer if counts else {})).encode()
        return 404, JSON, b"{}"

    def held(self) -> list[str]:
        """Ids of all documents."""
        return sorted(key for _, key in self.documents)

    def _matching(self, pattern: str) -> list[tuple[str, str]]:
        return [key for key in self.documents if re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), key[0])]

    def _bulk(self, body: bytes):
        lines = body.decode().split("\n")[:-1]
        pairs = [(json.loads(action)["create"], json.loads(source)) for action, source in zip(lines[::2], lines[1::2], strict=True)]
        self.bulks.append([action["_id"] for action, _ in pairs])
        status, taken = self.whole(len(self.bulks), len(body)) or (200, True)
        items = [{"create": self._create(action["_index"], action["_id"], source)} for action, source in pairs] if taken else []
        if status is None:
            return None
        return status, JSON, json.dumps({"errors": any("error" in item["create"] for item in items), "items": items}).encode()

    def _create(self, index: str, key: str, source: dict) -> dict:
        if self.busy.get(key, 0):
            self.busy[key] -= 1
            return {"status": 429, "error": {"type": "rejected_execution_exception", "reason": "queue is full"}}
        if key in self.errors:
            status, kind, reason = self.errors[key]
            return {"status": status, "error": {"type": kind, "reason": reason}}
        if (index, key) in self.documents:
            return {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "document already exists"}}
        if key not in self.lost:
            self.documents[index, key] = source
        return {"status": 201}


@pytest.fixture
def node() -> Node:
    """An empty node that takes everything."""
    return Node()


@pytest.fixture
def client(node: Node, serve) -> Iterator[OpenSearchClient]:
    """A client of that node."""
    made = OpenSearchClient("OpenSearch", serve(node.answer))
    yield made
    made.session.close()
