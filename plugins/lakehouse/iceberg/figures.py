"""A table's last write as figures for Prometheus, which then sees the table grow older when nothing writes it any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakehouse.metrics import Figure, label_text

JOB = "lakehouse_table"


def grouping(facts: Mapping[str, Any]) -> dict[str, str]:
    """The label under which a write replaces the one before it."""
    return {"table": label_text(facts["table"])}


def figures(facts: Mapping[str, Any]) -> list[Figure]:
    """The gauges of a write; push them under `grouping(facts)`.

    Args:
        facts: those of `lakehouse.iceberg.history.facts_of`, and where something can be refused, `refused` or `files_refused` and
            `records_refused`.
    """
    where = grouping(facts)

    def figure(name: str, text: str, value: float) -> Figure:
        return Figure(f"lakehouse_table_{name}", text, where, float(value))

    refused = sum(int(facts.get(name) or 0) for name in ("refused", "files_refused", "records_refused"))
    found = [
        figure("rows_written", "Rows that the last load wrote.", facts["rows"]),
        figure("refused", "Rows or files that the last load refused.", refused),
    ]
    if facts.get("committed_at") is not None:  # An empty table was never written.
        found.append(figure("snapshot_timestamp_seconds", "Unix time of the newest snapshot.", facts["committed_at"]))
    return found
