"""The folder of a Grafana's files, all JSON in Grafana's own formats, one object a file.

`folders/`, `data_sources/`, `library_panels/`, `dashboards/<uid of their folder>/`, `mute_timings/`, `contact_points/`,
`notification_policies/` and `rule_groups/`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakehouse.dashboards.grafana.json_files import KINDS
from lakehouse.dashboards.grafana.lint import check
from lakehouse.dashboards.grafana.part import without
from lakehouse.dashboards.objects import Document
from lakehouse.exceptions import ConfigurationError

_SHOWN = 20
OF_A_SERVER = ("id", "version", "iteration")
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")


@dataclass(frozen=True)
class Folder:
    """The documents by path, and the files that were left out, each with the variable that has no value here."""

    documents: Mapping[str, dict[str, Any]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    left_documents: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def read_folder(folder: Path, variables: Mapping[str, str]) -> Folder:
    """Read the files of a folder, each `${NAME}` of `variables` filled in; any other is Grafana's own.

    A file with a variable that has no value is left out, such as Slack's where there is no Slack; so is a notification policy that would
    send to nobody but those, and then every alert rule: one that fires and tells nobody is worse than none.

    Raises:
        ConfigurationError: the lint has found errors; each is named with its file and line.
    """
    errors = [str(finding) for finding in check(folder) if finding.severity == "error"]
    if errors:
        more = [f"and {len(errors) - _SHOWN} more"] if len(errors) > _SHOWN else []
        raise ConfigurationError("\n  ".join([f"{len(errors)} mistakes in the files; nothing was sent:", *errors[:_SHOWN], *more]))
    documents, left_out, left_documents = {}, {}, {}
    for kind in KINDS:
        for file in sorted((folder / kind).rglob("*.json")):
            path, document = file.relative_to(folder).as_posix(), json.loads(file.read_text())
            if missing := sorted(name for name in _named(document) & variables.keys() if not variables[name]):
                left_out[path], left_documents[path] = missing[0], document
            else:
                documents[path] = _filled(document, variables)
    lost = {document["name"]: left_out[path] for path, document in left_documents.items() if kind_of(path) == "contact_points"}
    there = {document["name"] for path, document in documents.items() if kind_of(path) == "contact_points"}
    policies = [path for path in documents if kind_of(path) == "notification_policies"]
    mute = {path: lost[receiver] for path in policies if (receiver := documents[path].get("receiver")) in lost and receiver not in there}
    if mute:
        mute |= {path: next(iter(mute.values())) for path in documents if kind_of(path) == "rule_groups"}
    for path, missing_one in mute.items():
        left_out[path], left_documents[path] = missing_one, documents.pop(path)
    return Folder(documents, left_out, left_documents)


def _named(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {name for entry in value.values() for name in _named(entry)}
    if isinstance(value, list):
        return {name for entry in value for name in _named(entry)}
    return set(_VARIABLE.findall(value)) if isinstance(value, str) else set()


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    """The values filled in, not the text: whatever is in a password, the JSON stays whole."""
    if isinstance(value, dict):
        return {key: _filled(entry, variables) for key, entry in value.items()}
    if isinstance(value, list):
        return [_filled(entry, variables) for entry in value]
    return _VARIABLE.sub(lambda found: variables.get(found[1], found[0]), value) if isinstance(value, str) else value


def kind_of(path: str) -> str:
    """The kind of the object in a file."""
    return path.split("/", 1)[0]


def board_in_folder(path: str, board: Document) -> dict[str, Any]:
    """A dashboard with the uid of the folder that its path names; directly under `dashboards/` it is in none.

    Its number and version, which an export has, are those of the server it came from.
    """
    parts = path.split("/")
    return {**without(board, OF_A_SERVER), "folderUid": parts[1] if len(parts) > 2 else ""}
