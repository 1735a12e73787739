"""Running the programs that prepare a service, as root or as the user for servers that refuse root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from stack.errors import StackError
from stack.installation import VENVS, Installation

# Servers that refuse root run as this user when the stack is started by root.
SERVICE_USER = "lakehouse"


def as_service_user(stack: Installation) -> list[str]:
    """The command prefix that drops root for servers which refuse it; empty for an ordinary user.

    A checkout under /root cannot be entered by another user, so there the server keeps one capability of root's: to pass
    file permissions.
    """
    if os.geteuid() != 0:
        return []
    prefix = ["setpriv", f"--reuid={SERVICE_USER}", f"--regid={SERVICE_USER}", "--clear-groups"]
    closed = any(not folder.stat().st_mode & 0o001 for folder in [*stack.state.parents, *VENVS.parents] if folder.exists())
    # The secure bit lets access(2), which PostgreSQL asks about its programs, see that capability too.
    keep = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"]
    return [*prefix, *keep] if closed else prefix


def own_by_service_user(folder: Path) -> bool:
    """Make the folder and hand it to the service user; returns False, and hands over nothing, for an ordinary user."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.geteuid() != 0:
        return False
    if subprocess.run(["id", SERVICE_USER], capture_output=True, check=False).returncode != 0:
        check_call(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVICE_USER])
    check_call(["chown", "-R", f"{SERVICE_USER}:{SERVICE_USER}", folder])
    return True


def check_call(command: Sequence[str | Path], env: dict[str, str] | None = None, log: Path | None = None) -> None:
    """Run a program to its end; its output goes to `log`, and into the error when it fails.

    Raises:
        StackError: its exit code is not 0.
    """
    result = subprocess.run(
        [str(part) for part in command],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if log is not None:
        with log.open("a") as file:
            file.write(result.stdout)
    if result.returncode != 0:
        shown = " ".join(str(part) for part in command[:3])
        where = f"; the whole output is in {log}" if log else ""
        raise StackError(f"`{shown}` failed with exit code {result.returncode}{where}:\n{result.stdout[-2000:]}")
