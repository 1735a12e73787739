"""A shipment as figures for Prometheus: what the last one did, and how far the indices are behind their table."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lakehouse.metrics import Figure, label_text

OUTCOMES = ("indexed", "already_there", "refused")
OTHER = "other"
_REASONS = 20


def grouping(facts: Mapping[str, Any]) -> dict[str, str]:
    """The labels under which a shipment replaces the one before it, and no other table's."""
    return {name: label_text(facts[name]) for name in ("source_table", "target")}


def figures(facts: Mapping[str, Any], *, now: float | None = None) -> list[Figure]:
    """The gauges of a shipment that went through; push them under `grouping(facts)`.

    Args:
        facts: `source_table`, `target` (index pattern), `rows_read`, `indexed`, `already_there`, `refused`, `bytes_sent`, `seconds`,
            and where they are known `reasons` (reason of refusal to rows), `lag_rows` and `lag_seconds`.
        now: when the shipment ended, in seconds of the Unix clock.

    Raises:
        KeyError: a fact is missing.
    """
    where = grouping(facts)

    def figure(name: str, text: str, value: float, **labels: str) -> Figure:
        return Figure(f"lakehouse_shipment_{name}", f"{text}, of the last shipment.", where | labels, float(value))

    seconds = float(facts["seconds"])
    found = [figure("rows", "Rows by what became of them; their sum was read", facts[outcome], outcome=outcome) for outcome in OUTCOMES]
    found += [
        figure("refused_rows", "Refused rows by reason", rows, reason=reason)
        for reason, rows in _reasons(facts.get("reasons") or {}).items()
    ]
    found += [
        figure("rows_per_second", "Rows read per second", facts["rows_read"] / seconds if seconds > 0 else 0.0),
        figure("bytes", "Bytes sent to OpenSearch", facts["bytes_sent"]),
        figure("duration_seconds", "Time taken", seconds),
        figure("last_success_timestamp_seconds", "Unix time of the end", time.time() if now is None else now),
    ]
    # What nobody measured is left out: 0 would say that nothing is behind.
    for name, text in (
        ("lag_rows", "Rows still to be shipped at the end"),
        ("lag_seconds", "Age of the oldest row still to be shipped at the end"),
    ):
        if facts.get(name) is not None:
            found.append(figure(name, text, facts[name]))
    return found


def _reasons(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent reasons, the rest as `other`; they come from the server, so nobody knows how many there are."""
    clean: Counter[str] = Counter()
    for reason, rows in counts.items():
        clean[label_text(reason)] += rows
    # Names break a tie, so that two like shipments have like series.
    ranked = sorted((reason for reason in clean if reason != OTHER), key=lambda reason: (-clean[reason], reason))
    kept = {reason: clean[reason] for reason in ranked[:_REASONS]}
    rest = clean.total() - sum(kept.values())
    return kept | ({OTHER: rest} if rest else {})
