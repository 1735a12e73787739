"""A real small HTTP server that answers `_bulk`, `_count` and index templates as OpenSearch 3 does."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator

import pytest

from lakehouse.opensearch.client import OpenSearchClient

JSON = {"Content-Type": "application/json"}


class Node:
    """What the node holds, what it was asked, and what goes wrong.

    Attributes:
        documents: (index, id) -> document, as `_bulk` with `create` keeps them.
        bulks: the ids of each bulk request.
        busy: id -> how many times it is answered 429 before it is taken.
        mapping_errors: ids that do not fit the mapping.
        whole: called with the number of the bulk (from 1) and its size; (status, taken) answers the request as a whole, after the
            node took the documents or before; status None drops the connection.
    """

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], dict] = {}
        self.bulks: list[list[str]] = []
        self.busy: dict[str, int] = {}
        self.mapping_errors: set[str] = set()
        self.whole: Callable[[int, int], tuple[int | None, bool] | None] = lambda *_: None
        self.templates: dict[str, dict] = {}
        self.puts = 0

    def answer(self, method: str, path: str, _: dict[str, str], body: bytes):
        path = path.split("?")[0]
        if path == "/_bulk":
            return self._bulk(body)
        if path.endswith("/_refresh"):
            return 200, JSON, b"{}"
        if path.endswith("/_count"):
            ids = json.loads(body)["query"].get("ids", {}).get("values")
            pattern = re.compile(path.split("/")[1].replace("*", ".*"))
            found = sum(bool(pattern.fullmatch(index)) and (ids is None or key in ids) for index, key in self.documents)
            return 200, JSON, json.dumps({"count": found}).encode()
        if path.startswith("/_index_template/"):
            return self._template(method, path.rpartition("/")[2], body)
        return 404, JSON, b"{}"

    def _bulk(self, body: bytes):
        lines = body.decode().splitlines()
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
        if key in self.mapping_errors:
            return {"status": 400, "error": {"type": "mapper_parsing_exception", "reason": "failed to parse field [level]"}}
        if (index, key) in self.documents:
            return {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "document already exists"}}
        self.documents[index, key] = source
        return {"status": 201}

    def _template(self, method: str, name: str, body: bytes):
        if method == "PUT":
            self.puts += 1
            self.templates[name] = json.loads(body)
            return 200, JSON, b'{"acknowledged": true}'
        if name not in self.templates:
            return 404, JSON, b"{}"
        return 200, JSON, json.dumps({"index_templates": [{"name": name, "index_template": self.templates[name]}]}).encode()


@pytest.fixture
def node() -> Node:
    """An empty node that takes everything."""
    return Node()


@pytest.fixture
def client(node: Node, serve, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenSearchClient]:
    """A client of that node, which sleeps by the `time.sleep` of the moment, so that `waits` takes its time away."""
    monkeypatch.setitem(OpenSearchClient.create_all.__kwdefaults__, "sleep", lambda seconds: time.sleep(seconds))
    made = OpenSearchClient("OpenSearch", serve(node.answer))
    yield made
    made.session.close()
