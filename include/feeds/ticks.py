"""What is known of the ticks that come as XML files."""

from __future__ import annotations

from pathlib import Path

SCHEMA = Path(__file__).resolve().parent / "ticks.xsd"


def known_values() -> dict[str, frozenset[str]]:
    """The values that a column may have: the listed series."""
    from include.spark.option_ticks import listed_series

    return {"symbol": frozenset(one.symbol for one in listed_series())}
