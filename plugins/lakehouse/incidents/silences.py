"""Silences: incidents that nobody is told about for a while, from a file that says why and until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from lakehouse.exceptions import ConfigurationError


@dataclass(frozen=True)
class Silence:
    """One entry of the file.

    Attributes:
        key: an incident's key, or a pattern of keys (`*`, `?`).
        reason: why nobody needs to be told.
        link: where the work on it is tracked.
        until: the last day (UTC) on which it holds.
    """

    key: str
    reason: str
    link: str
    until: date


def read_silences(path: Path) -> list[Silence]:
    """The silences of a file.

    Raises:
        ConfigurationError: an entry lacks a field, or has one that is unknown or of the wrong type.
    """
    names = {column.name for column in fields(Silence)}
    found = []
    for number, entry in enumerate((yaml.safe_load(path.read_text()) or {}).get("silences") or [], 1):
        if not isinstance(entry, dict) or set(entry) != names:
            raise ConfigurationError(f"{path}: silence {number}: write exactly {', '.join(sorted(names))}")
        if type(entry["until"]) is not date:
            raise ConfigurationError(f"{path}: silence {number}: until must be a day, such as 2026-12-31, not {entry['until']!r}")
        if empty := [name for name in names if not str(entry[name]).strip()]:
            raise ConfigurationError(f"{path}: silence {number}: {', '.join(sorted(empty))} is empty")
        found.append(Silence(**entry))
    return found


def expired(silences: Sequence[Silence], today: date) -> list[Silence]:
    """Those whose last day is over."""
    return [silence for silence in silences if silence.until < today]


def silence_of(silences: Sequence[Silence], key: str, now: datetime) -> Silence | None:
    """The silence that holds for an incident's key now."""
    today = now.astimezone(UTC).date()
    return next((silence for silence in silences if silence.until >= today and fnmatchcase(key, silence.key)), None)
