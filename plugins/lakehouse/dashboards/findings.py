"""What a lint found in the files of a service."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something to mend, or to know: where, and what. `severity` is `error`, `warning` or `note`."""

    path: str
    line: int
    message: str
    severity: str = "error"
    rule: str = ""

    def __str__(self) -> str:
        kind = "" if self.severity == "error" else f"{self.severity}: "
        return f"{self.path}:{self.line}: {kind}{self.message}"
