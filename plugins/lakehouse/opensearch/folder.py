"""What a folder says should stand in OpenSearch: `index_templates/*.json`, `ism_policies/*.json`, `security.yaml`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lakehouse.exceptions import ConfigurationError

_SECTIONS = {
    "roles": {"description", "cluster_permissions", "index_permissions", "tenant_permissions"},
    "role_mappings": {"description", "users", "backend_roles", "and_backend_roles", "hosts"},
    "users": {"description", "connection", "backend_roles", "attributes"},
}


@dataclass(frozen=True)
class User:
    """A user of OpenSearch's own; `connection` is the Airflow connection that has its password, None where no task signs in as it."""

    body: dict[str, Any]
    connection: str | None


@dataclass(frozen=True)
class Folder:
    """The objects by their names, in the shapes that OpenSearch's APIs take."""

    index_templates: dict[str, dict[str, Any]]
    ism_policies: dict[str, dict[str, Any]]
    roles: dict[str, dict[str, Any]]
    role_mappings: dict[str, dict[str, Any]]
    users: dict[str, User]


def read_folder(folder: Path) -> Folder:
    """Read all of it; a part that is not there has nothing.

    Raises:
        ConfigurationError: a file cannot be read, or `security.yaml` has a key that nobody would look at.
    """
    security = _read_security(folder / "security.yaml")
    return Folder(
        index_templates=_json_files(folder / "index_templates"),
        ism_policies=_json_files(folder / "ism_policies"),
        roles={name: _role(body) for name, body in security["roles"].items()},
        role_mappings=security["role_mappings"],
        users={name: _user(body) for name, body in security["users"].items()},
    )


def _json_files(folder: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = json.loads(path.read_text())
        except ValueError as error:
            raise ConfigurationError(f"{path}: not JSON: {error}") from error
    return found


def _read_security(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    try:
        document = (yaml.safe_load(path.read_text()) if path.exists() else None) or {}
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: not YAML: {error}") from error
    if not isinstance(document, Mapping) or document.keys() - _SECTIONS.keys():
        raise ConfigurationError(f"{path}: write {', '.join(_SECTIONS)} at the top, nothing else")
    sections = {section: dict(document.get(section) or {}) for section in _SECTIONS}
    for section, known in _SECTIONS.items():
        for name, body in sections[section].items():
            if not isinstance(body, Mapping) or body.keys() - known:
                raise ConfigurationError(f"{path}: {section}.{name}: known keys are {', '.join(sorted(known))}")
    return sections


def _role(body: Mapping[str, Any]) -> dict[str, Any]:
    """The API takes a query of document-level security as JSON text; in the file it is written out."""
    role = dict(body)
    role["index_permissions"] = [dict(one) for one in body.get("index_permissions") or []]
    for permission in role["index_permissions"]:
        if isinstance(permission.get("dls"), Mapping):
            permission["dls"] = json.dumps(permission["dls"])
    return role


def _user(body: Mapping[str, Any]) -> User:
    return User({key: value for key, value in body.items() if key != "connection"}, body.get("connection"))
