"""What the stack knows of a service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from stack.installation import HOST, Installation


@dataclass(frozen=True)
class Service:
    """One supervised process.

    Attributes:
        ready: raises or returns False until the service answers as its users would ask it.
        refuses_root: it gets a user of its own when the stack is started by root.
        setup: runs once everything in its wave answers, before the next wave starts (databases, users).
    """

    name: str
    title: str
    command: list[str]
    ready: Callable[[], bool]
    ports: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path | None = None
    refuses_root: bool = False
    prepare: Callable[[], None] | None = None
    setup: Callable[[], None] | None = None
    timeout: int = 120


def get(stack: Installation, port: str, path: str, **options: Any) -> requests.Response:
    """The answer of a page of one of our services, by the name of its port."""
    return requests.get(f"http://{HOST}:{stack.ports[port]}{path}", timeout=5, **options)
