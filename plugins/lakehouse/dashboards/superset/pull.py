"""Takes what someone edited in Superset's pages into the files: each file is changed where the live object says something else."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import yaml

from lakehouse.dashboards.objects import Document, Key
from lakehouse.dashboards.superset.assets import Assets
from lakehouse.dashboards.superset.bundle import KINDS
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.merge import escaped, trimmed, updated_text
from lakehouse.dashboards.superset.normal import chart_places, name_of
from lakehouse.dashboards.superset.yaml_dump import dump
from lakehouse.exceptions import ConfigurationError


def pull(
    client: SupersetClient, folder: Path, slugs: Collection[str] | None = None, *, variables: Mapping[str, str] | None = None
) -> list[Path]:
    """Write the edits of boards, and of what is on them, into a folder's files; a new chart becomes a new file.

    Args:
        slugs: of the boards; all of the folder's when it is None.

    Returns:
        The files that were written.

    Raises:
        ConfigurationError: there is no board of this slug.
    """
    files = _files(folder)
    written = []
    for path, (_, new) in changes(folder, _live(client, _boards(client, files, slugs)), variables).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(new)
        written.append(path)
    return written


def patch(
    client: SupersetClient,
    folder: Path,
    keys: Collection[Key],
    *,
    root: Path,
    variables: Mapping[str, str] | None = None,
    base: Mapping[Key, Document] | None = None,
) -> str:
    """The edits of these objects as a patch that `git apply` takes; empty when there are none. Nothing is written.

    Args:
        root: what the patch's paths are relative to.
        base: what was applied last.
    """
    return "".join(
        _diff(path.relative_to(root).as_posix(), old, new)
        for path, (old, new) in changes(folder, _live(client, keys), variables, base).items()
    )


def changes(
    folder: Path, live: Mapping[Key, Document], variables: Mapping[str, str] | None = None, base: Mapping[Key, Document] | None = None
) -> dict[Path, tuple[str | None, str]]:
    """Old and new text of each file that has to change for these live objects; the old one of a new file is None."""
    files = _files(folder)
    result: dict[Path, tuple[str | None, str]] = {}
    taken = set(files.values())
    for key, exported in live.items():
        content = _without_inherited(key, exported, live)
        if path := files.get(key):
            old = path.read_text()
            says = "cache_timeout" in (yaml.safe_load(old) or {})
            new = updated_text(old, exported if says else content, variables, None if base is None else base.get(key))
            if new != old:
                result[path] = (old, new)
        else:
            path = _new_path(folder, key, content, files, taken)
            taken.add(path)
            result[path] = (None, dump(escaped(trimmed(content))))
    return result


def _without_inherited(key: Key, content: Document, live: Mapping[Key, Document]) -> Document:
    """An export says a dataset's cache time where the dataset has none: it is the database's."""
    if key.kind != "datasets":
        return content
    database = live.get(Key("databases", str(content.get("database_uuid"))), {})
    inherited = content.get("cache_timeout") == database.get("cache_timeout")
    return {name: value for name, value in content.items() if not (inherited and name == "cache_timeout")}


def _files(folder: Path) -> dict[Key, Path]:
    found = {}
    for path in sorted(path for kind in KINDS for path in (folder / kind).rglob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        if isinstance(document, dict) and document.get("uuid"):
            found[Key(path.relative_to(folder).parts[0], str(document["uuid"]))] = path
    return found


def _boards(client: SupersetClient, files: Mapping[Key, Path], slugs: Collection[str] | None) -> list[Key]:
    if slugs is None:
        return list(files)
    there = {entry.get("slug"): Key("dashboards", str(entry["uuid"])) for entry in client.list("dashboard", ("uuid", "slug"))}
    if unknown := sorted(set(slugs) - there.keys()):
        raise ConfigurationError(f"Superset has no board {', '.join(unknown)}; it has {', '.join(sorted(filter(None, there)))}")
    return [there[slug] for slug in slugs]


def _live(client: SupersetClient, keys: Collection[Key]) -> dict[Key, Document]:
    """These objects and what they need, as far as it exists, in normal form."""
    part = Assets(client, {})
    found: dict[Key, Document] = {}
    wanted = set(keys)
    while wanted:
        new = {key: live.content for key, live in part.live(wanted, {}).items()}
        found |= new
        wanted = {key for key, content in new.items() for key in _needs(key, content)} - found.keys() - wanted
    return dict(sorted(found.items(), key=lambda entry: (KINDS.index(entry[0].kind), entry[0].id)))


def _needs(key: Key, content: Document) -> Iterator[Key]:
    if key.kind == "dashboards":
        yield from (Key("charts", place["meta"]["uuid"]) for place in chart_places(content) if place.get("meta", {}).get("uuid"))
        for one in content.get("metadata", {}).get("native_filter_configuration") or []:
            yield from (Key("datasets", target["datasetUuid"]) for target in one.get("targets") or [] if target.get("datasetUuid"))
    elif key.kind == "charts":
        yield Key("datasets", str(content["dataset_uuid"]))
    elif key.kind == "datasets":
        yield Key("databases", str(content["database_uuid"]))


def _new_path(folder: Path, key: Key, content: Document, files: Mapping[Key, Path], taken: set[Path]) -> Path:
    """Named after its title; a dataset lies beside the others of its database."""
    place = folder / key.kind
    if key.kind == "datasets":
        database = files.get(Key("databases", str(content["database_uuid"])))
        place /= database.stem if database else "new"
    stem = re.sub(r"[^a-z0-9]+", "_", name_of(content).lower()).strip("_") or key.id
    path = place / f"{stem}.yaml"
    return path if path not in taken and not path.exists() else place / f"{stem}_{key.id[:8]}.yaml"


def _diff(name: str, old: str | None, new: str) -> str:
    head = f"diff --git a/{name} b/{name}\n" + ("new file mode 100644\n" if old is None else "")
    lines = difflib.unified_diff(
        [] if old is None else old.splitlines(keepends=True),
        new.splitlines(keepends=True),
        "/dev/null" if old is None else f"a/{name}",
        f"b/{name}",
    )
    return head + "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
