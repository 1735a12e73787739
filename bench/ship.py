"""Logs to OpenSearch: the client alone, end to end beside its rivals, only what is new, and as the rows grow."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from unittest.mock import patch

from bench import harness, ship_rivals
from bench.harness import REPO, STATE, Result

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from lakehouse.contracts import Contract
    from lakehouse.opensearch.client import OpenSearchClient

SIZES = [int(text) for text in os.environ.get("BENCH_ROWS", "100000,1000000,10000000").split(",")]
ALONE_ROWS = 200_000
ROWS = 400_000
ROUNDS = 3
# OpenSearch's own load generator lives in an environment of its own: `pip install opensearch-benchmark`, then name its executable here.
OSB = os.environ.get("BENCH_OPENSEARCH_BENCHMARK", "")
# The first two are ours: in whole, and its bodies made before the clock starts.
WAYS = ("ours", "prebuilt", "streaming_bulk", "streaming_bulk-tuned", "parallel_bulk-tuned")
_ROWS_AT_ONCE = 500_000


@dataclass(frozen=True)
class Run:
    """One run of one way; `peak_mb` is of its whole process, `sending` the seconds without planning and reading back (only ours)."""

    rows: int
    seconds: float
    cpu: float
    peak_mb: float = 0.0
    sending: float = 0.0

    @property
    def rate(self) -> float:
        """Documents a second."""
        return self.rows / self.seconds

    @property
    def cpu_each(self) -> float:
        """Microseconds of CPU for a document."""
        return self.cpu / self.rows * 1e6


def run() -> list[Result]:
    """Measure everything against the running stack; tables (in `bench_db`) and indices (`logs-bench-*`) are removed at the end."""
    catalog = harness.open_catalog()
    admin = ship_rivals.client("lakehouse_opensearch_admin")
    try:
        return [*_alone(), *_end_to_end(catalog, admin), *_incremental(catalog), *_growth(catalog, admin)]
    finally:
        _delete_indices(admin)
        for table in catalog.list_tables("bench_db"):
            catalog.purge_table(table)


def _run(*command: str) -> Run:
    measured = harness.run([sys.executable, "-m", "bench.ship_rivals", *command], PYTHONPATH=str(REPO))
    return Run(**json.loads(measured.output.splitlines()[-1]), peak_mb=measured.peak_mb)


def _in_turns(ways: Mapping[str, Callable[[], Run]]) -> dict[str, Run]:
    """Each way several times, in turns, so that what else the machine does meets all of them; the medians."""
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            one = way()
            runs[name].append(one)
            print(f"  {name:22} {one.rate:9,.0f} documents/s {one.cpu_each:6.1f} us of CPU each {one.peak_mb:6.0f} MB", flush=True)
    return {
        name: Run(some[0].rows, *(median(getattr(one, field) for one in some) for field in ("seconds", "cpu", "peak_mb", "sending")))
        for name, some in runs.items()
    }


def _alone() -> list[Result]:
    """From Arrow batches to a sink that takes everything at once: what the client itself costs."""
    with _sink() as url:
        found = _in_turns({name: partial(_run, f"{name}-alone", url, str(ALONE_ROWS)) for name in ("ours", "streaming")})
    ours, rival = found["ours"], found["streaming"]
    return [
        Result("ship", "client alone, ours / streaming_bulk", ours.rate, rival.rate, "docs/s", ">= 4"),
        Result("ship", "client's CPU per document, ours / streaming_bulk", ours.cpu_each, rival.cpu_each, "us", "<= 0.25"),
    ]


@contextmanager
def _sink() -> Iterator[str]:
    command = [sys.executable, "-m", "bench.ship_rivals", "sink"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPO, env=os.environ | {"PYTHONPATH": str(REPO)})
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"  # type: ignore[union-attr]
    finally:
        process.terminate()
        process.wait()


def _end_to_end(catalog: Catalog, admin: OpenSearchClient) -> list[Result]:
    """From an Iceberg table to documents that a search finds, on the real node."""
    table = _fill(catalog, "ship", ROWS)
    ways: dict[str, Callable[[], Run]] = {name: partial(_ship, catalog, admin, name, table) for name in WAYS}
    if OSB:
        ways["opensearch-benchmark"] = partial(_opensearch_benchmark, catalog, admin, table)
    else:
        print("  opensearch-benchmark: not run, BENCH_OPENSEARCH_BENCHMARK names no executable")
    _ship(catalog, admin, "ours", table)  # A node that has just started is slow.
    found = _in_turns(ways)
    ours = found.pop("ours")
    prebuilt = found.pop("prebuilt")
    job = f"{ROWS:,} rows end to end, ours"
    return [
        Result("ship", f"{job} / the same bodies prebuilt", ours.rate, prebuilt.rate, "docs/s", ">= 0.95"),
        Result("ship", f"{job} without plan and finish / prebuilt", ROWS / ours.sending, prebuilt.rate, "docs/s", ""),
        *(Result("ship", f"{job} / {name}", ours.rate, rival.rate, "docs/s", "") for name, rival in found.items()),
    ]


def _ship(catalog: Catalog, admin: OpenSearchClient, way: str, table: str) -> Run:
    """One run into indices of its own, which are counted and deleted."""
    prefix = f"logs-bench-{way.replace('_', '-')}-"
    _delete_indices(admin)
    _forget_shipments(catalog)
    done = _run(way, table, prefix)
    if (documents := admin.count(f"{prefix}*")) != ROWS:
        raise RuntimeError(f"{way}: {ROWS} rows were shipped, the indices have {documents} documents")
    _delete_indices(admin)
    return done


def _opensearch_benchmark(catalog: Catalog, admin: OpenSearchClient, table: str) -> Run:
    """Bodies prebuilt as for ours, but sent by OpenSearch's load generator; its own throughput, without start and refresh."""
    prefix, source = "logs-bench-osb-", catalog.load_table(table)
    _delete_indices(admin)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "documents.json").open("wb") as file:
            for bulk in ship_rivals.bulks(source.scan().to_arrow_batch_reader(), ship_rivals.target(prefix)):
                file.write(bulk.body())
        _write_workload(folder)
        command: list[str | Path] = [
            *(OSB, "run", "--pipeline=benchmark-only", f"--workload-path={folder}", "--offline"),
            *(f"--target-hosts={admin.base_url.removeprefix('https://')}", f"--client-options={folder / 'client.json'}"),
            *("--results-format=csv", f"--results-file={folder / 'results.csv'}", "--on-error=abort"),
        ]
        measured = harness.run(command, HOME=str(folder))
        found = re.search(r"^Mean Throughput,bulk,([\d.]+),docs/s", (folder / "results.csv").read_text(), re.MULTILINE)
    admin.refresh(f"{prefix}*")
    if found is None or (documents := admin.count(f"{prefix}*")) != ROWS:
        raise RuntimeError(f"opensearch-benchmark sent {documents if found else 'nothing'} of {ROWS}:\n{measured.output[-2000:]}")
    _delete_indices(admin)
    return Run(ROWS, ROWS / float(found[1]), 0.0, measured.peak_mb)


def _write_workload(folder: Path) -> None:
    connection = json.loads((STATE / "etc" / "connections.json").read_text())["lakehouse_opensearch_admin"]
    extra = connection["extra"]
    options = {
        "use_ssl": True,
        "verify_certs": True,
        "ca_certs": (json.loads(extra) if isinstance(extra, str) else extra)["ca_certs"],
        "basic_auth_user": connection["login"],
        "basic_auth_password": connection["password"],
        "timeout": 60,
    }
    secret = folder / "client.json"
    secret.touch(0o600)
    secret.write_text(json.dumps({"default": options}))
    documents = {
        "source-file": "documents.json",
        "document-count": ROWS,
        "uncompressed-bytes": (folder / "documents.json").stat().st_size,
        "includes-action-and-meta-data": True,
    }
    bulk = {"name": "bulk", "operation-type": "bulk", "bulk-size": 10_000}
    workload = {
        "version": 2,
        "description": "The lines of the sample logs",
        "corpora": [{"name": "logs", "documents": [documents]}],
        "operations": [bulk],
        "test_procedures": [{"name": "ship", "default": True, "schedule": [{"operation": "bulk", "clients": 1}]}],
    }
    (folder / "workload.json").write_text(json.dumps(workload))


def _incremental(catalog: Catalog) -> list[Result]:
    """The last of five appends, beside reading just its files; and that nothing new opens no file."""
    from lakehouse.iceberg import window

    name = _fill(catalog, "window", 1_000_000, at_once=200_000)
    snapshots = [entry.snapshot_id for entry in catalog.load_table(name).history()]

    def ours() -> Run:
        began, cpu = time.monotonic(), time.process_time()
        found = window.appended(catalog.load_table(name), snapshots[-2], snapshots[-1])
        rows = sum(len(batch) for batch in found.batches(0, len(found.files), max_rows=ship_rivals.BATCH_ROWS))
        return Run(rows, time.monotonic() - began, time.process_time() - cpu)

    table = catalog.load_table(name)
    paths = [task.file.file_path for task in window.appended(table, snapshots[-2], snapshots[-1]).files]

    def rival() -> Run:
        began, cpu = time.monotonic(), time.process_time()
        rows = _read_files(table, paths)
        return Run(rows, time.monotonic() - began, time.process_time() - cpu)

    found = _in_turns({"ours": ours, "pyarrow.dataset": rival})
    if {one.rows for one in found.values()} != {200_000}:
        raise RuntimeError(f"200000 rows were to be read, not {found}")
    with _opened(table) as opened:
        window.appended(table, snapshots[-1], snapshots[-1])
        nothing_new = len(opened)
        new = window.appended(table, snapshots[-2], snapshots[-1])
        planned = len(opened)
        list(new.batches(0, len(new.files), max_rows=ship_rivals.BATCH_ROWS))
    print(f"  data files opened: {nothing_new} with nothing new, {planned} to plan a fifth of the rows, {len(opened)} to read it")
    each = {way: one.seconds for way, one in found.items()}
    return [
        Result("ship", "read 1/5 of the rows, ours / just those files", each["ours"], each["pyarrow.dataset"], "s", "<= 1.3"),
        Result("ship", "data files opened, nothing new / 1/5 new", nothing_new, len(set(opened)), "files", "<= 0"),
    ]


def _read_files(table: Table, paths: list[str]) -> int:
    import pyarrow.dataset as ds
    from pyarrow.fs import S3FileSystem

    settings = table.io.properties
    store = S3FileSystem(
        access_key=settings["s3.access-key-id"],
        secret_key=settings["s3.secret-access-key"],
        endpoint_override=settings["s3.endpoint"],
        region=settings["s3.region"],
    )
    files = ds.dataset([path.removeprefix("s3://") for path in paths], format="parquet", filesystem=store)
    return sum(len(batch) for batch in files.to_batches())


@contextmanager
def _opened(table: Table) -> Iterator[list[str]]:
    """Which data files are opened meanwhile."""
    paths: list[str] = []
    original = type(table.io).new_input

    def noted(self: object, location: str) -> object:
        if location.endswith(".parquet"):
            paths.append(location)
        return original(self, location)  # type: ignore[arg-type]

    with patch.object(type(table.io), "new_input", noted):
        yield paths


def _growth(catalog: Catalog, admin: OpenSearchClient) -> list[Result]:
    """A first shipment of ever more rows: rows a second and the process's memory; then both sides counted."""
    points = []
    results = []
    for rows in SIZES:
        table = _fill(catalog, "growth", rows)
        _delete_indices(admin)
        _forget_shipments(catalog)
        done = _run("ours", table, "logs-bench-growth-")
        documents, in_table = admin.count("logs-bench-growth-*"), _count_by_trino(table)
        print(f"{rows:>11,} rows: {done.seconds:6.1f} s {done.rate:7,.0f} rows/s {done.peak_mb:5.0f} MB", end="")
        print(f"; OpenSearch has {documents:,}, Trino counts {in_table:,}", flush=True)
        if not documents == in_table == rows:
            raise RuntimeError(f"{rows} rows were shipped, OpenSearch has {documents}, Trino counts {in_table}")
        results.append(Result("ship", f"documents in OpenSearch / rows by Trino, {rows:,} rows", documents, in_table, "rows", ">= 1"))
        points.append(done)
    _delete_indices(admin)
    first, last = points[0], points[-1]
    growth = f"{last.rows:,} rows / {first.rows:,} rows"
    results.append(Result("ship", f"peak memory of ours, {growth}", last.peak_mb, first.peak_mb, "MB", ""))
    results.append(Result("ship", f"documents a second of ours, {growth}", last.rate, first.rate, "docs/s", ""))
    _plot(points)
    return results


def _count_by_trino(table: str) -> int:
    from lakehouse_provider.hooks.trino import trino_cursor

    cursor = trino_cursor()
    cursor.execute(f"SELECT count(*) FROM {table}")
    return int(cursor.fetchone()[0])


def _plot(points: list[Run]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.6))
    for axis, title, values in (
        (axes[0], "documents a second, read back", [point.rate for point in points]),
        (axes[1], "peak memory of the process, MB", [point.peak_mb for point in points]),
    ):
        axis.plot([point.rows for point in points], values, marker="o")
        axis.set(xscale="log", xlabel="rows shipped", title=title)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    figure.suptitle(f"Logs from Iceberg to OpenSearch ({harness.MACHINE})")
    figure.tight_layout()
    harness.PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(harness.PICTURES / "ship.png", dpi=100)
    print(f"plot: {harness.PICTURES / 'ship.png'}")


def _fill(catalog: Catalog, name: str, rows: int, *, at_once: int = _ROWS_AT_ONCE) -> str:
    """A table of that many lines."""
    from lakehouse.iceberg.append import Input, append_once

    table = f"bench_db.{name}"
    _make_anew(catalog, replace(ship_rivals.CONTRACT, table=table))
    for first in range(0, rows, at_once):
        lines = ship_rivals.make_rows(first, min(at_once, rows - first))
        append_once(catalog, table, [Input(f"{first:064d}", f"lines from {first}", lines)], ledger=None)
    return table


def _forget_shipments(catalog: Catalog) -> None:
    """So that the next run is the first."""
    from lakehouse.ops.tables import contracts

    _make_anew(catalog, replace(contracts()["ops_db.shipments"], table=ship_rivals.SHIPMENTS))


def _make_anew(catalog: Catalog, contract: Contract) -> None:
    from lakehouse.iceberg.table import ensure_table

    if catalog.table_exists(contract.table):
        catalog.purge_table(contract.table)
    ensure_table(catalog, contract)


def _delete_indices(admin: OpenSearchClient) -> None:
    for index in sorted(admin.indices("logs-bench-*")):
        admin.request("DELETE", f"/{index}", accept=(404,))
