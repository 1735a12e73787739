"""Brings a YAML text to other values by changing only the lines that say something else: comments, order, quotes and anchors stay.

ruamel.yaml's round trip writes the whole text anew; of our own 19 files it changed lines in 9 in which no value had changed (it
folds and unfolds long texts, and drops or adds spaces). Here a text is cut only where a value differs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

import yaml

from lakehouse.dashboards.superset.yaml_dump import Styled, dump
from lakehouse.dashboards.superset.yaml_tree import Node, read_tree

NAMES = ("column_name", "metric_name", "id")
_COMMENT = re.compile(r"[ \t]*(#[^\n]*)?")
_GAP = re.compile(r"(?:\s|#[^\n]*(?:\n|$)|[&!]\S+)*")


def edit(text: str, wanted: Any) -> str:
    """The text, changed so that it says what is wanted; the text itself when it does.

    Raises:
        yaml.YAMLError: the text is not YAML.
    """
    if "\r\n" in text and "\n" not in text.replace("\r\n", ""):
        return edit(text.replace("\r\n", "\n"), wanted).replace("\n", "\r\n")
    root = read_tree(text)
    if root is None:
        return text + dump(wanted)
    # A way of writing that was not thought of is written anew: first the values that differ, each as a whole, then all. Right
    # values go before a small difference.
    for whole in (False, True):
        changed = _Editor(text, root, wanted, whole=whole).run()
        try:
            if same(yaml.safe_load(changed), wanted):
                return changed
        except yaml.YAMLError:
            continue
    head = re.match(r"(?:[ \t]*(?:#[^\n]*)?\n)*", text)
    return (head.group() if head else "") + dump(wanted)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; true is not 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other or (one != one and other != other)
    return type(one) is type(other) and bool(one == other)


class _Editor:
    """Collects the cuts that lead from a text to the wanted values."""

    def __init__(self, text: str, root: Node, wanted: Any, *, whole: bool) -> None:
        self._text, self._root, self._wanted, self._whole = text, root, wanted, whole
        self._lost: set[int] = set()  # anchors that will be gone
        self._will: dict[int, Any] = {}
        self._cuts: list[tuple[int, int, str]] = []
        self._targets = {id(node.target) for node in root.walk() if node.target is not None}
        self._indented = any(
            value.kind == "sequence" and not value.flow and value.column > key.column for node in root.walk() for key, value in node.pairs
        )

    def run(self) -> str:
        # In the order of the text: an anchor stands before its aliases, so whether it is lost is known when they are looked at.
        self._foresee(self._root, self._wanted)
        if not self._change(self._root, self._wanted):
            return dump(self._wanted, indented=self._indented)
        result, at = [], 0
        for start, end, new in sorted(self._cuts, key=lambda cut: cut[:2]):
            if start < at:  # two cuts of one place: whoever checks the result will see it
                continue
            result += [self._text[at:start], new]
            at = end
        return "".join([*result, self._text[at:]])

    def _foresee(self, node: Node, wanted: Any) -> None:
        """What each node that stays will say, so that aliases of it can be judged."""
        self._will[id(node)] = wanted
        if node.kind == "mapping" and isinstance(wanted, Mapping) and not node.closed:
            for key, value in node.pairs:
                if key.value in wanted:
                    self._foresee(value, wanted[key.value])
        elif node.kind == "sequence" and isinstance(wanted, list):
            for item, place in aligned(node.value, wanted):
                if item is not None and place is not None:
                    self._foresee(node.items[item], wanted[place])

    def _change(self, node: Node, wanted: Any) -> bool:
        """Collect the cuts within a node; False when it has to be written anew."""
        if node.target is not None:
            known = id(node.target) not in self._lost and id(node.target) in self._will
            return known and same(self._will[id(node.target)], wanted)
        if node.kind == "scalar" or (self._whole and node is not self._root):
            return same(node.value, wanted) and not self._loses(node)
        if node.kind == "mapping" and isinstance(wanted, Mapping) and wanted and not node.closed:
            return self._flow(node, wanted) if node.flow else self._mapping(node, wanted)
        if node.kind == "sequence" and isinstance(wanted, list) and wanted:
            return self._flow(node, wanted) if node.flow else self._sequence(node, wanted)
        return same(node.value, wanted) and not self._loses(node)

    def _loses(self, node: Node) -> bool:
        return any(one.target is not None and id(one.target) in self._lost for one in node.walk())

    def _flow(self, node: Node, wanted: Any) -> bool:
        """Values of a `{…}` or `[…]` of the same shape are changed in place."""
        if node.kind == "mapping":
            children = [(value, wanted.get(key.value)) for key, value in node.pairs]
            fits = [key.value for key, _ in node.pairs] == list(wanted) or {key.value for key, _ in node.pairs} == set(wanted)
        else:
            fits = len(node.items) == len(wanted)
            children = list(zip(node.items, wanted, strict=fits))
        if not fits:
            return False
        for child, value in children:
            if not self._change(child, value):
                self._forget(child)
                new = dump([_styled(value, child)], flow=True).strip()[1:-1]
                # Without a value (`{a: , b: }`) the colon needs a space.
                self._cuts.append((child.start, child.end, f" {new}" if child.start == child.end else new))
        return True

    def _mapping(self, node: Node, wanted: Mapping[Any, Any]) -> bool:
        stays = [(key, value) for key, value in node.pairs if key.value in wanted]
        if not stays:
            return False
        entries = [(key.start, value.end, key.value in wanted) for key, value in node.pairs]
        for key, value in node.pairs:
            if key.value not in wanted:
                self._forget(value)
            elif not self._change(value, wanted[key.value]):
                self._rewrite(value, wanted[key.value], self._text.index(":", key.end) + 1, node.column, in_mapping=True)
        self._remove(entries)
        known = {key.value for key, _ in node.pairs}
        new = {key: value for key, value in wanted.items() if key not in known}
        if new:
            self._insert(stays[-1][1].end, dump(new, indented=self._indented), node.column)
        return True

    def _sequence(self, node: Node, wanted: list[Any]) -> bool:
        places = aligned(node.value, wanted)
        stays = [item for item, place in places if item is not None and place is not None]
        dashes = self._dashes(node)
        if not stays or (places[0][0] != stays[0] and any(item is None for item, _ in places[: [i for i, _ in places].index(stays[0])])):
            return False  # something new comes before all that stays
        last = stays[0]
        for item, place in places:
            if item is None and place is not None:
                self._insert(node.items[last].end, dump([wanted[place]], indented=self._indented), node.column)
            elif item is not None and place is None:
                self._forget(node.items[item])
            elif item is not None and place is not None:
                last = item
                if not self._change(node.items[item], wanted[place]):
                    self._rewrite(node.items[item], wanted[place], dashes[item] + 1, node.column, in_mapping=False)
        self._remove([(dashes[i], max(item.end, dashes[i] + 1), i in stays) for i, item in enumerate(node.items)])
        return True

    def _dashes(self, node: Node) -> list[int]:
        found, at = [], node.body
        for item in node.items:
            gap = _GAP.match(self._text, at)
            found.append(gap.end() if gap else at)
            at = max(item.end, found[-1] + 1)
        return found

    def _rewrite(self, node: Node, value: Any, after: int, column: int, *, in_mapping: bool) -> None:
        """Write a value anew behind its key's colon or its dash."""
        plain = node.kind == "scalar" and not isinstance(value, Mapping | list)
        value = _styled(value, node)
        body = dump({"k": value} if in_mapping else [value], indented=self._indented).rstrip("\n")[2 if in_mapping else 1 :]
        first, *rest = body.split("\n")
        lines = [first, *(" " * column + line if line else line for line in rest)]
        if plain and node.anchor and not rest:
            self._cuts.append((node.body, node.end, first.strip()))
            return
        self._forget(node)
        start, end = after, max(node.end, after)
        line_end = self._line_end(after)
        notes = []
        if node.start > line_end:  # the block stands below its key
            notes.append(self._text[after:line_end].strip())
        if rest and (found := _COMMENT.match(self._text, end)) and found.group(1):  # behind a text of several lines it would be text
            notes.append(found.group(1))
            end = found.end()
        comment = "  ".join(note for note in notes if note.startswith("#"))
        lines[0] += f"  {comment}" if comment else ""
        self._cuts.append((start, end, "\n".join(lines)))

    def _insert(self, after: int, block: str, column: int) -> None:
        lines = block.rstrip("\n").split("\n")
        at = self._line_end(after)
        self._cuts.append((at, at, "".join("\n" + (" " * column + line if line else line) for line in lines)))

    def _remove(self, entries: list[tuple[int, int, bool]]) -> None:
        """Cut the entries that do not stay: whole lines, or from the first on up to the next that stays where a dash stands before it."""
        for i, (start, end, stays) in enumerate(entries):
            if stays:
                continue
            line = self._text.rfind("\n", 0, start) + 1
            if self._text[line:start].strip():
                following = next((one for one, _, stay in entries[i:] if stay), None)
                if following is not None and not any(stay for _, _, stay in entries[:i]):
                    self._cuts.append((start, following, ""))
                continue
            stop = self._line_end(end)
            # With the line end before it: the one behind is where something new is put in.
            leading = self._text.rfind("\n", 0, entries[0][0]) < 0 and not any(stay for _, _, stay in entries[:i])
            self._cuts.append((line, min(stop + 1, len(self._text)), "") if leading else (line - 1, stop, ""))

    def _forget(self, node: Node) -> None:
        """The anchors in what is cut: their aliases have to say it themselves."""
        self._lost |= {id(one) for one in node.walk() if id(one) in self._targets}

    def _line_end(self, at: int) -> int:
        found = self._text.find("\n", at)
        return len(self._text) if found < 0 else found


def _styled(value: Any, node: Node) -> Any:
    """A text in the quotes of the one that it replaces."""
    if not isinstance(value, str) or node.kind != "scalar" or node.style not in ("'", '"') or ("\n" in value and node.style == "'"):
        return value
    styled = Styled(value)
    styled.style = node.style
    return styled


def aligned(old: list[Any], new: list[Any]) -> list[tuple[int | None, int | None]]:
    """Pairs of places in both lists, in the order of the new one; None on the side that has no such entry."""
    ones, others = _marks(old, new)
    pairs: list[tuple[int | None, int | None]] = []
    for tag, i, i_end, j, j_end in difflib.SequenceMatcher(a=ones, b=others, autojunk=False).get_opcodes():
        both = min(i_end - i, j_end - j) if tag != "equal" else i_end - i
        pairs += [(i + k, j + k) for k in range(both)]
        pairs += [(k, None) for k in range(i + both, i_end)]
        pairs += [(None, k) for k in range(j + both, j_end)]
    return pairs


def _marks(old: list[Any], new: list[Any]) -> tuple[list[str], list[str]]:
    """What entries are told apart by: a name where all have one, else all that they say."""
    for name in NAMES:
        if all(isinstance(one, Mapping) and isinstance(one.get(name), str) for one in [*old, *new]):
            return [one[name] for one in old], [one[name] for one in new]
    return [_mark(one) for one in old], [_mark(one) for one in new]


def _mark(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(sorted(f'{key!r}: {_mark(entry)}' for key, entry in value.items()))}}}"
    return f"[{', '.join(map(_mark, value))}]" if isinstance(value, list) else repr(value)
