"""Values as YAML text the way people write it: texts of several lines as they read, nothing folded, no aliases."""

from __future__ import annotations

import re
from typing import Any

import yaml

_WIDE = 1_000_000
_ODD_ENDS = re.compile("[\r\x85\u2028\u2029]")


class Styled(str):
    """A text that is to be quoted as it was."""

    __slots__ = ("style",)
    style: str | None


def dump(value: Any, *, flow: bool = False, indented: bool = False) -> str:
    """A value as YAML: texts of several lines as they read, no line folded, no aliases."""
    dumper = _Indented if indented else _Plain
    return str(yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=_WIDE, default_flow_style=flow))


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # PyYAML's own
        return True


class _Indented(_Plain):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002  # PyYAML's own
        return super().increase_indent(flow, False)  # noqa: FBT003  # the same


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = getattr(value, "style", None)
    # Other line ends than "\n" survive in double quotes alone, and a block that ends in empty lines would take in those that follow it.
    if _ODD_ENDS.search(value) or value == "\n" or value.endswith("\n\n"):
        style = '"'
    elif style is None and "\n" in value:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(value), style=style)


_Plain.add_representer(str, _text)
_Plain.add_representer(Styled, _text)
