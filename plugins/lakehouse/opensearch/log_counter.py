"""Log lines by level for Prometheus, counted in OpenSearch when Prometheus asks; it needs neither Airflow nor Grafana.

`python -m lakehouse.opensearch.log_counter URL PORT`, with OPENSEARCH_USER, OPENSEARCH_PASSWORD and OPENSEARCH_CA in the environment. The
user needs `search` on the indices and the fields `event_time` and `level`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from lakehouse.exceptions import LakehouseError
from lakehouse.opensearch.client import OpenSearchClient

WINDOW = timedelta(minutes=10)
# Lines come with the hourly load, so a burst is seen by its own time and not by the ten minutes before the scrape alone.
LATE = timedelta(minutes=75)
LEVELS = ("INFO", "WARN", "ERROR")
_MINUTE_MS = 60_000


class LogCounter(Collector):
    """Asks at each scrape; where OpenSearch does not answer, the counts are absent and `lakehouse_log_counter_up` is 0."""

    def __init__(self, client: OpenSearchClient, pattern: str = "logs-*") -> None:
        self.client, self.pattern = client, pattern

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: without it the registry would ask OpenSearch when it starts."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        up = GaugeMetricFamily("lakehouse_log_counter_up", "Whether OpenSearch answered the last question")
        try:
            counts, busiest = count(self.client, self.pattern)
        except (LakehouseError, KeyError, ValueError) as error:
            print(f"WARN no counts: {error}", flush=True)  # noqa: T201  # its log is what it prints
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        recent = GaugeMetricFamily("lakehouse_logs_10m", "Log lines of the last ten minutes by their own time", labels=["level"])
        for level, lines in counts.items():
            recent.add_metric([level], lines)
        worst = GaugeMetricFamily("lakehouse_error_logs_busiest_10m", "Error lines in the busiest ten minutes of the last 75 minutes")
        worst.add_metric([], busiest)
        yield from (up, recent, worst)


def count(client: OpenSearchClient, pattern: str) -> tuple[dict[str, int], int]:
    """Lines of the last ten minutes by level, and error lines in the busiest ten minutes of the last 75.

    Raises:
        ServiceError, TransientError: OpenSearch refused, or does not answer.
    """
    minutes = {"date_histogram": {"field": "event_time", "fixed_interval": "1m", "min_doc_count": 1}}
    since = f"now-{LATE.total_seconds():.0f}s"
    query = {
        "size": 0,
        "track_total_hits": False,
        "query": {"range": {"event_time": {"gt": since, "lte": "now"}}},
        "aggs": {
            "recent": {
                "filter": {"range": {"event_time": {"gt": f"now-{WINDOW.total_seconds():.0f}s"}}},
                "aggs": {"levels": {"terms": {"field": "level"}}},
            },
            "errors": {"filter": {"term": {"level": "ERROR"}}, "aggs": {"minutes": minutes}},
        },
    }
    # A scrape may take 10 s.
    answer = client.request("POST", f"/{pattern}/_search", json=query, timeout=(2, 7)).json()
    if answer.get("timed_out") or answer["_shards"]["failed"]:
        raise ValueError(f"OpenSearch could not count all of {pattern}")
    found = answer.get("aggregations") or {}  # Without an index there are none.
    levels = {bucket["key"]: bucket["doc_count"] for bucket in found.get("recent", {}).get("levels", {}).get("buckets", [])}
    by_minute = {
        bucket["key"] // _MINUTE_MS: bucket["doc_count"] for bucket in found.get("errors", {}).get("minutes", {}).get("buckets", [])
    }
    return {level: levels.get(level, 0) for level in LEVELS}, busiest(by_minute)


def busiest(by_minute: Mapping[int, int], width: int = int(WINDOW.total_seconds() // 60)) -> int:
    """The most lines in `width` minutes that follow one another; minutes without a line may be left out."""
    return max((sum(by_minute.get(minute + offset, 0) for offset in range(width)) for minute in by_minute), default=0)


def main(arguments: list[str]) -> None:
    """Serve until stopped: the node's address, a port, and the address to listen on, by default this machine's own."""
    url, port, *addresses = arguments
    environment: Mapping[str, Any] = os.environ
    auth = (environment["OPENSEARCH_USER"], environment["OPENSEARCH_PASSWORD"])
    registry = CollectorRegistry()
    registry.register(LogCounter(OpenSearchClient("OpenSearch", url, auth=auth, verify=environment.get("OPENSEARCH_CA") or True)))
    start_http_server(int(port), addr=addresses[0] if addresses else "127.0.0.1", registry=registry)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
