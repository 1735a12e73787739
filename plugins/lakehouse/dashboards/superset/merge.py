"""What a file should say when its live object was edited: the edits, and everything else as it is written."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from typing import Any

import yaml

from lakehouse.dashboards.objects import Document
from lakehouse.dashboards.superset.normal import SHAPE, normalise
from lakehouse.dashboards.superset.yaml_edit import NAMES, aligned, edit, same

_MISSING = object()
_DEFAULTS: dict[str, Any] = {
    "always_filter_main_dttm": False,
    "allow_ctas": False,
    "allow_cvas": False,
    "allow_dml": False,
    "allow_csv_upload": True,  # of an import that does not say it, not of the table; an export has either name
    "allow_file_upload": True,
    "allow_run_async": False,
    "configuration_method": "sqlalchemy_form",
    "cross_filters_enabled": True,
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
    "refresh_frequency": 0,
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
    return escaped(live)


def _mapping(
    raw: Mapping[Any, Any], said: Mapping[str, Any], live: Mapping[str, Any], base: Any, variables: Mapping[str, str], *, exact: bool
) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    bases = base if isinstance(base, Mapping) else None
    for key, value in raw.items():
        name = str(key)
        before = _MISSING if bases is None else bases.get(name)
        if name in live:
            inner = exact or name in SHAPE.exact
            result[key] = _merged(value, said[name], live[name], before, variables, exact=inner) if name in said else escaped(live[name])
        elif name not in said or _is_nothing(said[name]) or (bases is not None and name not in bases):
            result[key] = value  # left out by the server, or new in the file
    written = {str(key) for key in raw}
    for name, value in live.items():
        if name in written or _is_nothing(value):
            continue
        inner = exact or name in SHAPE.exact
        if not same(bases.get(name), value) if bases is not None else exact or not _is_default(name, value):
            result[name] = escaped(value if inner else trimmed(value))
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
            result.append(escaped(live[j] if exact else trimmed(live[j])))
        elif i is not None and bases is not None and said[i][name] not in bases:
            result.append(raw[i])  # new in the file
    return result


def _all_have(name: str, entries: list[Any]) -> bool:
    return all(isinstance(entry, Mapping) and isinstance(entry.get(name), str) for entry in entries)


def trimmed(value: Any) -> Any:
    """What is new, without what a server writes beside it: nothing, and its defaults."""
    if isinstance(value, Mapping):
        return {
            key: entry if key in SHAPE.exact else trimmed(entry)
            for key, entry in value.items()
            if entry is not None and (key in SHAPE.exact or not (_is_nothing(entry) or _is_default(key, entry)))
        }
    return [trimmed(entry) for entry in value] if isinstance(value, list) else value


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


def escaped(value: Any) -> Any:
    """A live value as a file says it: a dollar begins a variable there."""
    if isinstance(value, Mapping):
        return {key: escaped(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [escaped(entry) for entry in value]
    return value.replace("$", "$$") if isinstance(value, str) else value
