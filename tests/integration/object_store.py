"""The object store of the tests' stack, killed."""

from __future__ import annotations

import os
import signal

import psutil

from stack.installation import Installation


def kill_object_store(stack: Installation) -> None:
    """SIGKILL; the supervisor starts it again."""
    (killed,) = (process for process in psutil.process_iter(["cmdline"]) if _is_weed_of(stack, process))
    os.kill(killed.pid, signal.SIGKILL)


def _is_weed_of(stack: Installation, process: psutil.Process) -> bool:
    command = process.info["cmdline"] or []
    return "mini" in command and any(str(stack.etc) in part for part in command)
