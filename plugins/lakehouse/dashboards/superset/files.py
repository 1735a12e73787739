"""The folder of a Superset's files, as keys and documents.

`databases/`, `datasets/`, `charts/` and `dashboards/` are in Superset's own export format; `security/` and `alerts/` are ours,
because no export of Superset has them.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from lakehouse.exceptions import ConfigurationError

ASSETS = ("databases", "datasets", "charts", "dashboards")
# libyaml's loader, where PyYAML has it, takes a tenth of the time.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FOLDERS = (*ASSETS, "security", "alerts")


def read_folder(folder: Path, variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The documents by path below `folder`, with `${NAME}` filled from `variables`.

    Raises:
        ConfigurationError: a file is not YAML, names an unknown variable, or has no or a doubled UUID.
    """
    documents: dict[str, dict[str, Any]] = {}
    owners: dict[str, Path] = {}
    for path in sorted(path for kind in _FOLDERS for path in (folder / kind).rglob("*.yaml")):
        try:
            document = yaml.load(string.Template(path.read_text()).substitute(variables), LOADER)  # noqa: S506  # safe, both
        except (yaml.YAMLError, KeyError, ValueError) as error:
            raise ConfigurationError(f"{path}: {error}") from error
        if not isinstance(document, dict):
            raise ConfigurationError(f"{path}: this is no object of Superset's export format")
        name = str(path.relative_to(folder))
        documents[name] = document
        if name.split("/")[0] not in ASSETS:
            continue
        uuid = str(document.get("uuid") or "")
        if not uuid or uuid in owners:
            raise ConfigurationError(f"{path}: needs a `uuid` of its own" + (f", {owners[uuid]} has it too" if uuid else ""))
        owners[uuid] = path
    _check_references(folder, documents)
    return documents


def _check_references(folder: Path, documents: Mapping[str, Mapping[str, Any]]) -> None:
    """Superset skips a chart whose dataset is not in the bundle, with status 200; so that is refused here."""
    kinds = {str(document.get("uuid")): path.split("/")[0] for path, document in documents.items()}
    for path, document in documents.items():
        kind = path.split("/")[0]
        wanted: list[tuple[str, Any]] = []
        if kind == "charts":
            wanted = [("datasets", document.get("dataset_uuid"))]
        elif kind == "datasets":
            wanted = [("databases", document.get("database_uuid"))]
        elif kind == "dashboards":
            if not document.get("slug"):
                raise ConfigurationError(f"{folder / path}: a board needs a `slug`")
            wanted = [("charts", item.get("meta", {}).get("uuid")) for item in chart_places(document)]
            filters = document.get("metadata", {}).get("native_filter_configuration", [])
            # A filter of time has a target without a dataset.
            wanted += [("datasets", target.get("datasetUuid")) for one in filters for target in one.get("targets", []) if target]
        for target, uuid in wanted:
            if uuid is None or kinds.get(str(uuid)) != target:
                raise ConfigurationError(f"{folder / path}: refers to {uuid}, which no file has that is one of the {target}")


def chart_places(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The places for charts on a board."""
    position = dashboard.get("position") or {}
    return (item for item in position.values() if isinstance(item, dict) and item.get("type") == "CHART")
