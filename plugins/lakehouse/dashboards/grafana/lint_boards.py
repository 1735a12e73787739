"""A Grafana board by itself: what Grafana refuses, opens empty, or puts right without a word.

Sources, in grafana/grafana: `pkg/services/dashboards/models.go` and `pkg/apis/…/dashboard` (title, uid, v2 over the old API: issue 122663),
`public/app/features/dashboard/state/PanelModel.ts` (`autoMigrateAngular`), `DashboardModel.ts` (ids made unique, panels moved apart).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from typing import Any

from lakehouse.dashboards.findings import Finding
from lakehouse.dashboards.grafana.json_files import Document
from lakehouse.dashboards.grafana.panels import Panel, board_panels
from lakehouse.dashboards.grafana.sources import Source
from lakehouse.dashboards.grafana.variables import references

UID = re.compile(r"[a-zA-Z0-9_-]{1,40}$")
COLUMNS = 24
_MOST_PANELS = 500  # of which each is held against each
_V2 = re.compile(r"dashboard\.grafana\.app/v2")
# Shown all the same, by the panel that took their place.
_REPLACED = {
    "graph": "timeseries",
    "table-old": "table",
    "singlestat": "stat",
    "grafana-singlestat-panel": "stat",
    "grafana-piechart-panel": "piechart",
    "grafana-worldmap-panel": "geomap",
    "natel-discrete-panel": "state-timeline",
    "heatmap-new": "heatmap",
}
# Need AngularJS, which Grafana 12 does not have (its page "Plugins using AngularJS").
_GONE = {
    "agenty-flowcharting-panel": "canvas",
    "blackmirror1-singlestat-math-panel": "stat",
    "btplc-status-dot-panel": "stat",
    "corpglory-progresslist-panel": "bargauge",
    "digrich-bubblechart-panel": "xychart",
    "michaeldmoore-multistat-panel": "bargauge",
    "mtanda-histogram-panel": "histogram",
    "petrslavotinek-carpetplot-panel": "heatmap",
    "vonage-status-panel": "stat",
}
_ASKS_NOTHING = frozenset(
    ("row", "text", "dashlist", "alertlist", "news", "welcome", "gettingstarted", "pluginlist", "canvas", "annolist", "")
)
_KEYS = frozenset(
    (
        "annotations", "apiVersion", "autoUpdate", "description", "editable", "fiscalYearStartMonth",
        "folderUid", "gnetId", "graphTooltip", "hideControls", "id", "iteration", "links", "liveNow", "originalTitle", "panels", "preload",
        "refresh", "revision", "rows", "schemaVersion", "sharedCrosshair", "snapshot", "style", "tags", "templating", "time", "timepicker",
        "timezone", "title", "uid", "version", "weekStart",
    )
)  # fmt: skip


def unwrapped(document: Document) -> tuple[Document | None, list[Finding]]:
    """The board in a file, taken out of what it is wrapped in; None where there is none in the classic format."""
    data = document.data
    version = str(data.get("apiVersion", ""))
    if _V2.match(version) or ("elements" in data and "layout" in data):
        message = (
            "is a board in the v2 format: sent to /api/dashboards/db, Grafana 13 refuses it and 12 stores it empty (grafana#122663); "
            "export it as classic (v1) JSON"
        )
        return None, [document.finding("v2", message, "apiVersion" if version else "elements")]
    if version.startswith("dashboard.grafana.app/") and isinstance(data.get("spec"), dict):
        message = f"is wrapped for the API {version}: what is in `spec` is the board"
        return _inside(document, "spec"), [document.finding("wrapped", message, "apiVersion")]
    if isinstance(data.get("dashboard"), dict) and "panels" not in data:
        message = "is an answer of Grafana's API, not a board: what is in `dashboard` is, and Grafana finds no title here"
        inner = _inside(document, "dashboard")
        board, more = unwrapped(inner) if "elements" in inner.data else (inner, [])
        return board, [document.finding("wrapped", message, "dashboard"), *more]
    return document, []


def _inside(document: Document, key: str) -> Document:
    return Document(document.shown, document.path, document.kind, document.data[key], document.text, (*document.at, key))


def check_board(board: Document, library: Mapping[str, Mapping[str, Any]], *, ours: bool, unread: Container[str]) -> Iterator[Finding]:
    """What is wrong with a board but for its queries."""
    data = board.data
    if not isinstance(data.get("title"), str) or not data["title"].strip():
        yield board.finding("title", "a board needs a `title`: Grafana refuses it without", "title")
    yield from check_uid(board, needed=ours)
    if data.get("id") is not None:
        message = f"`id` is {data['id']!r}: it belongs to one server; another one answers 404, or changes a board that is not this one"
        yield board.finding("server-field", message, "id", severity="warning")  # a sync leaves it out
    if ours and data.get("version") is not None:
        message = "`version` counts the changes on one server: leave it out"
        yield board.finding("server-field", message, "version", severity="warning")
    for key in data:
        if key not in _KEYS and not str(key).startswith("__"):
            yield board.finding("unknown-key", f"`{key}` is no key of a board: Grafana does not look at it", key, severity="warning")
    if data.get("__inputs"):
        severity = "error" if ours else "warning"
        message = "has `__inputs`, the form for sharing: only the import page fills them in, a file or the API does not"
        yield board.finding("inputs", message, "__inputs", severity=severity)
    yield from _panel_ids(board, library)
    for panel in board_panels(data, library):
        yield from _panel(board, panel, ours=ours, library_unread="library_panels" in unread)
    yield from _layout(board)
    yield from _variables(board, library)


def check_uid(document: Document, *, needed: bool) -> Iterator[Finding]:
    """`uid`: at most 40 letters, digits, dashes and underscores (`pkg/util/shortid_generator.go`, `IsValidShortUID`)."""
    uid = document.data.get("uid")
    if uid in (None, ""):
        if needed:
            yield document.finding("uid", "needs a `uid`: without one every sync would make another", "uid")
    elif not isinstance(uid, str) or not UID.match(uid):
        yield document.finding("uid", f"`uid` is {uid!r}: at most 40 of a-z, A-Z, 0-9, - and _", "uid")


def _panel_ids(board: Document, library: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    seen: dict[int, str] = {}
    for panel in board_panels(board.data, library):
        number, name = panel.model.get("id"), _name(panel)
        if not isinstance(number, int) or isinstance(number, bool):
            if panel.model.get("type") != "row":
                message = f"{name} has no `id`: it gets another one each time, so no link and no alert can name it"
                yield board.finding("panel-id", message, *panel.place, severity="warning")
        elif number in seen:
            message = f"{name} has the id {number}, as {seen[number]} has: Grafana gives one of them another"
            yield board.finding("panel-id", message, *panel.place, "id", severity="warning")
        else:
            seen[number] = name


def _panel(board: Document, panel: Panel, *, ours: bool, library_unread: bool) -> Iterator[Finding]:
    model, name, at = panel.model, _name(panel), panel.place
    if panel.missing:
        if (ours and not library_unread) or not panel.library:
            message = f"{name} is the library panel {panel.library or '(without a uid)'}, which is in no file"
            yield board.finding("library-panel", message, *at, "libraryPanel", "uid")
        return
    kind = model.get("type")
    where = () if panel.library else at
    if not isinstance(kind, str) or not kind:
        yield board.finding("panel-type", f"{name} has no `type`: Grafana shows that the panel plugin was not found", *at)
    elif kind in _GONE:
        message = f"{name} is a {kind}, which needs AngularJS: Grafana 12 does not show it; {_GONE[kind]} comes closest"
        yield board.finding("removed-panel", message, *at, "type")
    elif kind in _REPLACED:
        message = f"{name} is a {kind}, which Grafana 12 does not have: {_REPLACED[kind]} is shown in its place"
        yield board.finding("removed-panel", message, *at, "type", severity="warning")
    if ours and kind not in ("row", "text") and not str(model.get("title") or "").strip():
        yield board.finding("panel-title", f"{name} has no `title`", *at, severity="warning")
    targets = model.get("targets")
    told = model.get("datasource")
    asks = isinstance(kind, str) and kind not in _ASKS_NOTHING and isinstance(targets, list) and bool(targets)
    named = [one.get("datasource") for one in targets if isinstance(one, dict)] if asks and isinstance(targets, list) else []
    if asks and not told and not all(named):
        yield board.finding("data-source", f"{name} names no data source: whichever is the default answers", *at, severity="warning")
    elif isinstance(told, str) and not panel.library and not told.startswith(("$", "--", "[[")):
        message = f"{name} names its data source `{told}` by name: a uid stays when someone renames it"
        yield board.finding("data-source", message, *where, "datasource", severity="warning")


def check_source(document: Document, source: Source, what: str, place: tuple[Any, ...], known: Container[str]) -> Iterator[Finding]:
    """A data source that no file has; `known` are the uids of those that are there."""
    if source.kind == "server" and source.uid and source.uid not in known:
        message = f"{what} asks the data source {source.uid}, which is in no file of data_sources/"
        yield document.finding("data-source", message, *place)


def _layout(board: Document) -> Iterator[Finding]:
    """Places: 24 columns, nothing on top of something else."""
    placed: list[tuple[int, int, int, int, str, tuple[Any, ...]]] = []
    panels = board.data.get("panels")
    for i, panel in enumerate(panels if isinstance(panels, list) else ()):
        if not isinstance(panel, dict):
            yield board.finding("panel-type", f"panel {i} is no object", "panels", i)
            continue
        place = panel.get("gridPos")
        name = _name(Panel(panel, ("panels", i)))
        if not isinstance(place, dict):
            yield board.finding("layout", f"{name} has no `gridPos`: Grafana puts it where there is room", "panels", i, severity="warning")
            continue
        at = ("panels", i, "gridPos")
        x, y, width, height = (place.get(key) for key in "xywh")
        numbers = [one if isinstance(one, int | float) and not isinstance(one, bool) else None for one in (x or 0, y or 0, width, height)]
        if panel.get("type") == "row" and not (width and height):
            width, height = COLUMNS, 1
            numbers[2:] = [width, height]
        if None in numbers or min(one for one in numbers if one is not None) < 0 or not width or not height:
            message = f"{name}: `gridPos` needs w and h above 0, x and y from 0"
            yield board.finding("layout", message, *at, severity="warning")
            continue
        left, top, wide, high = (int(min(one, 1e6)) for one in numbers if one is not None)
        if panel.get("type") == "row":
            left, wide, high = 0, COLUMNS, 1  # however high a file says that it is
        if left + wide > COLUMNS:
            message = f"{name} reaches to column {left + wide}; there are {COLUMNS}"
            yield board.finding("layout", message, *at, severity="warning")
        placed.append((left, top, wide, high, name, at))
    placed = placed[:_MOST_PANELS]
    for i, (left, top, wide, high, name, at) in enumerate(placed):
        for other in placed[:i]:
            if left < other[0] + other[2] and other[0] < left + wide and top < other[1] + other[3] and other[1] < top + high:
                yield board.finding("layout", f"{name} lies over {other[4]}: Grafana moves one of them", *at, severity="warning")
                break


def _variables(board: Document, library: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Template variables twice, without a name, or used by nothing."""
    templating = board.data.get("templating")
    listed = templating.get("list") if isinstance(templating, dict) else None
    seen: set[str] = set()
    entries = [(i, one) for i, one in enumerate(listed if isinstance(listed, list) else ()) if isinstance(one, dict)]
    for i, entry in entries:
        name = entry.get("name")
        if not isinstance(name, str) or not name:
            yield board.finding("variable", "a variable has no `name`: nothing can use it", "templating", "list", i, severity="warning")
            continue
        if name in seen:
            yield board.finding("variable", f"the variable {name} is there twice", "templating", "list", i, "name", severity="warning")
        seen.add(name)
    if not seen:
        return
    used = set(_used({key: value for key, value in board.data.items() if key != "templating"}))
    for panel in board_panels(board.data, library):
        used |= set(_used(panel.model)) if panel.library else set()
    for _, entry in entries:
        own = entry.get("name")
        used |= {name for name in _used(entry) if name != own}
    for i, entry in entries:
        name = entry.get("name")
        if isinstance(name, str) and name and name not in used and entry.get("type") not in ("adhoc", "groupby"):
            yield board.finding("unused-variable", f"nothing uses the variable {name}", "templating", "list", i, "name", severity="warning")
    for panel in board_panels(board.data, library):
        repeat = panel.model.get("repeat")
        if isinstance(repeat, str) and repeat and repeat not in seen and not panel.library:
            message = f"{_name(panel)} is repeated for ${repeat}, which the board does not have"
            yield board.finding("variable", message, *panel.place, "repeat", severity="warning")


def _used(value: Any) -> Iterator[str]:
    """Names of variables in all texts below a value."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, str):
            if "$" in one or "[[" in one:
                yield from (reference.name for reference in references(one))
        elif isinstance(one, dict):
            repeat = one.get("repeat")
            if isinstance(repeat, str):
                yield repeat
            todo += one.values()
        elif isinstance(one, list):
            todo += one


def _name(panel: Panel) -> str:
    model = panel.model
    title = model.get("title")
    kind = "row" if model.get("type") == "row" else "panel"
    number = model.get("id")
    told = title if isinstance(title, str) and title.strip() else f"number {number}" if number is not None else "without a title"
    return f"{kind} {told}"
