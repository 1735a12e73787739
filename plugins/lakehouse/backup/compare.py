"""Whether what was restored is what was kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Compared:
    """One object: its text when it was kept, and now; empty where it is not there."""

    part: str
    name: str
    kept: str
    restored: str

    @property
    def same(self) -> bool:
        """Whether nothing is lost. Texts are equal, or the count lies in the range `5..7` that a growing object had."""
        low, dots, high = self.kept.partition("..")
        if dots and self.restored.isdigit():
            return int(low) <= int(self.restored) <= int(high)
        return self.kept == self.restored


def compare(part: str, kept: Mapping[str, str], restored: Mapping[str, str]) -> list[Compared]:
    """Every object that was kept; what came since is nobody's loss."""
    return [Compared(part, name, text, restored.get(name, "")) for name, text in sorted(kept.items())]
