"""Levels of the machine: memory of the stack's processes, free disk."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from lakehouse.exceptions import LakehouseError
from lakehouse.service_levels.levels import Services


def disk_free(services: Services, options: dict[str, Any]) -> tuple[float, str]:
    """Gigabytes free where the stack keeps its state."""
    path = Path(options.get("path") or services.disk_path)
    return shutil.disk_usage(path).free / 1e9, "free where the stack keeps its state"


def stack_memory(services: Services, _: dict[str, Any]) -> tuple[float, str]:
    """Gigabytes of all services together."""
    if services.memory_pid is None:
        raise LakehouseError("the stack's process tree is not on this machine")
    return proportional_memory(services.memory_pid) / 1e9, "proportional set size over the stack's process tree, all of its services"


def proportional_memory(root: int) -> int:
    """Bytes of memory of a process and its descendants; shared pages count once (Linux's proportional set size)."""
    process = psutil.Process(root)
    total = 0
    for member in [process, *process.children(recursive=True)]:
        with suppress(psutil.Error):  # It ended meanwhile.
            total += member.memory_full_info().pss
    return total
