"""Takes what someone edited in Superset's pages into the files: each file is changed where the live object says something else."""

from __future__ import annotations

import difflib
import json
import re
import string
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from lakehouse.dashboards.objects import Document, Key
from lakehouse.dashboards.superset.assets import Assets
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.files import ASSETS, chart_places
from lakehouse.dashboards.superset.normal import name_of, normalise
from lakehouse.dashboards.superset.yaml_edit import NAMES, aligned, dump, edit, same
from lakehouse.exceptions import ConfigurationError

_MISSING = object()
# The server keeps these as they were sent, so a key of theirs is someone's; elsewhere it writes its defaults beside what it was sent.
_EXACT = ("params", "query_context", "position")
_DEFAULTS: dict[str, Any] = {
    "always_filter_main_dttm": False,
    "allow_ctas": False,
    "allow_cvas": False,
    "allow_dml": False,
    "allow_file_upload": True,  # of an import that does not say it, not of the table
    "allow_run_async": False,
    "configuration_method": "sqlalchemy_form",
    "expose_in_sqllab": True,
    "filter_select_enabled": True,
    "filterable": True,
    "groupby": True,
    "impersonate_user": False,
    "is_active": True,
    "is_dttm": False,
    "normalize_columns": False,
    "offset": 0,
    "published": False,
}
_VARIABLE = string.Template.pattern


def updated_text(text: str, live: Document, variables: Mapping[str, str] | None = None, base: Document | None = None) -> str:
    """A file's text with the edits of its live object; the text itself where there are none.

    Args:
        live: in normal form, as the sync reads it.
        variables: of `${NAME}` in the text; a value with one that is not known is left alone.
        base: what was applied last. With it, only what differs from it is an edit, and what the file has changed since then stays;
            without it, every difference is one, except a key that the server adds with its default.
    """
    raw = yaml.safe_load(text)
    known = variables or {}
    return edit(text, _merged(raw, normalise(_filled(raw, known)), live, _MISSING if base is None else base, known))


def _merged(raw: Any, said: Any, live: Any, base: Any, variables: Mapping[str, str], *, exact: bool = False) -> Any:
    """What a file should say: `raw` is its value as written, `said` the same in normal form."""
    if base is not _MISSING and same(base, live):
        return raw
    if isinstance(said, Mapping) and isinstance(live, Mapping):
        if isinstance(raw, str):  # a stored query as text
            opened = json.loads(raw)
            result = _mapping(opened, said, live, base, variables, exact=True)
            return raw if same(result, opened) else json.dumps(result)
        return _mapping(raw, said, live, base, variables, exact=exact)
    if isinstance(said, list) and isinstance(live, list):
        return _list(raw, said, live, base, variables, exact=exact)
    if same(said, live) or (_is_nothing(said) and _is_nothing(live)) or _has_unknown(raw, variables):
        return raw
    return _escaped(live)


def _mapping(
    raw: Mapping[Any, Any], said: Mapping[str, Any], live: Mapping[str, Any], base: Any, variables: Mapping[str, str], *, exact: bool
) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    bases = base if isinstance(base, Mapping) else None
    for key, value in raw.items():
        name = str(key)
        before = _MISSING if bases is None else bases.get(name)
        if name in live:
            inner = exact or name in _EXACT
            result[key] = _merged(value, said[name], live[name], before, variables, exact=inner) if name in said else _escaped(live[name])
        elif name not in said or _is_nothing(said[name]) or (bases is not None and name not in bases):
            result[key] = value  # left out by the server, or new in the file
    written = {str(key) for key in raw}
    for name, value in live.items():
        if name in written or _is_nothing(value):
            continue
        inner = exact or name in _EXACT
        if not same(bases.get(name), value) if bases is not None else exact or not _is_default(name, value):
            result[name] = _escaped(value if inner else _trimmed(value))
    return result


def _list(raw: list[Any], said: list[Any], live: list[Any], base: Any, variables: Mapping[str, str], *, exact: bool) -> list[Any]:
    name = next((name for name in NAMES if _all_have(name, said) and _all_have(name, live)), None)
    if name in ("column_name", "metric_name"):  # they have no order of their own: the file's stays
        order = {entry[name]: i for i, entry in enumerate(said)}
        live = sorted(live, key=lambda entry: order.get(entry[name], len(order)))
    bases = {entry[name]: entry for entry in base} if name and isinstance(base, list) and _all_have(name, base) else None
    result = []
    for i, j in aligned(said, live):
        if i is not None and j is not None:
            before = _MISSING if bases is None else bases.get(live[j][name])
            result.append(_merged(raw[i], said[i], live[j], before, variables, exact=exact))
        elif j is not None:
            result.append(_escaped(live[j] if exact else _trimmed(live[j])))
        elif i is not None and bases is not None and said[i][name] not in bases:
            result.append(raw[i])  # new in the file
    return result


def _all_have(name: str, entries: list[Any]) -> bool:
    return all(isinstance(entry, Mapping) and isinstance(entry.get(name), str) for entry in entries)


def _trimmed(value: Any) -> Any:
    """What is new, without what a server writes beside it: nothing, and its defaults."""
    if isinstance(value, Mapping):
        return {
            key: entry if key in _EXACT else _trimmed(entry)
            for key, entry in value.items()
            if entry is not None and (key in _EXACT or not (_is_nothing(entry) or _is_default(key, entry)))
        }
    return [_trimmed(entry) for entry in value] if isinstance(value, list) else value


def _is_default(name: str, value: Any) -> bool:
    return same(_DEFAULTS.get(name, _MISSING), value)


def _is_nothing(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _filled(entry, variables) for key, entry in value.items()}
    if isinstance(value, list):
        return [_filled(entry, variables) for entry in value]
    return string.Template(value).safe_substitute(variables) if isinstance(value, str) else value


def _has_unknown(raw: Any, variables: Mapping[str, str]) -> bool:
    names = [found["named"] or found["braced"] for found in _VARIABLE.finditer(raw)] if isinstance(raw, str) else []
    return any(name and name not in variables for name in names)


def _escaped(value: Any) -> Any:
    """A live value as a file says it: a dollar begins a variable there."""
    if isinstance(value, Mapping):
        return {key: _escaped(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_escaped(entry) for entry in value]
    return value.replace("$", "$$") if isinstance(value, str) else value


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
    for key, content in live.items():
        if path := files.get(key):
            old = path.read_text()
            new = updated_text(old, content, variables, None if base is None else base.get(key))
            if new != old:
                result[path] = (old, new)
        else:
            path = _new_path(folder, key, content, files, taken)
            taken.add(path)
            result[path] = (None, dump(_escaped(_trimmed(content))))
    return result


def _files(folder: Path) -> dict[Key, Path]:
    found = {}
    for path in sorted(path for kind in ASSETS for path in (folder / kind).rglob("*.yaml")):
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
    return dict(sorted(found.items(), key=lambda entry: (ASSETS.index(entry[0].kind), entry[0].id)))


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
