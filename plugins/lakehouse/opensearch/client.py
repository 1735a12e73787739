"""The calls to OpenSearch that shipping needs, over HTTP with TLS verified."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from lakehouse.exceptions import ServiceError, TransientError
from lakehouse.http import HttpClient

_BACK_OFF = (0.5, 1, 2, 4, 8)
_BULK = "/_bulk?filter_path=errors,items.*.error,items.*.status"


@dataclass(frozen=True)
class Document:
    """One document on its way; `body` is JSON."""

    index: str
    doc_id: str
    body: bytes


@dataclass(frozen=True)
class Refusal:
    """A document that the node will never take."""

    document: Document
    reason: str
    detail: str


@dataclass(frozen=True)
class BulkResult:
    """Outcome of a bulk, item by item: every document is in exactly one of the three."""

    indexed: int
    already_there: int
    refused: tuple[Refusal, ...]


class OpenSearchClient(HttpClient):
    """One node or cluster."""

    def version(self) -> str:
        """The server's version number."""
        return str(self.request("GET", "/").json()["version"]["number"])

    def ensure_index_template(self, name: str, template: dict[str, Any]) -> bool:
        """Put the index template unless the server has this very one; returns whether it was written."""
        # The server rewrites what it is given (numbers to text, nested keys), so a digest of what was sent is kept with it.
        digest = sha256(orjson.dumps(template, option=orjson.OPT_SORT_KEYS)).hexdigest()
        response = self.request("GET", f"/_index_template/{name}", accept=(404,))
        if response.status_code == 200:
            live = response.json()["index_templates"][0]["index_template"]
            if live.get("_meta", {}).get("digest") == digest:
                return False
        meta = template.get("_meta", {}) | {"digest": digest}
        self.request("PUT", f"/_index_template/{name}", json=template | {"_meta": meta})
        return True

    def create_all(self, documents: Sequence[Document], *, sleep: Callable[[float], None] = time.sleep) -> BulkResult:
        """Create the documents; items answered 429 or 5xx are sent again with back-off, and only those.

        Raises:
            TransientError: items were still rejected after the last try, or the node is not there.
        ServiceError: we may not write to an index; nothing is refused for that.
        """
        pending, indexed, there = list(documents), 0, 0
        refused: list[Refusal] = []
        last = ""
        for wait in (*_BACK_OFF, None):
            again: list[Document] = []
            for document, item in zip(pending, self._bulk(pending), strict=True):
                status, error = item["status"], item.get("error", {})
                if status in (200, 201):
                    indexed += 1
                elif status == 409:
                    there += 1
                elif status == 429 or status >= 500:
                    again.append(document)
                    last = f"{status} {error.get('type')}: {error.get('reason')}"
                elif status in (401, 403):
                    reason = f"{error.get('type')}: {error.get('reason')}"
                    raise ServiceError(
                        f"{self.name} refused to write to {document.index} with {status} {reason}; "
                        "check the role of its connection and whether the index is read-only",
                        status=status,
                        target=document.index,
                    )
                else:
                    refused.append(Refusal(document, str(error.get("type", status)), str(error.get("reason", ""))))
            pending = again
            if not pending:
                return BulkResult(indexed, there, tuple(refused))
            if wait is not None:
                sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, not a secret
        raise TransientError(f"{self.name} kept rejecting {len(pending)} documents; the last reason was {last}")

    def _bulk(self, documents: Sequence[Document]) -> list[dict[str, Any]]:
        """Each document's item of the answer; a bulk that is too large for the node is sent in halves."""
        lines = [b'{"create":%b}\n%b\n' % (orjson.dumps({"_index": d.index, "_id": d.doc_id}), d.body) for d in documents]
        headers = {"Content-Type": "application/x-ndjson"}
        # A bulk may be sent again after a lost answer: ids are ours, so what was taken comes back as 409.
        for wait in (*_BACK_OFF, None):
            try:
                response = self.request("POST", _BULK, data=b"".join(lines), headers=headers, accept=(413,))
            except TransientError:
                if wait is None:
                    raise
                time.sleep(wait)
            else:
                if response.status_code == 413:
                    return self._bulk_in_halves(documents)
                return [item["create"] for item in response.json()["items"]]
        raise AssertionError("unreachable")

    def _bulk_in_halves(self, documents: Sequence[Document]) -> list[dict[str, Any]]:
        if len(documents) == 1:
            reason = f"{len(documents[0].body)} bytes are more than the node takes"
            return [{"status": 413, "error": {"type": "too_large", "reason": reason}}]
        middle = len(documents) // 2
        return self._bulk(documents[:middle]) + self._bulk(documents[middle:])

    def count_ids(self, pattern: str, ids: Sequence[str]) -> int:
        """How many of the ids the indices have, after a refresh."""
        self.request("POST", f"/{pattern}/_refresh", accept=(404,))
        found = 0
        for start in range(0, len(ids), 5_000):
            query = {"query": {"ids": {"values": list(ids[start : start + 5_000])}}}
            found += self.request("POST", f"/{pattern}/_count", json=query).json()["count"]
        return found

    def count(self, pattern: str, query: dict[str, Any] | None = None) -> int:
        """Documents that match, or all."""
        return int(self.request("POST", f"/{pattern}/_count", json={"query": query or {"match_all": {}}}).json()["count"])
