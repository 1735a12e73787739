"""The runbooks, rendered."""

from __future__ import annotations

import re
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

# In the wheel they lie beside the package, in a checkout under docs/.
_PLACES = (Path(__file__).parents[1] / "runbooks", Path(__file__).resolve().parents[3] / "docs" / "runbooks")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def names() -> list[str]:
    """Every runbook's name."""
    return sorted({path.stem for place in _PLACES for path in place.glob("*.md")})


def render(name: str) -> Markup | None:
    """A runbook as HTML, its headings as anchors; None if there is no such runbook. HTML within it stays text."""
    found = next((place / f"{name}.md" for place in _PLACES if _NAME.fullmatch(name) and (place / f"{name}.md").exists()), None)
    if found is None:
        return None
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(found.read_text())
    return Markup(re.sub(r"<h(\d)>(.*?)</h\1>", _anchored, body))  # noqa: S704  # ours, and rendered without HTML


def _anchored(match: re.Match[str]) -> str:
    anchor = re.sub(r"[^a-z0-9]+", "-", re.sub(r"<.*?>", "", match[2]).lower()).strip("-")
    return f'<h{match[1]} id="{anchor}">{match[2]}</h{match[1]}>'
