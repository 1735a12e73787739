"""The sync of dashboards beside a forced import of everything, which costs the same whether or not anything changed."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import yaml

from bench import harness
from bench.harness import REPO, Result

if TYPE_CHECKING:
    from lakehouse.dashboards.superset.target import SupersetTarget
    from lakehouse.dashboards.sync import Sync

SIZES = [int(text) for text in os.environ.get("BENCH_DASHBOARDS", "1,10,100").split(",")]
ROUNDS = 3
_FOLDER = REPO / "include" / "dashboards" / "superset"
_BOARD = "lakehouse_analytics"
_PREFIX = "scratch/bench_dashboards"


def run() -> list[Result]:
    """Measure against the running stack, with copies of the board `Lakehouse Analytics`; they are removed at the end."""
    harness.open_catalog()
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        try:
            for boards in SIZES:
                bench.grow(boards)
                results += bench.measure(boards)
        finally:
            bench.remove()
    return results


class Bench:
    """A folder with copies of a board and its charts over the real datasets, and the sync of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for kind in ("databases", "datasets", "charts", "dashboards"):
            for path in (_FOLDER / kind).rglob("*.yaml"):
                target = folder / path.relative_to(_FOLDER)
                target.parent.mkdir(parents=True, exist_ok=True)
                if kind in ("databases", "datasets"):
                    target.write_text(path.read_text())

    def grow(self, boards: int) -> None:
        """As many copies, each with identities of its own."""
        board = (_FOLDER / "dashboards" / f"{_BOARD}.yaml").read_text()
        charts = {path: path.read_text() for path in (_FOLDER / "charts").glob("*.yaml")}
        charts = {path: text for path, text in charts.items() if yaml.safe_load(text)["uuid"] in board}
        for number in range(boards):
            for path, text in {_FOLDER / "dashboards" / f"{_BOARD}.yaml": board, **charts}.items():
                for original in [board, *charts.values()]:
                    identifier = yaml.safe_load(original)["uuid"]
                    text = text.replace(identifier, str(uuid.uuid5(uuid.NAMESPACE_URL, f"bench/{number}/{identifier}")))
                text = text.replace("slug: lakehouse-analytics", f"slug: bench-{number}")
                (self.folder / path.relative_to(_FOLDER)).with_stem(f"{path.stem}_{number}").write_text(text)

    def measure(self, boards: int) -> list[Result]:
        """Medians of the three ways; each way is a sign-in, the files, and what it does with them."""
        sync, _ = self._open()
        sync.apply()
        ways = {"forced": self._forced, "nothing changed": lambda: self._apply(0), "one changed": lambda: self._apply(1)}
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                if name == "one changed":
                    self._edit()
                found[name].append(_seconds(way))
                print(f"{boards:>4} boards  {name:16} {found[name][-1]:6.2f} s", flush=True)
        forced, nothing, one = (median(found[name]) for name in ways)
        goals = ("<= 0.25", "<= 0.35" if boards == 10 else "")
        return [
            Result("dashboards", f"{boards} boards, nothing changed / forced import", nothing, forced, "s", goals[0]),
            Result("dashboards", f"{boards} boards, one changed / forced import", one, forced, "s", goals[1]),
        ]

    def _open(self) -> tuple[Sync, SupersetTarget]:
        from lakehouse_provider.operators.superset import SupersetSyncOperator

        operator = SupersetSyncOperator(task_id="bench", folder=self.folder, prefix=_PREFIX)
        target = operator.target()
        return operator.sync(target), target

    def _forced(self) -> None:
        """Everything in one import, as Superset's own tools send a folder."""
        _, target = self._open()
        (assets, *_) = target.parts
        assets.write({key: wanted.content for key, wanted in target.wanted().items()})

    def _apply(self, expected: int) -> None:
        sync, _ = self._open()
        _, written = sync.apply()
        if len(written.keys) != expected:
            raise RuntimeError(f"{len(written.keys)} objects were written, {expected} were expected")

    def _edit(self) -> None:
        path = self.folder / "dashboards" / f"{_BOARD}_0.yaml"
        board = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump(board | {"description": f"edited at {time.monotonic_ns()}"}, sort_keys=False))

    def remove(self) -> None:
        """Take the copies out of the files, and prune what is left of them; the datasets stay in the files, and so in Superset."""
        from lakehouse.dashboards.plan import Action
        from lakehouse_provider.hooks.object_store import ObjectStoreHook

        for kind in ("charts", "dashboards"):
            for path in (self.folder / kind).glob("*.yaml"):
                path.unlink()
        sync, _ = self._open()
        keys = {change.key for change in sync.plan().of(Action.ORPHANED)}
        sync.prune(keys, limit=len(keys))
        store = ObjectStoreHook().store
        for entry in store.list(f"{_PREFIX}/"):
            store.delete(entry.key)


def _seconds(way: Callable[[], None]) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start
