"""Ticks by Spark and by Arrow, in whole and as they grow; XML files as they grow; appends together and one by one."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from bench import harness
from bench.harness import REPO, STATE, Measured, Result

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from lakehouse.contracts import Contract

SIZES = [int(text) for text in os.environ.get("BENCH_ROWS", "100000,1000000,10000000,50000000").split(",")]
XML_RECORDS = (20_000, 200_000, 2_000_000)
FILES = 40
DAY = date(2026, 11, 20)
COLUMNS = "timestamp,symbol,bid_price,bid_size,ask_price,ask_size,last_price,volume,exchange,ingest_time"


def run() -> list[Result]:
    """Measure everything against the running stack; the tables are in `bench_db` and are dropped at the end."""
    catalog = harness.open_catalog()
    try:
        return [*_append_and_noop(catalog), *_engines(catalog), *_xml(catalog), *_commits(catalog)]
    finally:
        for table in catalog.list_tables("bench_db"):
            catalog.drop_table(table)


def _table(catalog: Catalog, like: str, name: str) -> Contract:
    from lakehouse.contracts import load
    from lakehouse.iceberg.table import ensure_table

    contract = replace(load(REPO / "include" / "contracts" / f"{like}.odcs.yaml"), table=f"bench_db.{name}")
    if catalog.table_exists(contract.table):
        catalog.drop_table(contract.table)
    ensure_table(catalog, contract)
    return contract


def _spark(job: Path, *arguments: str) -> Measured:
    submit = Path(sys.executable).parent / "spark-submit"
    settings = {"SPARK_CONF_DIR": str(STATE / "etc" / "spark"), "AWS_REGION": "us-east-1", "PYSPARK_PYTHON": sys.executable}
    return harness.run([submit, "--master", "local[2]", job, *arguments], **settings)


def _append_and_noop(catalog: Catalog) -> list[Result]:
    results = []
    for rows in [size for size in SIZES if size <= 10_000_000][-2:]:
        contract = _table(catalog, "bronze_option_ticks", "append")
        text = _spark(REPO / "bench" / "spark_append.py", f"hive_prod.{contract.table}", str(rows)).output
        noop, append = map(float, re.findall(r"noop ([\d.]+) append ([\d.]+)", text)[-1])
        files, partitions = map(float, re.findall(r"files (\d+) partitions (\d+)", text)[-1])
        results.append(Result("bronze", f"Spark append of {rows:,} rows / noop sink of the same frame", append, noop, "s", "<= 1.5"))
        results.append(Result("bronze", f"files of that append / partitions touched, {rows:,} rows", files, partitions, "files", "<= 1"))
    return results


def _engines(catalog: Catalog) -> list[Result]:
    """A day of ticks from nothing to a branch, start of the process included: Arrow beside Spark."""
    results, points = [], []
    for rows in SIZES:
        contract = _table(catalog, "bronze_option_ticks", "day")
        days = f"{DAY}={rows}"
        spark = _spark(
            REPO / "include" / "spark" / "option_ticks.py",
            *("--table", f"hive_prod.{contract.table}", "--branch", "spark", "--days", days, "--columns", COLUMNS),
        )
        arrow = harness.run([sys.executable, "-m", "bench.bronze", "arrow", contract.table, days], PYTHONPATH=str(REPO))
        table = catalog.load_table(contract.table)
        counts = {name: table.snapshot_by_name(name).summary["total-records"] for name in ("spark", "arrow")}  # type: ignore[union-attr,index]
        if set(counts.values()) != {str(rows)}:
            raise RuntimeError(f"{rows} rows were wanted, the branches have {counts}")
        print(
            f"{rows:>11,} rows: Spark {spark.seconds:6.1f} s {spark.peak_mb:6.0f} MB, Arrow {arrow.seconds:6.1f} s {arrow.peak_mb:6.0f} MB",
            flush=True,
        )
        results.append(Result("bronze", f"a day of {rows:,} ticks, Arrow / Spark", arrow.seconds, spark.seconds, "s", ""))
        results.append(Result("bronze", f"peak memory of {rows:,} ticks, Arrow / Spark", arrow.peak_mb, spark.peak_mb, "MB", ""))
        points.append((rows, spark, arrow))
    first, last = points[0][2], points[-1][2]
    growth = f"peak memory of Arrow, {points[-1][0]:,} rows / {points[0][0]:,} rows"
    results.append(Result("bronze", growth, last.peak_mb, first.peak_mb, "MB", ""))
    _plot(points)
    return results


def _plot(points: list[tuple[int, Measured, Measured]]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.6))
    rows = [point[0] for point in points]
    for axis, title, value in ((axes[0], "seconds, process start included", "seconds"), (axes[1], "peak memory, MB", "peak_mb")):
        for number, name in ((1, "Spark"), (2, "Arrow")):
            axis.plot(rows, [getattr(point[number], value) for point in points], marker="o", label=name)
        axis.set(xscale="log", xlabel="ticks of the day", title=title)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(f"A day of ticks to a branch ({harness.MACHINE})")
    figure.tight_layout()
    harness.PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(harness.PICTURES / "bronze.png", dpi=100)
    print(f"plot: {harness.PICTURES / 'bronze.png'}")


def _xml(catalog: Catalog) -> list[Result]:
    """Peak memory of one XML file, ours beside reading the document whole."""
    results = []
    for records in XML_RECORDS:
        contract = _table(catalog, "collected_option_ticks", "xml")
        file = harness.PICTURES / f"ticks-{records}.xml"
        _write_xml(file, records)
        try:
            ours = harness.run([sys.executable, "-m", "bench.bronze", "xml", contract.table, str(file)], PYTHONPATH=str(REPO))
            rival = harness.run([sys.executable, "-m", "bench.bronze", "xml-whole", contract.table, str(file)], PYTHONPATH=str(REPO))
        finally:
            file.unlink()
        print(
            f"{records:>11,} records: ours {ours.seconds:.1f} s {ours.peak_mb:.0f} MB, whole {rival.seconds:.1f} s {rival.peak_mb:.0f} MB",
            flush=True,
        )
        results.append(Result("bronze", f"XML of {records:,} records, ours / document whole", ours.seconds, rival.seconds, "s", ""))
        results.append(Result("bronze", f"peak memory of {records:,} XML records, ours / whole", ours.peak_mb, rival.peak_mb, "MB", ""))
    return results


def _commits(catalog: Catalog) -> list[Result]:
    """Small inputs appended once: all in one commit, beside one commit each."""
    import time

    import pyarrow as pa

    from lakehouse.iceberg.append import Input, append_once

    def inputs(prefix: str) -> list[Input]:
        from datetime import UTC, datetime

        now = pa.array([datetime.now(UTC)] * 100, pa.timestamp("us", tz="UTC"))
        return [
            Input(
                f"{prefix}{number:060d}",
                f"{prefix}{number}",
                pa.table({"timestamp": now, "symbol": ["X"] * 100, "ingest_time": now, "source_file": ["f"] * 100}),
            )
            for number in range(FILES)
        ]

    contract = _table(catalog, "collected_option_ticks", "commits")
    started = time.monotonic()
    append_once(catalog, contract.table, inputs(uuid4().hex[:4]))
    together = time.monotonic() - started
    started = time.monotonic()
    for entry in inputs(uuid4().hex[:4]):
        append_once(catalog, contract.table, [entry])
    return [Result("bronze", f"{FILES} small files in one commit / one each", together, time.monotonic() - started, "s", "<= 0.2")]


def _write_xml(path: Path, records: int) -> None:
    line = (
        '  <tick timestamp="{day}T14:30:00.{number:06d}+00:00" symbol="SPY25C400" bid_price="108.0" bid_size="25" ask_price="108.5" '
        'ask_size="20" last_price="108.3" volume="2000" exchange="CBOE"/>\n'
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        # A source of its own for each run: the same content would be known already.
        file.write(f'<?xml version="1.0"?>\n<ticks xmlns="urn:lakehouse:ticks:1" source="{uuid4()}">\n')
        for number in range(records):
            file.write(line.format(day=DAY, number=number % 1_000_000))
        file.write("</ticks>\n")


def _arrow_job(table: str, days: str) -> None:
    from include import ticks
    from include.spark.option_ticks import batches, recipes, work_of
    from lakehouse.iceberg.branches import start_branch
    from lakehouse.iceberg.overwrite import overwrite_days

    wanted = ticks.from_text(days)
    pieces = (batch.select(COLUMNS.split(",")) for batch in batches(work_of(wanted), 7))
    catalog = harness.open_catalog()
    overwrite_days(catalog, start_branch(catalog, table, "arrow"), set(wanted), pieces, branch="arrow", summary=recipes(wanted, 7))


def _xml_job(table: str, path: str) -> None:
    from include.feeds.ticks import SCHEMA
    from lakehouse.contracts import load
    from lakehouse.xml_ingest.load import load_group
    from lakehouse.xml_ingest.parse import Feed
    from lakehouse_provider.hooks.object_store import ObjectStoreHook

    catalog = harness.open_catalog()
    contract = replace(load(REPO / "include" / "contracts" / "collected_option_ticks.odcs.yaml"), table=table)
    store = ObjectStoreHook().store
    key = f"bench/{Path(path).name}"
    with Path(path).open("rb") as body:
        store.client.upload_fileobj(body, store.bucket, key)
    counts = load_group(store, catalog, contract, Feed(SCHEMA), list(store.list(key)), name="bench")
    if counts.records_loaded == 0:
        raise RuntimeError(f"nothing was loaded: {counts}")


def _xml_whole_job(table: str, path: str) -> None:
    """As it is usually done: the document parsed and validated whole, its records a list of dictionaries, one append."""
    from datetime import UTC, datetime

    import pyarrow as pa
    from lxml import etree

    from include.feeds.ticks import SCHEMA
    from lakehouse.iceberg.schema import to_table_types

    document = etree.parse(path)
    etree.XMLSchema(etree.parse(SCHEMA)).assertValid(document)
    now, numbers = datetime.now(UTC), {"bid_price", "ask_price", "last_price", "bid_size", "ask_size", "volume"}
    rows = [
        {name: float(value) if name in numbers else value for name, value in element.attrib.items()}
        | {"timestamp": datetime.fromisoformat(element.get("timestamp", "")), "ingest_time": now, "source_file": path}
        for element in document.getroot()
    ]
    target = harness.open_catalog().load_table(table)
    target.append(to_table_types(pa.Table.from_pylist(rows), target))


JOBS = {"arrow": _arrow_job, "xml": _xml_job, "xml-whole": _xml_whole_job}

if __name__ == "__main__":
    JOBS[sys.argv[1]](*sys.argv[2:])
