"""Each way of shipping logs as a command of its own, so that its CPU and memory are its own; `bench.ship` runs them.

Every command prints one line of JSON: the rows that it shipped, the seconds and CPU seconds of that, and for ours the seconds of
sending (without planning and reading back).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench import harness
from bench.harness import REPO
from include.logs import LOGS, to_row
from include.sample_data.logs import files
from lakehouse.contracts import load
from lakehouse.opensearch import cursor
from lakehouse.opensearch.build import Builder, Documents
from lakehouse.opensearch.client import OpenSearchClient
from lakehouse.opensearch.send import create
from lakehouse.opensearch.ship import BULK_BYTES, builder_of, ship, ship_batches
from lakehouse.opensearch.shipment import Part
from lakehouse.opensearch.tally import Tally

if TYPE_CHECKING:
    from lakehouse.opensearch.target import Target

CONTRACT = load(REPO / "include" / "contracts" / "raw_logs.odcs.yaml")
DAYS = 20
SHIPMENTS = "bench_db.shipments"
BATCH_ROWS = 20_000  # as in `lakehouse.opensearch.ship`
_SCHEMA = pa.schema(
    [
        ("log_id", pa.string()),
        ("event_time", pa.timestamp("us", tz="UTC")),
        ("level", pa.string()),
        ("message", pa.string()),
        ("meta", pa.string()),
        ("ingest_time", pa.timestamp("us", tz="UTC")),
    ]
)


def make_rows(first: int, count: int) -> pa.Table:
    """Lines of the sample logs with ids of their own, as the loader makes them, at any time of the last days."""
    chance = np.random.default_rng(first)
    lines = _lines().take(pa.array(chance.integers(0, len(_lines()), count)))
    numbers = np.arange(first, first + count)
    sources = pa.array([sha256(str(number).encode()).hexdigest() for number in range(first // 2_000, (first + count) // 2_000 + 1)])
    source_of = sources.take(pa.array(numbers // 2_000 - first // 2_000))
    ids = pc.binary_join_element_wise(source_of, pc.cast(pa.array(numbers % 2_000), pa.string()), ":")
    end = round(datetime.now(UTC).timestamp() * 1_000_000)
    times = pa.array(end - chance.integers(0, round(timedelta(days=DAYS).total_seconds() * 1_000_000), count)).cast(_SCHEMA.field(1).type)
    now = pa.array(np.full(count, end)).cast(_SCHEMA.field(5).type)
    return pa.table([ids, times, lines["level"], lines["message"], lines["meta"], now], schema=_SCHEMA)


@cache
def _lines() -> pa.Table:
    now = datetime.now(UTC)
    rows = [to_row(json.loads(line), now) for _, body in files(50_000, now) for line in body.splitlines()]
    return pa.Table.from_pylist(rows).select(["level", "message", "meta"]).combine_chunks()


def target(prefix: str) -> Target:
    """Where a run's documents go: indices of its own, under the template of the real ones."""
    return replace(LOGS, prefix=prefix)


def builder(to: Target) -> Builder:
    """As a shipment makes it."""
    return builder_of(CONTRACT, to, snapshot_id=1, now=datetime.now(UTC))


def bulks(batches: Iterable[pa.RecordBatch], to: Target) -> Iterator[Documents]:
    """Bulk bodies of rows, as a shipment sends them."""
    build = builder(to).build
    for batch in batches:
        yield from build(batch).documents.bulks(BULK_BYTES)


class _Sink(BaseHTTPRequestHandler):
    """Takes every bulk at once; the answer has the size of a node's (its ids are all alike)."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:  # the base class calls it so
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self._answer(body.count(b"\n") // 2, brief="filter_path" in self.path)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    @staticmethod
    @cache
    def _answer(count: int, *, brief: bool) -> bytes:
        item: dict[str, Any] = {"status": 201}
        if not brief:
            item = {"_index": "logs-2026.11.20", "_id": "0" * 66, "_version": 1, "result": "created", "_seq_no": 123456, "_primary_term": 1}
            item |= {"_shards": {"total": 1, "successful": 1, "failed": 0}, "status": 201}
        head = {"errors": False} if brief else {"took": 7, "errors": False}
        return json.dumps(head | {"items": [{"create": item}] * count}, separators=(",", ":")).encode()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def _sink() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    print(server.server_port, flush=True)
    server.serve_forever()


def _timed(rows: int, work: Callable[[], Any]) -> None:
    began, cpu = time.monotonic(), time.process_time()
    sending = work()
    took = {"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}
    print(json.dumps({"rows": rows} | took | ({"sending": sending} if isinstance(sending, float) else {})))


def _some(rows: str) -> list[pa.RecordBatch]:
    return make_rows(0, int(rows)).combine_chunks().to_batches(BATCH_ROWS)


def _actions(batches: Iterable[pa.RecordBatch], prefix: str) -> Iterator[dict[str, Any]]:
    """As it is usually done: a dictionary for each row."""
    for batch in batches:
        for row in batch.to_pylist():
            meta = json.loads(row.pop("meta") or "{}")
            address = {"_op_type": "create", "_index": f"{prefix}{row['event_time']:%Y.%m.%d}", "_id": row.pop("log_id")}
            yield address | row | {"meta": meta, "service": meta.get("service"), "snapshot_id": "1"}


def _ours_alone(url: str, rows: str) -> None:
    """What `ship_part` does with batches, without a table and without a node."""
    batches, sink, to = _some(rows), OpenSearchClient("sink", url), target("logs-bench-")
    days = (datetime.now(UTC) - timedelta(days=number) for number in range(-1, DAYS + 2))
    known = dict.fromkeys((to.index_of(f"{day:%Y.%m.%d}") for day in days), 0)
    tally = Tally(sink, to, Part("bench", "", "new", 1, None, 1, int(rows), 1, "", known), rows=int(rows))
    create(sink, next(bulks(batches[:1], to)))

    _timed(int(rows), lambda: ship_batches(batches, builder(to), tally))
    if tally.counts().indexed != int(rows):
        raise RuntimeError(f"the sink has {tally.counts().indexed} of {rows} rows")


def _streaming_alone(url: str, rows: str) -> None:
    from opensearchpy import OpenSearch, helpers

    batches, sink = _some(rows), OpenSearch([url])
    sum(1 for _ in helpers.streaming_bulk(sink, _actions([batches[0].slice(0, 1_000)], "logs-bench-")))
    _timed(int(rows), lambda: sum(1 for _ in helpers.streaming_bulk(sink, _actions(batches, "logs-bench-"))))


def client(conn_id: str = "lakehouse_opensearch") -> OpenSearchClient:
    """The running node."""
    from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook

    return LakehouseOpenSearchHook(conn_id).client


def _ours(table: str, prefix: str) -> None:
    """The whole of a first shipment: planned, sent, read back, cursor moved."""
    cursor.SHIPMENTS = SHIPMENTS  # The bundle's own table is no place for runs that are thrown away.
    catalog, node = harness.open_catalog(), client()
    rows = catalog.load_table(table).scan().count()

    def work() -> float:
        shipped = ship(catalog, node, replace(CONTRACT, table=table), target(prefix))
        if shipped.counts.indexed != rows:
            raise RuntimeError(f"of {rows} rows not all were indexed: {shipped.facts()}")
        return shipped.counts.seconds

    _timed(rows, work)


def _prebuilt(table: str, prefix: str) -> None:
    """The very same bodies, made before the clock starts."""
    from lakehouse.iceberg import window

    catalog, node, to = harness.open_catalog(), client(), target(prefix)
    source = catalog.load_table(table)
    rows = window.live(source, source.metadata.current_snapshot_id or 0)
    bodies = list(bulks(rows.batches(0, len(rows.files), max_rows=BATCH_ROWS), to))

    def work() -> None:
        for body in bodies:
            create(node, body)
        node.refresh(to.pattern)

    _timed(rows.rows, work)


def _by_helper(call: Callable[..., Any], table: str, prefix: str) -> None:
    """OpenSearch's own client, from the table to documents that a search finds."""
    from airflow.sdk import BaseHook
    from opensearchpy import OpenSearch

    connection, source = BaseHook.get_connection("lakehouse_opensearch"), harness.open_catalog().load_table(table)
    node = OpenSearch(
        [{"host": connection.host, "port": connection.port}],
        http_auth=(connection.login, connection.password),
        use_ssl=True,
        ca_certs=connection.extra_dejson["ca_certs"],
        timeout=60,
    )

    def work() -> None:
        sent = sum(1 for _ in call(node, _actions(source.scan().to_arrow_batch_reader(), prefix)))
        node.indices.refresh(index=f"{prefix}*")
        if sent != rows:
            raise RuntimeError(f"{sent} of {rows} rows were sent")

    rows = source.scan().count()
    _timed(rows, work)


def _helper(name: str, table: str, prefix: str, **options: int) -> None:
    from opensearchpy import helpers

    _by_helper(partial(getattr(helpers, name), **options), table, prefix)


COMMANDS: dict[str, Callable[..., None]] = {
    "sink": _sink,
    "ours-alone": _ours_alone,
    "streaming-alone": _streaming_alone,
    "ours": _ours,
    "prebuilt": _prebuilt,
    "streaming_bulk": partial(_helper, "streaming_bulk"),
    "streaming_bulk-tuned": partial(_helper, "streaming_bulk", chunk_size=5_000, max_chunk_bytes=10_000_000),
    "parallel_bulk-tuned": partial(_helper, "parallel_bulk", thread_count=2, chunk_size=5_000, max_chunk_bytes=10_000_000),
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
