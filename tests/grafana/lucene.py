"""Grafana's OpenSearch plugin: a Lucene query as the `_msearch` that it sends, and the answer as the frames that it makes.

Source: grafana/opensearch-datasource 2.34.2 (commit 9ca1707), `pkg/opensearch/lucene_handler.go`, `client/client.go`,
`client/search_request.go`, `response_parser.go`, `pkg/tsdb/interval.go`; the searches were held against those that its own tests
expect (`pkg/opensearch/snapshot_tests`). Left out: traces, PPL, pipeline metrics, geohash, and the wider
intervals by which it stays under `search.max_buckets`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests

DEFAULT_SIZE = 500
_RESOLUTION = 1500
_NUMBERS = {"avg": "Average", "sum": "Sum", "max": "Max", "min": "Min", "cardinality": "Unique Count"}
# Milliseconds: up to the first, the interval is the second.
_ROUNDED = (
    (15, 10), (35, 20), (75, 50), (150, 100), (350, 200), (750, 500), (1500, 1000), (3500, 2000), (7500, 5000), (12_500, 10_000),
    (17_500, 15_000), (25_000, 20_000), (45_000, 30_000), (90_000, 60_000), (210_000, 120_000), (450_000, 300_000), (750_000, 600_000),
    (1_050_000, 900_000), (1_500_000, 1_200_000), (2_700_000, 1_800_000), (5_400_000, 3_600_000), (9_000_000, 7_200_000),
    (16_200_000, 10_800_000), (32_400_000, 21_600_000), (86_400_000, 43_200_000), (604_800_000, 86_400_000),
)  # fmt: skip
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms"))


@dataclass(frozen=True)
class OpenSearchAccess:
    """Where the node is, who asks, and what the data source's settings say."""

    url: str
    user: str
    password: str
    ca_certs: str
    index: str = "logs-*"
    time_field: str = "event_time"
    level_field: str = "level"


def ask(query: Mapping[str, Any], start: datetime, end: datetime, access: OpenSearchAccess) -> tuple[list[dict[str, Any]], int]:
    """Frames, and how many documents were found.

    Raises:
        requests.RequestException: the node cannot be reached or refuses the request, or the query in it.
        ValueError: the query is of a sort that is not built here.
    """
    header = {"search_type": "query_then_fetch", "ignore_unavailable": True, "index": query.get("index") or access.index}
    body = json.dumps(search(query, start, end, access))
    step = _interval(query, start, end)
    body = body.replace("$__interval_ms", str(step)).replace("$__interval", _text(step))
    with requests.Session() as session:
        session.trust_env = False  # a REQUESTS_CA_BUNDLE would win over our authority
        response = session.post(
            f"{access.url}/_msearch?max_concurrent_shard_requests=5",
            data=f"{json.dumps(header)}\n{body}\n",
            headers={"Content-Type": "application/x-ndjson"},
            auth=(access.user, access.password),
            verify=access.ca_certs,
            timeout=30,
        )
    response.raise_for_status()
    (answer,) = response.json()["responses"]
    if "error" in answer:
        causes = answer["error"].get("root_cause") or [answer["error"]]
        raise requests.HTTPError(f"{causes[0]['type']}: {causes[0]['reason']}", response=response)
    kind = query["metrics"][0]["type"]
    if kind in ("logs", "raw_data", "raw_document"):
        frames = [_documents(query, answer["hits"]["hits"], access)] if answer["hits"]["hits"] else []
    else:
        frames = _frames(query, answer.get("aggregations", {}))
    return frames, answer["hits"]["total"]["value"]


def search(query: Mapping[str, Any], start: datetime, end: datetime, access: OpenSearchAccess) -> dict[str, Any]:
    """The body of the search, `$__interval` still in it."""
    since, until = (round(moment.timestamp() * 1000) for moment in (start, end))
    filters: list[dict[str, Any]] = [{"range": {access.time_field: {"lte": until, "gte": since, "format": "epoch_millis"}}}]
    if query.get("query"):
        filters.append(_matching(query["query"]))
    body: dict[str, Any] = {"size": 0, "query": {"bool": {"filter": filters}}}
    metrics = query["metrics"]
    if metrics[0]["type"] == "logs":
        histogram = {"type": "date_histogram", "id": "1", "settings": {"interval": "auto"}}
        return body | {
            "size": _whole(metrics[0].get("settings", {}).get("size"), DEFAULT_SIZE),
            "sort": [{access.time_field: {"order": "desc", "unmapped_type": "boolean"}}],
            "docvalue_fields": [access.time_field],
            "fields": [{"field": access.time_field, "format": "strict_date_optional_time_nanos"}],
            "aggs": _aggregations([histogram], [], since, until, access),
        }
    if metrics[0]["type"] in ("raw_data", "raw_document"):
        settings = metrics[0].get("settings", {})
        order = settings.get("order") if settings.get("order") in ("asc", "desc") else "desc"
        return body | {
            "size": _whole(settings.get("size"), DEFAULT_SIZE),
            "sort": [{access.time_field: {"order": order, "unmapped_type": "boolean"}}, {"_doc": {"order": order}}],
            "fields": [{"field": access.time_field, "format": "strict_date_optional_time_nanos"}],
        }
    if not query.get("bucketAggs"):
        raise ValueError("invalid query, missing metrics and aggregations")
    return body | {"aggs": _aggregations(query["bucketAggs"], metrics, since, until, access)}


def _matching(query: str) -> dict[str, Any]:
    return {"query_string": {"query": query, "analyze_wildcard": True}}


def _aggregations(
    buckets: Sequence[Mapping[str, Any]], metrics: Sequence[Mapping[str, Any]], since: int, until: int, access: OpenSearchAccess
) -> dict[str, Any]:
    """Each bucket within the one before it, the metrics in the last."""
    if not buckets:
        return {metric["id"]: {metric["type"]: {"field": metric["field"]}} for metric in metrics if _number_of(metric) != "Count"}
    (bucket, *rest), settings = buckets, buckets[0].get("settings", {})
    inner = _aggregations(rest, metrics, since, until, access)
    if bucket["type"] == "date_histogram":
        interval = settings.get("interval", "auto")
        own: dict[str, Any] = {
            "field": bucket.get("field") or access.time_field,
            "interval": "$__interval" if interval == "auto" else interval,
            "min_doc_count": _whole(settings.get("min_doc_count"), 0),
            "extended_bounds": {"min": since, "max": until},
            "format": "epoch_millis",
        }
    elif bucket["type"] == "terms":
        own = {"field": bucket["field"], "size": _whole(settings.get("size"), DEFAULT_SIZE) or DEFAULT_SIZE}
        if "min_doc_count" in settings:
            own["min_doc_count"] = _whole(settings["min_doc_count"], 1)
        if by := settings.get("orderBy"):
            named = next((metric for metric in metrics if metric["id"] == by), None)
            counted = named is not None and named["type"] == "count"
            own["order"] = {"_count" if counted else {"_term": "_key"}.get(by, by): settings.get("order", "desc")}
    elif bucket["type"] == "filters":
        own = {"filters": {one.get("label") or one["query"]: _matching(one["query"]) for one in settings["filters"]}}
    else:
        raise ValueError(f"a bucket of type {bucket['type']!r} is not built here")
    return {bucket["id"]: {bucket["type"]: own} | ({"aggs": inner} if inner else {})}


def _number_of(metric: Mapping[str, Any]) -> str:
    if metric["type"] == "count":
        return "Count"
    if metric["type"] not in _NUMBERS:
        raise ValueError(f"a metric of type {metric['type']!r} is not built here")
    return _NUMBERS[metric["type"]]


def _frames(query: Mapping[str, Any], aggregations: Mapping[str, Any]) -> list[dict[str, Any]]:
    buckets = query["bucketAggs"]
    leaves = list(_leaves(buckets, aggregations, {}))
    if buckets[-1]["type"] == "date_histogram":
        return [_series(query, metric, labels, found) for labels, found in leaves for metric in query["metrics"]]
    # One table: a column for each bucket's field, then the metrics.
    names = [bucket.get("field", "filter") for bucket in buckets]
    rows = [
        [*labels.values(), bucket["key"], *(_value(metric, bucket) for metric in query["metrics"])]
        for labels, found in leaves
        for bucket in found
    ]
    if not rows:
        return []
    texts = [{"name": name, "type": "string"} for name in names]
    numbers = [{"name": _number_of(metric), "type": "number"} for metric in query["metrics"]]
    return [
        {
            "schema": {"refId": query["refId"], "fields": [*texts, *numbers]},
            "data": {"values": [list(column) for column in zip(*rows, strict=True)]},
        }
    ]


def _leaves(
    buckets: Sequence[Mapping[str, Any]], aggregations: Mapping[str, Any], labels: Mapping[str, str]
) -> Iterator[tuple[Mapping[str, str], list[dict[str, Any]]]]:
    first, *rest = buckets
    if first["id"] not in aggregations:
        return
    found = aggregations[first["id"]]["buckets"]
    if isinstance(found, dict):  # filters, by their label
        found = [bucket | {"key": name} for name, bucket in sorted(found.items())]
    if not rest:
        yield labels, found
        return
    for bucket in found:
        key = str(bucket.get("key_as_string", bucket["key"]))
        yield from _leaves(rest, bucket, {**labels, first.get("field", "filter"): key})


def _series(query: Mapping[str, Any], metric: Mapping[str, Any], labels: Mapping[str, str], found: list[dict[str, Any]]) -> dict[str, Any]:
    name = query.get("alias") or " ".join(labels.values()) or _number_of(metric)
    for key, value in labels.items():
        name = name.replace(f"{{{{term {key}}}}}", value).replace(f"{{{{{key}}}}}", value)
    number = {"name": "Value", "type": "number", "labels": dict(labels), "config": {"displayNameFromDS": name}}
    return {
        "schema": {"refId": query["refId"], "meta": {"type": "timeseries-multi"}, "fields": [{"name": "Time", "type": "time"}, number]},
        "data": {"values": [[bucket["key"] for bucket in found], [_value(metric, bucket) for bucket in found]]},
    }


def _value(metric: Mapping[str, Any], bucket: Mapping[str, Any]) -> float | None:
    value: float | None = bucket["doc_count"] if metric["type"] == "count" else bucket[metric["id"]]["value"]
    return value


def _documents(query: Mapping[str, Any], hits: list[dict[str, Any]], access: OpenSearchAccess) -> dict[str, Any]:
    documents = [
        {("level" if key == access.level_field else key): value for key, value in _flat(hit["_source"]).items()}
        | {"_id": hit["_id"], "_index": hit["_index"], "_source": json.dumps(hit["_source"])}
        for hit in hits
    ]
    names = sorted({name for document in documents for name in document}, key=lambda name: (name != access.time_field, name))
    fields = [{"name": name, "type": "time" if name == access.time_field else "string"} for name in names]
    meta = {"preferredVisualisationType": "logs"} if query["metrics"][0]["type"] == "logs" else {}
    columns = [[document.get(name) for document in documents] for name in names]
    return {"schema": {"refId": query["refId"], "meta": meta, "fields": fields}, "data": {"values": columns}}


def _flat(source: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in source.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _interval(query: Mapping[str, Any], start: datetime, end: datetime) -> int:
    lowest: int = query.get("intervalMs") or 5000
    asked = (end - start).total_seconds() * 1000 / _RESOLUTION
    return max(next((to for below, to in _ROUNDED if asked <= below), 604_800_000), lowest) if asked >= lowest else lowest


def _text(step: int) -> str:
    size, unit = next((size, unit) for size, unit in _UNITS if step >= size)
    return f"{step // size}{unit}"


def _whole(value: Any, default: int) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return default
