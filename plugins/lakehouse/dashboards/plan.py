"""What would change: the files against what is live, and what is live against what was applied last."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from lakehouse.dashboards.objects import Key, Live, Shape, Wanted
from lakehouse.dashboards.record import Record, Recorded
from lakehouse.markdown import link, table

_SHOWN_FIELDS = 8
_SHOWN_CHARACTERS = 60
_NOTHING = object()


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
    file, where nothing was) to what is live. `conflict` says that a drifted object's file has changed as well, `locked` why the service
    would not let us write it.
    """

    key: Key
    name: str
    action: Action
    differences: tuple[Difference, ...] = ()
    editor: str = ""
    edited_at: str = ""
    url: str = ""
    conflict: bool = False
    locked: str = ""


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
        return tuple(change for change in self.of(Action.CREATE, Action.CHANGE, *drifted) if not change.locked)

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


def make_plan(
    wanted: Mapping[Key, Wanted],
    live: Mapping[Key, Live],
    record: Record,
    user: str,
    shapes: Mapping[str, Shape],
    kept: Collection[Key] = (),
) -> Plan:
    """Compare what is wanted, what is live and what was applied last.

    Args:
        wanted: what the files say.
        live: what the service has, of the wanted and of the recorded keys.
        record: what was applied last.
        user: our own identity: an object that we never recorded, but changed last, is no one else's edit.
        shapes: of each kind, in the order of writing.
        kept: not wanted, and no orphans all the same.
    """
    changes = [_compare(key, wanted[key], live.get(key), record, user, shapes[key.kind]) for key in wanted]
    for key, entry in record.applied.items():
        if key not in wanted and key not in kept and key in live:
            edits = tuple(_differences(entry.content, live[key].content, every_key(shapes[key.kind])))
            changes.append(_change(key, live[key].name, Action.ORPHANED, edits, live[key]))
    order = list(shapes)
    return Plan(tuple(sorted(changes, key=lambda change: (order.index(change.key.kind), change.name, change.key.id))))


def _change(
    key: Key, name: str, action: Action, differences: tuple[Difference, ...] = (), live: Live | None = None, *, conflict: bool = False
) -> Change:
    if live is None:
        return Change(key, name, action, differences)
    return Change(key, name, action, differences, live.editor, live.edited_at, live.url, conflict, live.locked)


def _compare(key: Key, wanted: Wanted, live: Live | None, record: Record, user: str, shape: Shape) -> Change:
    base, name = record.applied.get(key), wanted.name
    if live is None:
        return _change(key, name, Action.CREATE, (Difference("it was removed by hand", "", ""),) if base else ())
    to_file = tuple(_differences(live.content, wanted.content, shape))
    if base and shape.replaces:
        to_file += tuple(_dropped(base.said, wanted.content, live.content, shape))
    if (
        not to_file
        and base
        and key not in record.pending
        and (beside := tuple(_differences(_overlaid(base.content, wanted.content, shape), live.content, every_key(shape))))
    ):
        # Where the file says nothing, the last apply does.
        return _change(key, name, Action.DRIFTED, beside, live)
    if not to_file:
        # A password is never shown again: whether it is still the one that was sent can be told from the record alone.
        rotated = not record.knows(key, wanted.secret)
        return _change(
            key, name, Action.CHANGE if rotated else Action.UNCHANGED, (Difference("password", "", ""),) if rotated else (), live
        )
    if key in record.pending and live.editor in ("", user) and _is_half_ours(record.begun.get(key), live, base, shape):
        return _change(key, name, Action.CHANGE, to_file, live)
    if base is None:
        if live.editor == user or (not live.editor and shape.adopts):
            return _change(key, name, Action.CHANGE, to_file, live)
        return _change(key, name, Action.DRIFTED, tuple(Difference(d.path, d.new, d.old) for d in to_file), live)
    edits = tuple(_differences(base.content, live.content, every_key(shape)))
    if not edits:
        return _change(key, name, Action.CHANGE, to_file, live)
    filed = [*_differences(base.content, wanted.content, shape)]
    if shape.replaces:
        filed += _dropped(base.said, wanted.content, base.content, shape)
    return _change(key, name, Action.DRIFTED, edits, live, conflict=bool(filed))


def _is_half_ours(begun: Mapping[str, Any] | None, live: Live, base: Recorded | None, shape: Shape) -> bool:
    """Whether a write of ours that was cut off left it like this; a document that is replaced whole is as it was, or as we sent it."""
    return not shape.replaces or base is None or (begun is not None and not any(_differences(live.content, begun, shape)))


def every_key(shape: Shape) -> Shape:
    """The shape in which every key counts, as where nothing was added by the service itself."""
    return replace(shape, exact=("",))


def _differences(old: Any, new: Any, shape: Shape, path: str = "", *, exact: bool = False) -> Iterator[Difference]:
    """Fields whose value differs; where it is not exact, `old` may have keys of its own, which is what a server adds."""
    exact = exact or path in shape.exact
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*new, *(old.keys() - new.keys() if exact else ())]:
            yield from _differences(old.get(key, _NOTHING), new.get(key, _NOTHING), shape, _below(path, key), exact=exact)
    elif isinstance(old, list) and isinstance(new, list):
        if name := _name_of_entries(shape, old, new):
            one, other = ({str(entry[name]): entry for entry in side} for side in (old, new))
            for entry in [*other, *(one.keys() - other.keys())]:
                yield from _differences(one.get(entry, _NOTHING), other.get(entry, _NOTHING), shape, f"{path}[{entry}]", exact=exact)
            was, is_now = ([entry for entry in side if entry in beside] for side, beside in ((one, other), (other, one)))
            if shape.replaces and was != is_now:  # what is kept as it was sent is shown in that order
                yield Difference(f"{path}, their order", _short(was), _short(is_now))
        elif len(old) != len(new):
            yield Difference(path, *_listed(old, new))
        else:
            for i, (one, other) in enumerate(zip(old, new, strict=True)):
                yield from _differences(one, other, shape, f"{path}[{i}]", exact=exact)
    elif old != new and not (_is_nothing(old, shape) and _is_nothing(new, shape)):
        yield Difference(path, _short(old), _short(new))


def _dropped(said: Any, wanted: Any, live: Any, shape: Shape, path: str = "") -> Iterator[Difference]:
    """Fields that the file had when it was applied, has no more, and that are still live."""
    if isinstance(said, Mapping) and isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for key in said:
            if key in wanted:
                yield from _dropped(said[key], wanted[key], live.get(key), shape, _below(path, key))
            elif not _is_nothing(live.get(key), shape):
                yield Difference(_below(path, key), _short(live[key]), _short(_NOTHING))
    elif isinstance(said, list) and isinstance(wanted, list) and isinstance(live, list):
        if name := _name_of_entries(shape, said, wanted, live):
            before, there = ({str(entry[name]): entry for entry in side} for side in (said, live))
            for entry in wanted:
                identifier = str(entry[name])
                yield from _dropped(before.get(identifier), entry, there.get(identifier), shape, f"{path}[{identifier}]")
        elif len(said) == len(wanted) == len(live):
            for i, three in enumerate(zip(said, wanted, live, strict=True)):
                yield from _dropped(*three, shape, f"{path}[{i}]")


def _overlaid(base: Any, wanted: Any, shape: Shape, path: str = "") -> Any:
    """What was applied, with what the file says now."""
    if isinstance(base, Mapping) and isinstance(wanted, Mapping):
        kept = {} if path in shape.exact else base
        return {**kept, **{key: _overlaid(base.get(key), value, shape, _below(path, key)) for key, value in wanted.items()}}
    if isinstance(base, list) and isinstance(wanted, list):
        if name := _name_of_entries(shape, base, wanted):
            before = {entry[name]: entry for entry in base}
            return [_overlaid(before.get(entry[name]), entry, shape, path) for entry in wanted]
        if len(base) == len(wanted):
            return [_overlaid(*pair, shape, path) for pair in zip(base, wanted, strict=True)]
    return wanted


def _below(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _is_nothing(value: Any, shape: Shape) -> bool:
    """What a server may write for "not set"."""
    return value is _NOTHING or value is None or value in ("", [], {}) or (shape.omits and value in (False, 0, "0s"))


def _name_of_entries(shape: Shape, *sides: list[Any]) -> str | None:
    """The key that names each entry of these lists, where there is one."""
    return next((name for name in shape.names if any(sides) and all(is_named(name, side) for side in sides)), None)


def is_named(name: str, entries: list[Any]) -> bool:
    """Whether this key tells each entry of a list from the others."""
    names = [str(entry[name]) for entry in entries if isinstance(entry, Mapping) and name in entry]
    return len(names) == len(entries) == len(set(names))


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
    if change.locked and change.action is not Action.UNCHANGED:
        return f"{change.action}, left alone: {change.locked}"
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
