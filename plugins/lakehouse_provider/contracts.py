"""What a DAG's small tasks ask of a contract."""

from __future__ import annotations

from pathlib import Path


def column_names(path: Path) -> tuple[str, ...]:
    """The columns in the contract's order."""
    from lakehouse.contracts import load

    return load(path).column_names
