"""docs/checklists.md has the 70 items, each open or with a place; and what it names is there."""

from __future__ import annotations

import re

import pytest

from stack.installation import REPO

TEXT = (REPO / "docs" / "checklists.md").read_text()
ITEMS = {"Tier 1": 25, "Tier 2": 20, "Tier 3": 15, "The whole": 10}
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| (.*) ?\|$", re.MULTILINE)
PATH = re.compile(r"`((?:tests|include|config|docs|stack|plugins|bench|requirements)(?:/[\w./-]+)?)`")


@pytest.mark.parametrize("name", ITEMS)
def test_every_item_is_open_or_met_somewhere_and_shown_by_something(name: str) -> None:
    section = next(part for part in TEXT.split("\n## ") if part.startswith(name))
    rows = ROW.findall(section)
    assert [int(number) for number, *_ in rows] == list(range(1, ITEMS[name] + 1))
    assert [number for number, _, where, shown in rows if "**open**" not in where and not shown.strip()] == []


def test_every_path_is_there() -> None:
    named = set(PATH.findall(TEXT))
    assert len(named) > 40
    assert sorted(path for path in named if not (REPO / path).exists()) == []
