"""What every part of the benchmarks shares: measuring a command, and the table, plot and file that come out."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

REPO = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("STATE") or REPO / "var").resolve()
RESULTS = STATE / "bench.json"
PICTURES = STATE / "bench"
MACHINE = f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.system()}"


@dataclass(frozen=True)
class Result:
    """One comparison; `ratio` is ours / rival, and `goal` the ratio that is not to be passed (or, for `>=`, to be reached)."""

    part: str
    job: str
    ours: float
    rival: float
    unit: str
    goal: str
    machine: str = MACHINE
    when: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def ratio(self) -> float:
        """Ours to the rival's."""
        return self.ours / self.rival if self.rival else float("inf")

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where none is set."""
        if not self.goal:
            return None
        sign, limit = self.goal.split()
        return self.ratio <= float(limit) if sign == "<=" else self.ratio >= float(limit)

    def as_dict(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self) | {"ratio": round(self.ratio, 3), "met": self.met}


@dataclass(frozen=True)
class Measured:
    """Seconds of a command, the highest memory of its process tree in MB (10^6 bytes), and what it printed."""

    seconds: float
    peak_mb: float
    output: str


def open_catalog() -> Catalog:
    """The running stack's catalog, with the namespace `bench_db`; its connections go into the environment, for hooks and for commands."""
    from contextlib import suppress

    from pyiceberg.exceptions import NamespaceAlreadyExistsError

    from lakehouse.ops.tables import ensure_ops_tables
    from lakehouse_provider.hooks.catalog import LakehouseCatalogHook

    for conn_id, fields in json.loads((STATE / "etc" / "connections.json").read_text()).items():
        os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(fields)
    catalog = LakehouseCatalogHook().catalog
    with suppress(NamespaceAlreadyExistsError):
        catalog.create_namespace("bench_db")
    ensure_ops_tables(catalog)
    return catalog


def run(command: list[str | Path], **environment: str) -> Measured:
    """Run a command to its end and watch its process tree.

    Raises:
        RuntimeError: it failed; the end of its output is in the text.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=REPO, env=os.environ | environment
    )
    peak, done = [0], threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, peak, done), daemon=True)
    watch.start()
    output = process.communicate()[0]
    seconds = time.monotonic() - started
    done.set()
    watch.join()
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} failed with {process.returncode}:\n{output[-3000:]}")
    return Measured(seconds, peak[0] / 1e6, output)


def _watch(pid: int, peak: list[int], done: threading.Event) -> None:
    while not done.wait(0.1):
        try:
            root = psutil.Process(pid)
            family = [root, *root.children(recursive=True)]
            peak[0] = max(peak[0], sum(member.memory_info().rss for member in family))
        except psutil.Error:  # a process ended meanwhile
            continue


def write_results(results: list[Result]) -> None:
    """Put the results into `bench.json`, in place of older ones of the same job, and print them as a table."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    fresh = {(result.part, result.job) for result in results}
    kept = [entry for entry in known if (entry["part"], entry["job"]) not in fresh]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps([*kept, *(result.as_dict() for result in results)], indent=2) + "\n")
    print(f"\n{'part':8} {'job':58} {'ours':>10} {'rival':>10} {'unit':9} {'ratio':>7}  goal")
    for result in results:
        verdict = {True: "met", False: "NOT MET", None: ""}[result.met]
        numbers = f"{result.ours:10.2f} {result.rival:10.2f} {result.unit:9} {result.ratio:7.2f}"
        print(f"{result.part:8} {result.job:58} {numbers}  {result.goal} {verdict}")
    print(f"{MACHINE}; results: {RESULTS}")
