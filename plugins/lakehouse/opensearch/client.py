"""The calls to OpenSearch that shipping needs, over HTTP with TLS verified; bulks are in `lakehouse.opensearch.send`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from lakehouse.exceptions import ConfigurationError, TransientError
from lakehouse.http import HttpClient

ISM = "opensearch-index-management"  # the plugin of index state management
_CLOCKS_MAY_DIFFER = timedelta(minutes=5)


class OpenSearchClient(HttpClient):
    """One node or cluster."""

    def version(self) -> str:
        """The server's version number."""
        return str(self.request("GET", "/").json()["version"]["number"])

    def now(self) -> datetime:
        """The present, for whatever is decided by the age of a row or an index.

        Raises:
            ConfigurationError: our clock and the node's differ by minutes: rows would be refused, or indices deleted, for nothing.
        """
        ours = datetime.now(UTC)
        theirs = datetime.fromtimestamp(int(self.request("GET", "/_cat/health?format=json&h=epoch").json()[0]["epoch"]), UTC)
        if abs(ours - theirs) > _CLOCKS_MAY_DIFFER:
            raise ConfigurationError(
                f"it is {ours:%Y-%m-%d %H:%M:%S} here and {theirs:%Y-%m-%d %H:%M:%S} on {self.name}: set the clocks right"
            )
        return ours

    def plugins(self) -> set[str]:
        """Names of the plugins that some node has."""
        return {plugin["component"] for plugin in self.request("GET", "/_cat/plugins?format=json&h=component").json()}

    def refresh(self, pattern: str) -> None:
        """Make every document searchable that was taken until now."""
        self.request("POST", f"/{pattern}/_refresh", accept=(404,))

    def documents_by_index(self, pattern: str, query: dict[str, Any] | None = None) -> dict[str, int]:
        """How many documents (that match) each index has, of those that a search finds; an index without any is not listed."""
        search = {"size": 0, "track_total_hits": False, "aggs": {"by": {"terms": {"field": "_index", "size": 10_000}}}}
        search["query"] = query or {"match_all": {}}
        answer = self._whole(pattern, self.request("POST", f"/{pattern}/_search", json=search).json())
        return {bucket["key"]: bucket["doc_count"] for bucket in answer.get("aggregations", {}).get("by", {}).get("buckets", [])}

    def indices(self, pattern: str) -> set[str]:
        """Names of the indices that there are."""
        return {entry["index"] for entry in self.request("GET", f"/_cat/indices/{pattern}?format=json&h=index").json()}

    def count_ids(self, index: str, ids: Sequence[str]) -> int:
        """How many of the ids a search finds in an index; none where the index is not there."""
        found = 0
        for start in range(0, len(ids), 5_000):
            query = {"query": {"ids": {"values": list(ids[start : start + 5_000])}}}
            response = self.request("POST", f"/{index}/_count", json=query, accept=(404,))
            found += int(self._whole(index, response.json())["count"]) if response.ok else 0
        return found

    def count(self, pattern: str, query: dict[str, Any] | None = None) -> int:
        """Documents that match, or all."""
        answer = self.request("POST", f"/{pattern}/_count", json={"query": query or {"match_all": {}}}).json()
        return int(self._whole(pattern, answer)["count"])

    def _whole(self, pattern: str, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer, when it is of all shards."""
        shards = answer.get("_shards", {})
        if shards.get("failed") or answer.get("timed_out"):
            raise TransientError(f"{self.name} could not count all of {pattern}: {shards.get('failures', [])[:1] or 'timed out'}")
        return answer
