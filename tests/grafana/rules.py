"""What the test server keeps of Grafana's rules, each with its source, and which test proves it.

A rule is a function of the server; `@rule` registers it under `module.function`. A test of the conformance suite says by `@proves` which
rules it shows. `test_rules.py` holds the two sets against each other, so that no rule is without a test and no test without a rule.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Rule:
    """A rule of Grafana's.

    Attributes:
        says: the rule, in a sentence.
        source: a file of grafana/grafana with the stored version that was read, a pull request, or a page of its documentation.
        doubt: where the sources leave one; the test then allows what they allow.
    """

    name: str
    says: str
    source: str
    doubt: str


RULES: dict[str, Rule] = {}
PROVEN: dict[str, set[str]] = {}
"""Names of rules, and the tests that prove them."""
RUN: set[str] = set()
"""Names of rules that took part since it was last emptied."""


def rule(source: str, *, doubt: str = "") -> Callable[[Function], Function]:
    """Register a function of the server as a rule; its docstring says what the rule is.

    Raises:
        ValueError: it has no docstring, or its name is taken.
    """

    def register(function: Function) -> Function:
        name = f"{function.__module__.rsplit('.', 1)[-1]}.{function.__name__}"
        if not function.__doc__ or name in RULES:
            raise ValueError(f"{name} needs a docstring, and a name of its own")
        RULES[name] = Rule(name, function.__doc__, source, doubt)

        @functools.wraps(function)
        def kept(*arguments: Any, **options: Any) -> Any:
            RUN.add(name)
            return function(*arguments, **options)

        return kept  # type: ignore[return-value]

    return register


def proves(*names: str) -> Callable[[Function], Function]:
    """Say which rules a test proves."""

    def note(test: Function) -> Function:
        test.proves = names  # type: ignore[attr-defined]
        for name in names:
            PROVEN.setdefault(name, set()).add(f"{test.__module__.rsplit('.', 1)[-1]}.{test.__name__}")
        return test

    return note
