"""Who listens on a port."""

from __future__ import annotations

import psutil

from stack.errors import StackError
from stack.installation import Installation


def check_free(stack: Installation, names: list[str]) -> None:
    """Raise when any of the named ports is taken, naming each with the process that has it.

    Raises:
        StackError: at least one port is taken.
    """
    wanted = {stack.ports[name]: name for name in names}
    taken = []
    for connection in psutil.net_connections("tcp"):
        port = connection.laddr.port if connection.laddr else None
        if connection.status == psutil.CONN_LISTEN and port in wanted:
            taken.append(f"{port} ({wanted.pop(port)}) is held by {_owner(connection.pid)}")
    if taken:
        ways = "stop it, or move one port in config/ports.toml, or all of them: `make run STATE=var/other PORT_OFFSET=2000`"
        raise StackError("ports already in use:\n  " + "\n  ".join(sorted(taken)) + f"\n{ways}")


def _owner(pid: int | None) -> str:
    if pid is None:
        return "a process of another user"
    try:
        process = psutil.Process(pid)
        return f"pid {pid}, {process.name()}, of user {process.username()}, in {process.cwd()}"
    except psutil.Error:
        return f"pid {pid}"
