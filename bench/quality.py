"""Twenty checks of the ticks by our operator's engine and by Airflow's SQLColumnCheckOperator, and manifests against a scan."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from statistics import median
from typing import Any

from bench import harness
from bench.harness import Result

_ROUNDS = 7
_COLUMNS = ("timestamp", "symbol", "bid_price", "bid_size", "ask_price", "ask_size", "last_price", "volume", "exchange", "ingest_time")
_NUMBERS = ("bid_price", "bid_size", "ask_price", "ask_size", "last_price", "volume")
_LARGEST = ("bid_size", "ask_size", "volume", "last_price")
_LIMIT = 1_000_000_000
_ROWS = 10_000_000
_TABLE = "bench_db.quality_ticks"


def run() -> list[Result]:
    """Measure on a table of ten million rows, made of the running stack's ticks by one insert after the other; it is removed at the end."""
    from airflow.providers.common.sql.operators.sql import SQLColumnCheckOperator
    from pyiceberg.exceptions import NoSuchTableError

    from include.assets import contract
    from lakehouse.contracts import Check, load
    from lakehouse.iceberg.table import ensure_table, row_count
    from lakehouse.quality.checks import run_checks, snapshot_source
    from lakehouse.quality.manifests import read_facts
    from lakehouse.quality.metadata import answer
    from lakehouse.quality.scan import scan
    from lakehouse_provider.hooks.trino import trino_cursor

    catalog, cursor = harness.open_catalog(), trino_cursor()
    ticks = load(contract("bronze_option_ticks"))
    rules = [Check(f"{name}_null", "", "error", "<=", _LIMIT, metric="nullValues", column=name) for name in _COLUMNS]
    rules += [Check(f"{name}_low", "", "error", "=", 0, query=f"SELECT count(*) FROM {{table}} WHERE {name} < 0") for name in _NUMBERS]
    rules += [
        Check(f"{name}_high", "", "error", "=", 0, query=f"SELECT count(*) FROM {{table}} WHERE {name} > {_LIMIT}") for name in _LARGEST
    ]
    suite = replace(ticks, table=_TABLE, sort_order=(), checks=tuple(rules), freshness_hours=None, freshness_column=None)
    with suppress(NoSuchTableError):
        catalog.purge_table(_TABLE)
    table = ensure_table(catalog, suite)
    while row_count(table.refresh()) < _ROWS:
        cursor.execute(f"INSERT INTO {_TABLE} SELECT * FROM {ticks.table}")
        cursor.fetchall()
    known = tuple(rule for rule in rules if answer(rule, read_facts(table), table.schema()))
    print(f"{suite.table}: {read_facts(table).rows:,} rows, {len(rules)} checks, {len(known)} of them answered by manifests", flush=True)

    mapping: dict[str, dict[str, Any]] = {name: {"null_check": {"leq_to": _LIMIT}} for name in _COLUMNS}
    for name in _NUMBERS:
        mapping[name]["min"] = {"geq_to": 0}
    for name in _LARGEST:
        mapping[name]["max"] = {"leq_to": _LIMIT}
    rival = SQLColumnCheckOperator(task_id="rival", table=suite.table, column_mapping=mapping, conn_id="lakehouse_trino")

    def ours() -> None:
        results = run_checks(trino_cursor(), suite, table=catalog.load_table(suite.table))
        if any(result.blocks for result in results):
            raise RuntimeError([result.as_line() for result in results if result.blocks])

    def by_manifests() -> None:
        facts = read_facts(table)
        if not all(answer(rule, facts, table.schema()) for rule in known):
            raise RuntimeError("a rule was not answered by the manifests")

    seconds = _medians(ours, lambda: rival.execute({}), by_manifests, lambda: scan(cursor, suite, known, snapshot_source(suite, table)))
    catalog.purge_table(_TABLE)
    return [
        Result("quality", "suite of 20 checks, beside SQLColumnCheckOperator", seconds[0], seconds[1], "s", "<= 0.833"),
        Result("quality", f"the {len(known)} checks that manifests answer, beside their scan", seconds[2], seconds[3], "s", "<= 0.1"),
    ]


def _medians(*jobs: Callable[[], Any]) -> list[float]:
    """Each job's median, in turns, after one warm-up."""
    timings: list[list[float]] = [[] for _ in jobs]
    for number in range(_ROUNDS + 1):
        for job, found in zip(jobs, timings, strict=True):
            started = time.perf_counter()
            job()
            if number:
                found.append(time.perf_counter() - started)
    return [median(found) for found in timings]
