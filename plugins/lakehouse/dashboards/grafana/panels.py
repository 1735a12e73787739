"""The panels of a board in the classic format, wherever they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse.dashboards.grafana.sources import entries


@dataclass(frozen=True)
class Panel:
    """A panel, and where it stands.

    Attributes:
        model: its values; of a library panel the element's model, with the place that the board gives it.
        place: in the board.
        library: uid of its library element, or empty.
        missing: its library element is not there.
        repeated: variables that it or its row is repeated for.
    """

    model: dict[str, Any]
    place: tuple[Any, ...]
    library: str = ""
    missing: bool = False
    repeated: tuple[str, ...] = ()


def board_panels(dashboard: Mapping[str, Any], library: Mapping[str, Mapping[str, Any]] | None = None) -> Iterator[Panel]:
    """The panels of a board in the classic format: rows before what is in them, and the rows of boards older than Grafana 5."""
    yield from _panels(dashboard.get("panels"), ("panels",), (), library or {})
    for i, row in entries(dashboard.get("rows")):
        yield from _panels(row.get("panels"), ("rows", i, "panels"), _repeat(row), library or {})


def _panels(listed: Any, place: tuple[Any, ...], repeated: tuple[str, ...], library: Mapping[str, Mapping[str, Any]]) -> Iterator[Panel]:
    for i, panel in entries(listed):
        within = (*repeated, *_repeat(panel))
        named = panel.get("libraryPanel")
        if isinstance(named, dict):
            uid = str(named.get("uid") or "")
            element = library.get(uid)
            model = element.get("model") if isinstance(element, Mapping) else None
            own: dict[str, Any] = {key: panel[key] for key in ("id", "gridPos", "repeat", "libraryPanel") if key in panel}
            if isinstance(model, dict):
                yield Panel({**model, **own}, (*place, i), uid, repeated=within)
            else:
                yield Panel(panel, (*place, i), uid, missing=True, repeated=within)
            continue
        yield Panel(panel, (*place, i), repeated=within)
        if panel.get("type") == "row":
            # A row that is open has its panels beside it; they are repeated with it all the same, but nothing says which.
            yield from _panels(panel.get("panels"), (*place, i, "panels"), within, library)


def _repeat(model: Mapping[str, Any]) -> tuple[str, ...]:
    name = model.get("repeat")
    return (name,) if isinstance(name, str) and name else ()
