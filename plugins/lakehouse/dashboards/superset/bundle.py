"""Reads a Superset export, a folder or a zip file, without trusting it: each document with the line of each of its values.

Limits of a zip file are Superset's own where it has some (`superset/utils/core.py`, `check_is_safe_zip`; `config.py`).
"""

from __future__ import annotations

import re
import stat
import string
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from lakehouse.dashboards.findings import Finding

KINDS = ("databases", "datasets", "charts", "dashboards")
_FOLDERS = (*KINDS, "queries", "themes", "security", "alerts")
MAX_FILES = 10_000
MAX_FILE_BYTES = 5 << 20  # Superset takes 100 MiB; the largest object of the repositories in docs/lint.md has 0.3 MiB
MAX_BYTES = 100 << 20
MAX_RATIO = 200
MAX_VALUES = 1_000_000
MAX_DEPTH = 100
_UUID = re.compile(r"^uuid: *['\"]?([0-9a-f-]{36})", re.MULTILINE)
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Document:
    """One file: where it is shown and found, its kind (its first folder), its values, and where they stand."""

    shown: str
    path: str
    kind: str
    data: dict[str, Any]
    node: yaml.MappingNode = field(repr=False)

    def line(self, *place: Any) -> int:
        """The line of a value, from 1, or of what comes closest to it."""
        node: yaml.Node = self.node
        line = 1
        for step in place:
            if isinstance(node, yaml.MappingNode):
                key, value = next(((key, value) for key, value in node.value if key.value == str(step)), (None, None))
                if key is None or value is None:
                    return line
                line, node = key.start_mark.line + 1, value
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                return line
        return line

    def scalar(self, *place: Any) -> yaml.ScalarNode | None:
        """The text of a value as it is written."""
        node: yaml.Node = self.node
        for step in place:
            if isinstance(node, yaml.MappingNode):
                found = next((value for key, value in node.value if key.value == str(step)), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                found = node.value[step]
            else:
                found = None
            if found is None:
                return None
            node = found
        return node if isinstance(node, yaml.ScalarNode) else None

    def finding(self, rule: str, message: str, *place: Any, severity: str = "error") -> Finding:
        """A finding at one of its values."""
        return Finding(self.shown, self.line(*place), message, severity, rule)


@dataclass
class Bundle:
    """What could be read of an export, and what is wrong with the rest; `unread` has the UUIDs seen in files that are no YAML."""

    documents: list[Document] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)

    def of(self, kind: str) -> list[Document]:
        """The documents of a kind."""
        return [document for document in self.documents if document.kind == kind]


def roots(path: Path) -> list[Path]:
    """The exports at or below a path: zip files named outright, and the topmost folders that have `charts/` or its like."""
    if path.is_file():
        return [path]
    if any((path / kind).is_dir() for kind in KINDS):
        return [path]
    return [root for child in sorted(path.iterdir()) if child.is_dir() and not child.is_symlink() for root in roots(child)]


def read(root: Path, variables: Mapping[str, str] | None = None) -> Bundle:
    """Read one export.

    Args:
        root: a zip file, or the folder that has `charts/` and its like.
        variables: for `${NAME}` in the texts; without them a dollar is a dollar.
    """
    bundle = Bundle()
    total = 0
    for count, (name, content) in enumerate(_entries(root, bundle), start=1):
        total += len(content)
        if count > MAX_FILES or total > MAX_BYTES:
            what = f"more than {MAX_FILES} files" if count > MAX_FILES else f"more than {MAX_BYTES >> 20} MiB"
            bundle.findings.append(Finding(str(root), 1, f"{what}: the rest is not read", rule="too-large"))
            break
        _read_document(f"{root}/{name}", name, content, variables, bundle)
    return bundle


def _entries(root: Path, bundle: Bundle) -> Iterator[tuple[str, bytes]]:
    """Name below the root, and content, of each YAML file that an import would read."""
    if root.is_file():
        yield from _zip_entries(root, bundle)
        return
    inside = root.resolve()
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if not _is_read(name) or not path.is_file():
            continue
        if not path.resolve().is_relative_to(inside):
            bundle.findings.append(Finding(str(path), 1, "leads out of the folder", rule="path"))
        elif path.stat().st_size > MAX_FILE_BYTES:
            bundle.findings.append(_too_large(str(path), path.stat().st_size))
        else:
            yield name, path.read_bytes()


def _zip_entries(root: Path, bundle: Bundle) -> Iterator[tuple[str, bytes]]:
    def refuse(message: str, rule: str, name: str = "") -> None:
        bundle.findings.append(Finding(f"{root}/{name}" if name else str(root), 1, message, rule=rule))

    try:
        with zipfile.ZipFile(root) as archive:
            entries = archive.infolist()
            sizes, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
            if len(entries) > MAX_FILES or sizes > MAX_BYTES:
                refuse(f"{len(entries)} entries of {sizes} bytes: at most {MAX_FILES} entries and {MAX_BYTES} bytes are read", "too-large")
                return
            if sizes > MAX_RATIO * max(packed, 1):
                refuse(f"unpacks to {sizes // max(packed, 1)} times its size: Superset takes at most {MAX_RATIO} times", "too-large")
                return
            names = [entry.filename for entry in entries]
            if "metadata.yaml" not in {_below_root(name) for name in names}:
                refuse("has no metadata.yaml below its first folder: Superset takes it for an old export, and refuses it", "metadata")
            for entry in entries:
                name = _below_root(entry.filename)
                if not _is_safe(entry):
                    refuse("an absolute name, one with `..`, or a link: it would be written outside", "path", entry.filename)
                elif names.count(entry.filename) > 1:
                    refuse("is there more than once: only one of them would be read", "path", entry.filename)
                elif not _is_read(name):
                    continue
                elif entry.file_size > MAX_FILE_BYTES:
                    bundle.findings.append(_too_large(f"{root}/{name}", entry.file_size))
                else:
                    with archive.open(entry) as stream:  # the size in the directory may be a lie
                        content = stream.read(MAX_FILE_BYTES + 1)
                    if len(content) > MAX_FILE_BYTES:
                        bundle.findings.append(_too_large(f"{root}/{name}", len(content)))
                    else:
                        yield name, content
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        refuse(f"cannot be read as a zip file: {error}", "zip")


def _too_large(shown: str, size: int) -> Finding:
    return Finding(shown, 1, f"has {size} bytes; an object of a board has at most {MAX_FILE_BYTES}", rule="too-large")


def _is_safe(entry: zipfile.ZipInfo) -> bool:
    name = entry.filename
    plain = not name.startswith(("/", "\\")) and "\\" not in name and ":" not in name.split("/")[0]
    return plain and ".." not in name.split("/") and not stat.S_ISLNK(entry.external_attr >> 16)


def _below_root(name: str) -> str:
    """Superset drops the first part of each name in a zip file, whatever it is."""
    return str(PurePosixPath(*PurePosixPath(name).parts[1:]))


def _is_read(name: str) -> bool:
    """Whether an import reads the file (`superset/commands/importers/v1/utils.py`, `is_valid_config`)."""
    path = PurePosixPath(name)
    known = path.parts[:1] and (path.parts[0] in _FOLDERS or name == "metadata.yaml")
    return bool(known) and not path.name.startswith((".", "_")) and path.suffix.lower() in (".yaml", ".yml")


def _read_document(shown: str, name: str, content: bytes, variables: Mapping[str, str] | None, bundle: Bundle) -> None:
    text = ""
    try:
        text = content.decode()
        if variables is not None:
            text = _filled(shown, text, variables, bundle)
        _check_depth(text)
        loader = LOADER(text)
        try:
            node = loader.get_single_node()
            _check_size(node)
            doubled = list(_doubled_keys(node)) if node else []
            data = loader.construct_document(node) if node else None
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        bundle.findings.append(Finding(shown, content[: error.start].count(b"\n") + 1, "is not UTF-8", rule="yaml"))
        return
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or str(error).split("\n")[0]
        template = "; it has marks of a template ({{ or {%), so render it first" if "{{" in text or "{%" in text else ""
        bundle.findings.append(Finding(shown, mark.line + 1 if mark else 1, f"not YAML: {said}{template}", rule="yaml"))
        bundle.unread.update(_UUID.findall(text))
        return
    if not isinstance(data, dict) or not isinstance(node, yaml.MappingNode):
        said = "is empty" if data is None else f"is a {type(data).__name__}"
        bundle.findings.append(Finding(shown, 1, f"{said}: an object of Superset's export is a mapping", rule="mapping"))
        return
    bundle.findings += [
        Finding(shown, key.start_mark.line + 1, f"the key {key.value} is there twice; the second one would silently win", rule="yaml")
        for key in doubled
    ]
    bundle.documents.append(Document(shown, name, "metadata" if name == "metadata.yaml" else name.split("/")[0], data, node))


def _filled(shown: str, text: str, variables: Mapping[str, str], bundle: Bundle) -> str:
    """The text with its variables filled in, each in one line so that lines stay what they are."""

    def fill(found: Any) -> str:
        if found["escaped"] is not None:
            return "$"
        name = found["named"] or found["braced"]
        if name in variables:
            return " ".join(variables[name].split("\n"))
        line = text.count("\n", 0, found.start()) + 1
        said = f"the variable {name} is unknown; known are: {', '.join(sorted(variables)) or 'none'}" if name else "write `$$` for a dollar"
        bundle.findings.append(Finding(shown, line, said, rule="variable"))
        return "unknown"

    return string.Template.pattern.sub(fill, text)


def _check_depth(text: str) -> None:
    """Refuse what is nested without end: libyaml's binding builds a document by recursion in C, and takes the process down with it."""
    depth = 0
    for event in yaml.parse(text, LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


def _check_size(root: yaml.Node | None) -> None:
    """Refuse aliases that stand for millions of values, or for themselves: whoever walks through them does not come back."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = MAX_VALUES + 1  # while it is being counted: an alias to it from within never ends
            children = [child for pair in node.value for child in pair] if isinstance(node, yaml.MappingNode) else node.value
            sizes[id(node)] = 1 + (0 if isinstance(node, yaml.ScalarNode) else sum(map(size, children)))
        return sizes[id(node)]

    if root is not None and size(root) > MAX_VALUES:
        raise ValueError(f"its aliases stand for more than {MAX_VALUES} values")


def _doubled_keys(node: yaml.Node, done: set[int] | None = None) -> Iterator[yaml.ScalarNode]:
    done = set() if done is None else done
    if id(node) in done:
        return
    done.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key
                seen.add(key.value)
            yield from _doubled_keys(value, done)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _doubled_keys(value, done)
