"""Which images are taken, from where, and what becomes of their private metadata: read from one YAML file."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from lakehouse.exceptions import ConfigurationError
from lakehouse.images.fetch_rules import FetchRules
from lakehouse.images.inspect import FORMATS, Limits

_POLICIES = {"drop": True, "keep": False}
_Section = TypeVar("_Section")


@dataclass(frozen=True)
class ImageRules:
    """What is taken.

    Attributes:
        formats: MIME types.
        drop_private: whether GPS positions and serial numbers are taken out of what is stored.
        http: which addresses images may be fetched from, none unless the file names hosts; no more bytes than the limits allow.
    """

    limits: Limits = field(default_factory=Limits)
    formats: frozenset[str] = frozenset(FORMATS.values())
    drop_private: bool = True
    http: FetchRules = field(default_factory=FetchRules)


def load(path: Path) -> ImageRules:
    """Read the file.

    Raises:
        ConfigurationError: it holds something that is not known, or of another kind.
    """
    content = yaml.safe_load(path.read_text()) or {}
    if not isinstance(content, dict) or not all(isinstance(content.get(name, {}), dict | None) for name in ("limits", "http")):
        raise ConfigurationError(f"{path}: write a mapping, and mappings under limits and http")
    known = {"limits", "formats", "private_metadata", "http"}
    if unknown := sorted(content.keys() - known):
        raise ConfigurationError(f"{path}: unknown {', '.join(unknown)}; write {', '.join(sorted(known))}")
    policy, formats = content.get("private_metadata", "drop"), frozenset(content.get("formats", FORMATS.values()))
    if policy not in _POLICIES:
        raise ConfigurationError(f"{path}: private_metadata is {policy!r}: write drop or keep")
    if unknown := sorted(formats - set(FORMATS.values())):
        raise ConfigurationError(f"{path}: formats {', '.join(unknown)} are not known; write {', '.join(sorted(set(FORMATS.values())))}")
    limits = _section(Limits, content.get("limits"), f"{path}: limits")
    http = _section(FetchRules, content.get("http"), f"{path}: http")
    return ImageRules(limits, formats, _POLICIES[policy], replace(http, max_bytes=limits.max_bytes))


def _section(kind: type[_Section], content: dict[str, Any] | None, where: str) -> _Section:
    given, known = content or {}, {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(given.keys() - known):
        raise ConfigurationError(f"{where}: unknown {', '.join(unknown)}; write {', '.join(sorted(known))}")
    try:
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{where}: {error}") from error
