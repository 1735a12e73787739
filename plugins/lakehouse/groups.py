"""Inputs in groups of a size that one worker takes at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar


class _HasSize(Protocol):
    @property
    def size(self) -> int: ...


_Entry = TypeVar("_Entry", bound=_HasSize)


def groups(entries: Iterable[_Entry], *, max_files: int, max_bytes: int) -> Iterator[list[_Entry]]:
    """Groups of so many files and bytes at most; a file larger than `max_bytes` is a group of its own."""
    group: list[_Entry] = []
    size = 0
    for entry in entries:
        if group and (len(group) >= max_files or size + entry.size > max_bytes):
            yield group
            group, size = [], 0
        group.append(entry)
        size += entry.size
    if group:
        yield group
