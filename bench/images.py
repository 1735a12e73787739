"""Images: objects put, thumbnails made, whole runs, and memory as the images grow; each way is a process of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import which
from statistics import median
from tempfile import TemporaryDirectory

from bench import harness, images_rivals
from bench.harness import REPO, Result

SIZES = [int(text) for text in os.environ.get("BENCH_IMAGES", "1000,3000,10000").split(",")]
PUTS, RUN, ROUNDS = 1_000, 1_000, 3
# One put is asked for whatever the number of threads that boto3 is given.
BOTO3_THREADS = (4, 8, 16, 32)


@dataclass(frozen=True)
class Run:
    """One run of one way; `cpu` in seconds, of its process and those it started."""

    images: int
    seconds: float
    cpu: float
    peak_mb: float = 0.0

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds


def run() -> list[Result]:
    """Measure against the running stack; what is stored is removed at the end."""
    harness.open_catalog()
    with TemporaryDirectory(prefix="bench-images-") as name:
        folder = Path(name)
        images_rivals.make(folder / "small", max(PUTS, RUN), (640, 480))
        images_rivals.make(folder / "large", 12, (4000, 3000))
        try:
            return [*_put(folder / "small"), *_look(folder), *_whole(folder / "small"), *_growth()]
        finally:
            images_rivals.clear()


def _run(*command: str) -> Run:
    measured = harness.run([sys.executable, "-m", "bench.images_rivals", *command], PYTHONPATH=str(REPO))
    return Run(**json.loads(measured.output.splitlines()[-1]), peak_mb=measured.peak_mb)


def _in_turns(ways: Mapping[str, Callable[[], Run]]) -> dict[str, Run]:
    """Each way several times, in turns, so that what else the machine does meets all of them; the one of the median time."""
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            one = way()
            runs[name].append(one)
            print(
                f"  {name:28} {one.rate:8,.1f} images/s {one.cpu / one.images * 1e3:7.2f} ms of CPU each {one.peak_mb:6.0f} MB", flush=True
            )
    return {name: min(some, key=lambda one: abs(one.seconds - median(other.seconds for other in some))) for name, some in runs.items()}


def _put(folder: Path) -> list[Result]:
    """Bodies of some 40 kB into the store, with checksum, only if nothing is there, and read back; s5cmd only puts."""
    ways: dict[str, Callable[[], Run]] = {"ours": partial(_run, "put-ours", str(folder), str(PUTS))}
    ways |= {f"boto3, {threads} threads": partial(_run, "put-boto3", str(folder), str(PUTS), str(threads)) for threads in BOTO3_THREADS}
    if which("s5cmd", path=str(Path(sys.executable).parent)):
        ways["s5cmd"] = partial(_run, "put-s5cmd", str(folder), str(PUTS))
    found = _in_turns(ways)
    ours = found.pop("ours")
    s5cmd = found.pop("s5cmd", None)
    name, best = max(found.items(), key=lambda entry: entry[1].rate)
    results = [
        Result("images", f"{PUTS:,} puts read back, ours / {name}", ours.rate, best.rate, "images/s", ">= 3"),
        Result("images", f"CPU of a put, ours / {name}", ours.cpu / PUTS * 1e3, best.cpu / PUTS * 1e3, "ms", ""),
    ]
    if s5cmd:
        results.append(
            Result("images", f"{PUTS:,} puts, ours / s5cmd, which reads nothing back", ours.rate, s5cmd.rate, "images/s", ">= 1")
        )
    return results


def _look(folder: Path) -> list[Result]:
    """One decode that proves the image whole and gives thumbnail and hash, beside a decode and a Lanczos resize."""
    results = []
    for name, size in (("small", "640 x 480"), ("large", "4000 x 3000")):
        found = _in_turns({way: partial(_run, f"look-{way}", str(folder / name)) for way in ("ours", "lanczos")})
        ours, rival = found["ours"], found["lanczos"]
        results.append(Result("images", f"look at JPEG of {size}, ours / decode + Lanczos", ours.rate, rival.rate, "images/s", ">= 3"))
    return results


def _whole(folder: Path) -> list[Result]:
    """From the landing prefix to rows: ours beside a script of boto3 with threads and Pillow, one commit, nothing proved."""
    found = _in_turns({way: partial(_run, f"whole-{way}", str(folder), str(RUN)) for way in ("ours", "script")})
    ours, rival = found["ours"], found["script"]
    return [Result("images", f"{RUN:,} images landed to registered, ours / a script", ours.rate, rival.rate, "images/s", "")]


def _growth() -> list[Result]:
    """Whole runs of more and more images: the rate holds, memory does not grow with them."""
    runs = []
    with TemporaryDirectory(prefix="bench-images-") as name:
        folder = Path(name)
        images_rivals.make(folder, max(SIZES), (640, 480))
        for images in SIZES:
            runs.append(_run("whole-ours", str(folder), str(images)))
            print(f"  {images:8,} images {runs[-1].rate:8,.1f} images/s {runs[-1].peak_mb:6.0f} MB", flush=True)
    _plot(runs)
    job = f"memory at {SIZES[-1]:,} images / at {SIZES[0]:,}"
    return [Result("images", job, runs[-1].peak_mb, runs[0].peak_mb, "MB", "<= 1.5")]


def _plot(runs: list[Run]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    left.plot([run.images for run in runs], [run.rate for run in runs], marker="o", color="#2a7f7f")
    left.set(title="Images a second, landed to registered", xlabel="images", ylim=(0, None))
    right.plot([run.images for run in runs], [run.peak_mb for run in runs], marker="o", color="#b5533c")
    right.set(title="Peak memory, decoders included (MB)", xlabel="images", ylim=(0, None))
    harness.PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(harness.PICTURES / "images.png", dpi=110)
