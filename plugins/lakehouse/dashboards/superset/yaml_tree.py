"""A YAML text as a tree whose nodes know where in the text they stand: what an editor that leaves the rest alone needs.

PyYAML's events have the places of aliases and anchors as well, which its composed nodes have lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

_PROPERTIES = re.compile(r"(?:&\S+[ \t]*)?")


@dataclass(eq=False)
class Node:
    """A value in a text.

    Attributes:
        start: where it begins, its anchor and tag included; `body` is behind the anchor.
        end: behind its last character that is not blank.
        value: what it says.
        pairs: of a mapping; `items` of a sequence.
        target: of an alias, the node that it stands for.
        closed: nothing can be changed within, for one because keys come from elsewhere (`<<`).
    """

    kind: str
    start: int
    body: int
    end: int
    column: int
    style: str | None = None
    flow: bool = False
    value: Any = None
    anchor: str | None = None
    target: Node | None = None
    closed: bool = False
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)

    def children(self) -> Iterator[Node]:
        """The nodes within."""
        for key, value in self.pairs:
            yield key
            yield value
        yield from self.items

    def walk(self) -> Iterator[Node]:
        """The node and all within; an alias counts as itself."""
        yield self
        for child in self.children():
            yield from child.walk()


def read_tree(text: str) -> Node | None:
    """The tree of the one document in a text; None for an empty one.

    Raises:
        yaml.YAMLError: it is not YAML, or more than one document.
    """
    return _Builder(text).build()


class _Builder:
    def __init__(self, text: str) -> None:
        self._text = text
        self._events = yaml.parse(text, yaml.SafeLoader)
        self._anchors: dict[str, Node] = {}
        self._loader: Any = yaml.SafeLoader("")

    def build(self) -> Node | None:
        root = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise yaml.YAMLError("there is more than one document")
                root = self._node(next(self._events))
        return root

    def _node(self, event: Any) -> Node:
        start, end, column, anchor = event.start_mark.index, event.end_mark.index, event.start_mark.column, event.anchor
        if isinstance(event, yaml.AliasEvent):
            if anchor not in self._anchors:
                raise yaml.YAMLError(f"the alias {anchor} stands for nothing, or for what it is in")
            target = self._anchors[anchor]
            return Node("alias", start, start, end, column, value=target.value, target=target)
        body = start
        if anchor and (found := _PROPERTIES.match(self._text, start)):
            body = found.end()
        if isinstance(event, yaml.ScalarEvent):
            kept = self._text[start:end].rstrip()
            node = Node("scalar", start, body, max(start + len(kept), body), column, event.style, anchor=anchor)
            node.value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node("sequence", start, body, end, column, flow=bool(event.flow_style), anchor=anchor)
            self._open(node)
            self._sequence(node)
        else:
            node = Node("mapping", start, body, end, column, flow=bool(event.flow_style), anchor=anchor)
            self._open(node)
            self._mapping(node)
        if node.anchor:
            self._anchors[node.anchor] = node
        return node

    def _open(self, node: Node) -> None:
        if node.anchor:  # an alias from within would be a value that never ends
            self._anchors.pop(node.anchor, None)

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        tag = event.tag
        if tag in (None, "!"):
            tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag == "tag:yaml.org,2002:merge":
            return event.value
        return self._loader.construct_object(yaml.ScalarNode(tag, event.value), deep=True)

    def _sequence(self, node: Node) -> None:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            node.items.append(self._node(event))
        node.value = [item.value for item in node.items]
        self._close(node, event)

    def _mapping(self, node: Node) -> None:
        own: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event)
            value = self._node(next(self._events))
            node.pairs.append((key, value))
            if key.kind == "scalar" and key.style is None and key.value == "<<":
                node.closed = True
                for source in value.value if isinstance(value.value, list) else [value.value]:
                    merged = dict(source) | merged
            elif key.kind != "scalar" or key.value in own:
                raise yaml.YAMLError(f"a key that is there twice, or is no scalar, at character {key.start}")
            else:
                own[key.value] = value.value
        node.value = merged | own
        self._close(node, event)

    def _close(self, node: Node, event: Any) -> None:
        last = next(reversed([*node.children()]), None)
        if node.flow or last is None:
            node.end = event.end_mark.index
        else:
            node.end = last.end
            first = next(node.children())
            # A block begins where its first entry does: its column is what entries are lined up at.
            node.column = first.column if node.kind == "mapping" else self._dash(node)

    def _dash(self, node: Node) -> int:
        at = re.compile(r"(?:\s|#[^\n]*\n|[&!]\S+)*").match(self._text, node.start)
        index = at.end() if at else node.start
        return index - (self._text.rfind("\n", 0, index) + 1)
