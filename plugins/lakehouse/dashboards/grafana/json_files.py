"""Reads a folder of Grafana's JSON files without trusting it: each document with the line of each of its values.

The values are read by `json`; where they stand is found in a second reading, and only when a finding asks for a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lakehouse.dashboards.findings import Finding

KINDS = (
    "folders",
    "data_sources",
    "library_panels",
    "dashboards",
    "mute_timings",
    "contact_points",
    "notification_policies",
    "rule_groups",
)
MAX_FILES = 10_000
MAX_FILE_BYTES = 5 << 20  # the largest board of the repositories in docs/lint.md has 0.7 MiB
MAX_DEPTH = 100
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\],:"]+|\n', re.DOTALL)
_LAYOUT = ("data_sources", "library_panels", "mute_timings", "contact_points", "notification_policies", "rule_groups")


@dataclass
class _Node:
    line: int
    members: dict[str | int, tuple[int, _Node]] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """One file: where it is shown and found, its kind, its values, and where they stand.

    Attributes:
        at: what stands before every place, for a board that is wrapped in something.
    """

    shown: str
    path: str
    kind: str
    data: dict[str, Any]
    text: str = field(repr=False)
    at: tuple[Any, ...] = ()

    @cached_property
    def _root(self) -> _Node:
        return _positions(self.text)

    def line(self, *place: Any) -> int:
        """The line of a value, from 1, or of what comes closest to it."""
        node, line = self._root, self._root.line
        for step in (*self.at, *place):
            if step not in node.members:
                break
            line, node = node.members[step]
        return line

    def finding(self, rule: str, message: str, *place: Any, severity: str = "error") -> Finding:
        """A finding at one of its values."""
        return Finding(self.shown, self.line(*place), message, severity, rule)


@dataclass
class Files:
    """What could be read of a folder, and what is wrong with the rest.

    Attributes:
        ours: it is laid out as the sync reads it, so that what it refers to has to be in it.
        unread: kinds of which a file could not be read; what refers to those is not found as missing.
    """

    ours: bool = False
    documents: list[Document] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)

    def of(self, kind: str) -> list[Document]:
        """The documents of a kind."""
        return [document for document in self.documents if document.kind == kind]


def has_files(path: Path) -> bool:
    """Whether there is a JSON file at or below a path."""
    return path.suffix.lower() == ".json" if path.is_file() else next(_names(path), None) is not None


def roots(path: Path) -> list[Path]:
    """The folders at or below a path that are laid out as the sync reads them; without one, the path itself."""
    found = [path] if _is_laid_out(path) else sorted(child for child in path.glob("*/") if _is_laid_out(child))
    return found or [path]


def _is_laid_out(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and any((path / kind).is_dir() for kind in _LAYOUT)


def read(root: Path) -> Files:
    """Read one folder, or one file."""
    files = Files(ours=_is_laid_out(root))
    inside = root.resolve()
    for count, path in enumerate([root] if root.is_file() else sorted(_names(root))):
        name = path.name if path == root else path.relative_to(root).as_posix()
        kind = name.split("/")[0] if files.ours else ""
        shown = str(path)
        if count >= MAX_FILES:
            files.findings.append(Finding(str(root), 1, f"more than {MAX_FILES} files: the rest is not read", rule="too-large"))
            break
        if files.ours and kind not in KINDS:
            said = f"is in no folder that the sync reads ({', '.join(KINDS)})"
            files.findings.append(Finding(shown, 1, said, "warning", "path"))
        elif not path.resolve().is_relative_to(inside):
            files.findings.append(Finding(shown, 1, "leads out of the folder", rule="path"))
        elif not path.is_file():
            files.findings.append(Finding(shown, 1, "is no file", rule="path"))
        elif path.stat().st_size > MAX_FILE_BYTES:
            said = f"has {path.stat().st_size} bytes; at most {MAX_FILE_BYTES} are read"
            files.findings.append(Finding(shown, 1, said, rule="too-large"))
            files.unread.add(kind)
        else:
            _read_document(shown, name, kind, path.read_bytes(), files)
    return files


def _names(root: Path) -> Iterator[Path]:
    """JSON files below a folder that no tool hides, links among them."""
    for path in root.rglob("*.json"):
        if not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path


def _read_document(shown: str, name: str, kind: str, content: bytes, files: Files) -> None:
    doubled: list[str] = []

    def pairs(listed: list[tuple[str, Any]]) -> dict[str, Any]:
        entry = dict(listed)
        if len(entry) < len(listed):
            names = [key for key, _ in listed]
            doubled.extend({key for key in names if names.count(key) > 1})
        return entry

    text = ""
    try:
        text = content.decode("utf-8-sig")
        data = json.loads(text, object_pairs_hook=pairs, parse_constant=_refuse_constant)
        _check_depth(data)
    except UnicodeDecodeError as error:
        files.findings.append(Finding(shown, content[: error.start].count(b"\n") + 1, "is not UTF-8", rule="json"))
    except json.JSONDecodeError as error:
        what = "is empty" if not text.strip() else f"not JSON: {error.msg}"
        cut = "; the file ends in the middle" if text.strip() and error.pos >= len(text.rstrip()) else ""
        template = "; it has marks of a template ({{ or {%), so render it first" if "{%" in text or "{{" in text[:200] else ""
        files.findings.append(Finding(shown, error.lineno, f"{what}{cut}{template}", rule="json"))
    except (ValueError, RecursionError) as error:
        said = "is nested too deeply" if isinstance(error, RecursionError) else str(error)
        files.findings.append(Finding(shown, 1, f"not JSON that Grafana reads: {said}", rule="json"))
    else:
        files.findings += _doubled(shown, text, doubled)
        _sort_in(shown, name, kind, data, text, files)
        return
    files.unread.add(kind)


def _sort_in(shown: str, name: str, kind: str, data: Any, text: str, files: Files) -> None:
    if not isinstance(data, dict):
        if kind:
            files.findings.append(Finding(shown, 1, f"is a {type(data).__name__}: one object belongs in a file", rule="json"))
            files.unread.add(kind)
        return
    document = Document(shown, name, kind or guessed(data), data, text)
    if document.kind:
        files.documents.append(document)
    else:
        files.findings.append(Finding(shown, 1, "is not known as a file of Grafana's, and was not checked", "note", "unknown-kind"))


def guessed(data: Mapping[str, Any]) -> str:
    """The kind of a file that lies in no folder of ours, by what is in it; empty for none."""
    if isinstance(data.get("panels"), list) or isinstance(data.get("dashboard"), dict) or "elements" in data or "schemaVersion" in data:
        return "dashboards"
    if str(data.get("apiVersion", "")).startswith("dashboard.grafana.app/") or (isinstance(data.get("rows"), list) and "title" in data):
        return "dashboards"
    if isinstance(data.get("model"), dict) and data.get("kind") == 1:
        return "library_panels"
    if isinstance(data.get("rules"), list) and ("folderUid" in data or "interval" in data):
        return "rule_groups"
    return ""


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it has {name}, which JSON does not")


def _check_depth(data: Any) -> None:
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


def _doubled(shown: str, text: str, names: list[str]) -> Iterator[Finding]:
    if not names:
        return
    for line, key in _positions_of_doubled(text):
        yield Finding(shown, line, f"the key {key} is there twice; only the second one counts", "warning", "doubled-key")


def _positions(text: str) -> _Node:
    return _scan(text, [])


def _positions_of_doubled(text: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    _scan(text, found)
    return found


def _scan(text: str, doubled: list[tuple[int, str]]) -> _Node:
    """Where each value of a text that is JSON stands."""
    line = 1
    root = _Node(1)
    stack: list[tuple[_Node, bool]] = []  # a node, and whether it is a list
    key: str | int | None = None
    key_line = 1
    awaits_key = False
    for found in _TOKEN.finditer(text):
        sign = found[0]
        if sign == "\n":
            line += 1
            continue
        if sign in "}]":
            stack.pop()
            awaits_key = False
        elif sign == ",":
            owner, listed = stack[-1]
            key, awaits_key = (len(owner.members), False) if listed else (None, True)
            key_line = 0
        elif sign == ":":
            awaits_key = False
        elif awaits_key and sign[0] == '"':
            key, key_line = str(json.loads(sign)), line
            if key in stack[-1][0].members:
                doubled.append((line, key))
        else:
            node = _Node(line)
            if stack:
                owner, listed = stack[-1]
                owner.members[key if key is not None else 0] = (line if listed else key_line, node)
            else:
                root = node
            if sign in "{[":
                stack.append((node, sign == "["))
                key, awaits_key = (0, False) if sign == "[" else (None, True)
    return root
