"""The runbooks, rendered."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markupsafe import Markup

from lakehouse_provider.links import RUNBOOKS, has_runbook


def names() -> list[str]:
    """Every runbook's name."""
    return sorted({path.stem for place in RUNBOOKS for path in place.glob("*.md")})


def render(name: str) -> Markup | None:
    """A runbook as HTML, its headings as anchors; None if there is no such runbook. HTML within it stays text."""
    if not has_runbook(name):
        return None
    found = next(place / f"{name}.md" for place in RUNBOOKS if (place / f"{name}.md").exists())
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(found.read_text())
    return Markup(re.sub(r"<h(\d)>(.*?)</h\1>", _anchored, body))  # noqa: S704  # ours, and rendered without HTML


def _anchored(match: re.Match[str]) -> str:
    anchor = re.sub(r"[^a-z0-9]+", "-", re.sub(r"<.*?>", "", match[2]).lower()).strip("-")
    return f'<h{match[1]} id="{anchor}">{match[2]}</h{match[1]}>'
