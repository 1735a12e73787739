"""Every rule of the test server has its source and a test, and every test of the suite names rules that there are."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from tests.grafana.rules import PROVEN, RULES

_SOURCE = re.compile(r"pkg/|docs|pull request|whats-new")


def test_every_rule_has_a_test_and_every_test_a_rule() -> None:
    for file in Path(__file__).parent.glob("test_conformance_*.py"):
        importlib.import_module(f"tests.grafana.{file.stem}")
    assert sorted(RULES) == sorted(PROVEN)


def test_every_rule_says_what_it_is_and_where_it_is_from() -> None:
    assert len(RULES) > 50
    for rule in RULES.values():
        assert rule.says.endswith("."), rule.name
        assert _SOURCE.search(rule.source), rule.name
