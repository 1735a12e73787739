"""Markdown whose cells are text from outside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>~&-])")


def escape(text: object) -> str:
    """Text that renders as itself, on one line (CommonMark 0.31, "Backslash escapes")."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table (GitHub Flavored Markdown, "Tables (extension)") whose cells are escaped."""
    lines = [heads, ["---"] * len(heads), *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
