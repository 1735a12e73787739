"""How a board fared when each of its charts or panels was asked for its data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChartResult:
    """What a chart's own query gave: rows, or the error in the service's words.

    `may_be_empty` says that no row is good news; `nothing_to_show` that its source has no row in the chart's window either.
    """

    name: str
    rows: int
    error: str = ""
    may_be_empty: bool = False
    nothing_to_show: bool = False

    @property
    def failed(self) -> bool:
        """Whether the chart has an error, or no row where its source has some."""
        return bool(self.error) or not (self.rows or self.may_be_empty or self.nothing_to_show)


@dataclass(frozen=True)
class BoardResult:
    """A board, who looked at it, and how its charts fared."""

    name: str
    url: str
    role: str
    charts: tuple[ChartResult, ...]

    @property
    def failed(self) -> tuple[ChartResult, ...]:
        """The charts that cannot be used."""
        return tuple(chart for chart in self.charts if chart.failed)
