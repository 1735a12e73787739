"""Memory of the whole stack while something runs."""

from __future__ import annotations

import threading

import psutil

_SECONDS = 3.0


def proportional_memory(root: int) -> int:
    """Bytes over a process and its descendants; shared pages count once (Linux's proportional set size)."""
    total = 0
    try:
        process = psutil.Process(root)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    for member in family:
        try:
            total += member.memory_full_info().pss
        except psutil.Error:  # It ended meanwhile.
            continue
    return total


class MemoryWatch:
    """Measures a process tree every few seconds and keeps the highest value."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def peak_mb(self) -> int:
        """The highest value seen, in MB (10^6 bytes)."""
        return self._peak // 1_000_000

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self._peak = max(self._peak, proportional_memory(self._root))
            if self._stop.wait(_SECONDS):
                return
