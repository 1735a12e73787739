"""What the files have to change to say what is live: a patch of the folder, for `git apply`."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lakehouse.dashboards.grafana.part import SHAPE, without
from lakehouse.dashboards.grafana.target import GrafanaTarget
from lakehouse.dashboards.objects import Document, Key
from lakehouse.dashboards.plan import is_named

_MISSING = object()
_NOT_IN_FILES = ("secrets",)  # which there are; what they are, no service shows


def patch(target: GrafanaTarget, folder: Path, keys: Sequence[Key], base: Mapping[Key, Document], root: Path) -> tuple[str, list[Key]]:
    """The edits by hand as a patch.

    Args:
        target: the folder's files and the server.
        keys: what was edited.
        base: what was applied last: only what differs from it is an edit.
        root: what the patch's paths are relative to.

    Returns:
        The patch, and those that no file can say: gone, never applied, moved to another folder, or saved in the format v2.
    """
    live = {key: one for part in target.parts for key, one in part.live([key for key in keys if key.kind in part.kinds], {}).items()}
    files, diffs, left = target.wanted(), [], []
    for key in keys:
        there = live.get(key)
        last = base.get(key)
        moved = there and last and key.kind == "dashboards" and there.content.get("folderUid") != last.get("folderUid")
        if not there or last is None or moved or "apiVersion" in there.content:
            left.append(key)
            continue
        path = folder / files[key].path
        old = path.read_text()
        new = as_text(merged(json.loads(old), without(last, _NOT_IN_FILES), without(there.content, _NOT_IN_FILES)))
        name = path.relative_to(root).as_posix()
        if new != old:
            lines = difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{name}", f"b/{name}")
            diffs.append(f"diff --git a/{name} b/{name}\n" + "".join(lines))
    return "".join(diffs), left


def as_text(document: Any) -> str:
    """A document as the files are written."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def merged(raw: Any, base: Any, live: Any) -> Any:
    """A file's document with the edits; what nobody edited stays as it is written there, variables included."""
    if base == live and raw is not _MISSING:
        return raw
    if isinstance(raw, Mapping) and isinstance(base, Mapping) and isinstance(live, Mapping):
        kept = {key: merged(value, base.get(key, _MISSING), live.get(key, _MISSING)) for key, value in raw.items()}
        added = {key: value for key, value in live.items() if key not in raw and base.get(key, _MISSING) != value}
        return {key: value for key, value in {**kept, **added}.items() if value is not _MISSING}
    if isinstance(raw, list) and isinstance(base, list) and isinstance(live, list):
        if name := next((name for name in SHAPE.names if live and all(is_named(name, side) for side in (raw, base, live))), None):
            # By name, so that what nobody touched keeps its variables where an entry came or went.
            filed, before = ({entry[name]: entry for entry in side} for side in (raw, base))
            return [merged(filed.get(one[name], _MISSING), before.get(one[name], _MISSING), one) for one in live]
        if len(raw) == len(base) == len(live):
            return [merged(*three) for three in zip(raw, base, live, strict=True)]
    return live
