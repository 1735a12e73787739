"""What would change: the files against what is live, and what is live against what was applied last."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lakehouse.dashboards.objects import Key, Live, Wanted
from lakehouse.dashboards.record import Record
from lakehouse.markdown import link, table

_SHOWN_FIELDS = 8
_SHOWN_CHARACTERS = 60
_NOTHING = object()
# The server keeps these as they were sent: a key that a file no longer has is a difference here; elsewhere it may be the server's own.
EXACT = ("params", "query_context", "position")
_NAMES = ("column_name", "metric_name")


class Action(StrEnum):
    """What a sync would do with an object."""

    CREATE = "create"
    CHANGE = "change"
    UNCHANGED = "unchanged"
    DRIFTED = "drifted"
    ORPHANED = "orphaned"


@dataclass(frozen=True)
class Difference:
    """A field, and its values on both sides as short text."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Change:
    """One object of the plan.

    `differences` lead from what is live to what the file says; those of a drifted object from what was applied last (from the
    file, where nothing was) to what is live. `conflict` says that a drifted object's file has changed as well.
    """

    key: Key
    name: str
    action: Action
    differences: tuple[Difference, ...] = ()
    editor: str = ""
    edited_at: str = ""
    url: str = ""
    conflict: bool = False


@dataclass(frozen=True)
class Plan:
    """Every object of the files and every one that was ours, in the order of writing."""

    changes: tuple[Change, ...]

    def of(self, *actions: Action) -> tuple[Change, ...]:
        """The changes with one of these actions."""
        return tuple(change for change in self.changes if change.action in actions)

    def writes(self, *, overwrite_drift: bool) -> tuple[Change, ...]:
        """What an apply writes."""
        drifted = (Action.DRIFTED,) if overwrite_drift else ()
        return self.of(Action.CREATE, Action.CHANGE, *drifted)

    def counts(self) -> dict[str, int]:
        """How many objects each action has."""
        return {action.value: len(self.of(action)) for action in Action}

    def to_markdown(self, *, unchanged: bool = False) -> str:
        """The plan as a table for people; unchanged objects are only counted."""
        actions = [action for action in Action if unchanged or action is not Action.UNCHANGED]
        counts = ", ".join(f"{count} {action}" for action, count in self.counts().items())
        rows = [
            [change.key.kind, link(change.name, change.url), _said(change), _fields(change), _by(change)] for change in self.of(*actions)
        ]
        return f"{counts}\n" + (f"\n{table(['kind', 'name', 'action', 'fields', 'last changed by'], rows)}" if rows else "")


def make_plan(wanted: Mapping[Key, Wanted], live: Mapping[Key, Live], record: Record, user: str, order: tuple[str, ...]) -> Plan:
    """Compare what is wanted, what is live and what was applied last.

    Args:
        wanted: what the files say.
        live: what the service has, of the wanted and of the recorded keys.
        record: what was applied last.
        user: our own identity: an object that we never recorded, but changed last, is no one else's edit.
        order: the kinds in the order of writing.
    """
    changes = [_compare(key, wanted[key], live.get(key), record, user) for key in wanted]
    for key, entry in record.applied.items():
        if key not in wanted and key in live:
            there = live[key]
            edits = tuple(_differences(entry.content, there.content, exact=True))
            changes.append(Change(key, there.name, Action.ORPHANED, edits, there.editor, there.edited_at, there.url))
    return Plan(tuple(sorted(changes, key=lambda change: (order.index(change.key.kind), change.name, change.key.id))))


def _compare(key: Key, wanted: Wanted, live: Live | None, record: Record, user: str) -> Change:
    base = record.applied.get(key)
    if live is None:
        return Change(key, wanted.name, Action.CREATE, (Difference("it was removed by hand", "", ""),) if base else ())
    to_file = tuple(_differences(live.content, wanted.content, exact=False))
    said = (live.editor, live.edited_at, live.url)
    if (
        not to_file
        and base
        and key not in record.pending
        and (beside := tuple(_differences(_overlaid(base.content, wanted.content), live.content, exact=True)))
    ):
        # Where the file says nothing, the last apply does.
        return Change(key, wanted.name, Action.DRIFTED, beside, *said)
    if not to_file:
        # A password is never shown again: whether it is still the one that was sent can be told from the record alone.
        rotated = not record.knows(key, wanted.secret)
        action = Action.CHANGE if rotated else Action.UNCHANGED
        return Change(key, wanted.name, action, (Difference("password", "", ""),) if rotated else (), url=live.url)
    if key in record.pending and live.editor in ("", user):  # a write of ours was cut off: what is there is half ours
        return Change(key, wanted.name, Action.CHANGE, to_file, *said)
    if base is None:
        if live.editor in ("", user):
            return Change(key, wanted.name, Action.CHANGE, to_file, *said)
        edits = tuple(Difference(d.path, d.new, d.old) for d in to_file)
        return Change(key, wanted.name, Action.DRIFTED, edits, *said)
    edits = tuple(_differences(base.content, live.content, exact=True))
    if not edits:
        return Change(key, wanted.name, Action.CHANGE, to_file, *said)
    conflict = any(True for _ in _differences(base.content, wanted.content, exact=False))
    return Change(key, wanted.name, Action.DRIFTED, edits, *said, conflict=conflict)


def _differences(old: Any, new: Any, *, exact: bool, path: str = "") -> Iterator[Difference]:
    """Fields whose value differs; without `exact`, `old` may have keys of its own, which is what a server adds."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        exact = exact or path in EXACT
        for key in [*new, *(old.keys() - new.keys() if exact else ())]:
            here = f"{path}.{key}" if path else str(key)
            yield from _differences(old.get(key, _NOTHING), new.get(key, _NOTHING), exact=exact, path=here)
    elif isinstance(old, list) and isinstance(new, list):
        if name := _name_of_entries(old, new):
            # Columns and metrics have no order of their own: they are matched by their names.
            one, other = ({str(entry[name]): entry for entry in side} for side in (old, new))
            for entry in [*other, *(one.keys() - other.keys())]:
                yield from _differences(one.get(entry, _NOTHING), other.get(entry, _NOTHING), exact=exact, path=f"{path}[{entry}]")
        elif len(old) != len(new):
            yield Difference(path, *_listed(old, new))
        else:
            for i, (one, other) in enumerate(zip(old, new, strict=True)):
                yield from _differences(one, other, exact=exact, path=f"{path}[{i}]")
    elif old != new and not (_is_nothing(old) and _is_nothing(new)):
        yield Difference(path, _short(old), _short(new))


def _overlaid(base: Any, wanted: Any, path: str = "") -> Any:
    """What was applied, with what the file says now."""
    if isinstance(base, Mapping) and isinstance(wanted, Mapping):
        kept = {} if path in EXACT else base
        return {**kept, **{key: _overlaid(base.get(key), value, f"{path}.{key}" if path else str(key)) for key, value in wanted.items()}}
    if isinstance(base, list) and isinstance(wanted, list):
        if name := _name_of_entries(base, wanted):
            before = {entry[name]: entry for entry in base}
            return [_overlaid(before.get(entry[name]), entry, path) for entry in wanted]
        if len(base) == len(wanted):
            return [_overlaid(*pair, path) for pair in zip(base, wanted, strict=True)]
    return wanted


def _is_nothing(value: Any) -> bool:
    """What a server may write for "not set"."""
    return value is _NOTHING or value is None or value in ("", [], {})


def _name_of_entries(*sides: list[Any]) -> str | None:
    """The key that names each entry of these lists, where there is one."""
    entries = [entry for side in sides for entry in side]
    return next((name for name in _NAMES if entries and all(isinstance(entry, Mapping) and name in entry for entry in entries)), None)


def _listed(old: list[Any], new: list[Any]) -> tuple[str, str]:
    """Two lists as short text; of plain words, what only one of them has."""
    if all(isinstance(value, str) for value in [*old, *new]):
        return _short([value for value in old if value not in new]), _short([value for value in new if value not in old])
    return _short(old), _short(new)


def _short(value: Any) -> str:
    if value is _NOTHING:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def _said(change: Change) -> str:
    if change.action is Action.ORPHANED and change.differences:
        return "orphaned, edited since"
    return f"{change.action}, its file has changed too" if change.conflict else change.action.value


def _fields(change: Change) -> str:
    shown = [d.path if not (d.old or d.new) else f"{d.path}: {d.old} → {d.new}" for d in change.differences[:_SHOWN_FIELDS]]
    left = len(change.differences) - len(shown)
    return "; ".join([*shown, *([f"and {left} more"] if left else [])])


def _by(change: Change) -> str:
    if change.action not in (Action.DRIFTED, Action.ORPHANED):
        return ""
    return " ".join(part for part in (change.editor, change.edited_at) if part)
