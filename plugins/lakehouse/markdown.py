"""Markdown whose cells are text from outside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

# Within a word an underscore is itself ("Emphasis and strong emphasis", rule 2), and so is a hyphen; a log that shows the text as it is
# stays readable.
_SPECIAL = re.compile(r"([\\`*{}\[\]()#+!|<>~&]|(?<![A-Za-z0-9])[_-]|[_-](?![A-Za-z0-9]))")
_IN_ADDRESSES = "/:?&=#%!()',;@+$~*"


class Markdown(str):
    """Text that is Markdown already."""


def escape(text: object) -> str:
    """Text that renders as itself, on one line (CommonMark 0.31, "Backslash escapes")."""
    if isinstance(text, Markdown):
        return text
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def link(text: object, url: str) -> Markdown:
    """A link (CommonMark 0.31, "Links"), or the text alone where there is no address."""
    return Markdown(f"[{escape(text)}](<{quote(url, safe=_IN_ADDRESSES)}>)" if url else escape(text))


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table (GitHub Flavored Markdown, "Tables (extension)") whose cells are escaped."""
    lines = [heads, ["---"] * len(heads), *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
