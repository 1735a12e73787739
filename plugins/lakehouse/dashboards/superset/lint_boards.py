"""A board's layout and filters: what Superset's importer trips over, or drops without a word.

Sources, in apache-superset 6.1.0: `superset/commands/dashboard/importers/v1/utils.py` (`build_uuid_to_id_map`, `update_id_refs`),
`superset/commands/importers/v1/assets.py` (at the first chart it does not know it stops linking the others).
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

from lakehouse.dashboards.findings import Finding
from lakehouse.dashboards.superset.bundle import Document


def check_board(board: Document, charts: Container[str], *, needs_slug: bool) -> Iterator[Finding]:
    """Places without a chart, places that are not in the tree, lists of charts that are not on the board."""
    if needs_slug and not board.data.get("slug"):
        yield board.finding("slug", "a board needs a `slug`: links and checks go by it")
    position = board.data.get("position")
    if not isinstance(position, dict):
        return
    reached = _reached(position)
    for key, item in position.items():
        if not isinstance(item, dict):
            continue
        if "type" not in item:
            yield board.finding("layout", f"`{key}` has no `type`: the import ends in an error", "position", key)
            continue
        for i, child in enumerate(_list(item.get("children"))):
            if child not in position:
                message = f"`{key}` has the child `{child}`, which is not in `position`: nothing is drawn there"
                yield board.finding("layout", message, "position", key, "children", i, severity="warning")
        if item.get("id", key) != key:
            yield board.finding("layout", f"the id of `{key}` is `{item['id']}`: the two must be the same", "position", key, "id")
        if item["type"] == "CHART":
            yield from _place(board, key, item, charts, reached)
    yield from _numbers(board, position)


def _place(board: Document, key: str, item: Mapping[str, Any], charts: Container[str], reached: set[str]) -> Iterator[Finding]:
    meta = item.get("meta")
    uuid = meta.get("uuid") if isinstance(meta, dict) else None
    if not uuid:
        yield board.finding("dangling", f"`{key}` names no chart: it needs `meta.uuid`", "position", key, "meta")
    elif str(uuid) not in charts:
        yield board.finding("dangling", f"`{key}` refers to {uuid}, which no chart here has", "position", key, "meta", "uuid")
    if key not in reached:
        yield board.finding("layout", f"`{key}` cannot be reached from ROOT_ID by `children`: the chart is not shown", "position", key)
        return
    for i, parent in enumerate(_list(item.get("parents"))):
        if parent not in (board.data.get("position") or {}):
            message = f"`{key}` has the parent `{parent}`, which is not in `position`"
            yield board.finding("layout", message, "position", key, "parents", i, severity="warning")


def _reached(position: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    todo = ["ROOT_ID"]
    while todo:
        key = todo.pop()
        item = position.get(key)
        if key not in found and isinstance(item, dict):
            found.add(key)
            todo += [child for child in _list(item.get("children")) if isinstance(child, str)]
    return found


def _numbers(board: Document, position: Mapping[str, Any]) -> Iterator[Finding]:
    """Chart numbers in the metadata that no place has: in two of the lists the importer looks them up without asking."""
    metas = [item.get("meta") for item in position.values() if isinstance(item, dict) and item.get("type") == "CHART"]
    known = {str(meta["chartId"]) for meta in metas if isinstance(meta, dict) and meta.get("chartId") is not None and meta.get("uuid")}
    metadata = board.data.get("metadata")
    if not isinstance(metadata, dict):
        return
    for name in ("timed_refresh_immune_slices", "expanded_slices"):
        for entry in metadata.get(name) or ():
            if str(entry) not in known:
                message = f"`{name}` has the chart {entry}, which has no place on the board: the import ends in an error"
                yield board.finding("dangling", message, "metadata", name)


def check_filters(board: Document, datasets: Mapping[str, Document], unread: Container[str] = ()) -> Iterator[Finding]:
    """Native filters whose dataset or column is not there."""
    for i, one in enumerate(filters(board)):
        where = ("metadata", "native_filter_configuration", i, "targets")
        name = one.get("name") or one.get("id")
        for j, target in enumerate(_list(one.get("targets"))):
            if not isinstance(target, dict) or not target:  # a filter of time has a target without a dataset
                continue
            uuid = target.get("datasetUuid")
            if not uuid:
                yield board.finding("dangling", f"the filter {name} names no dataset: it needs `datasetUuid`", *where, j)
            elif str(uuid) not in datasets:
                if str(uuid) not in unread:
                    message = f"the filter {name} refers to {uuid}, which no dataset here has"
                    yield board.finding("dangling", message, *where, j, "datasetUuid")
            else:
                yield from _filter_column(board, str(name), target, datasets[str(uuid)], (*where, j, "column"))


def _filter_column(board: Document, name: str, target: Mapping[str, Any], dataset: Document, where: tuple[Any, ...]) -> Iterator[Finding]:
    column = target.get("column")
    wanted = column.get("name") if isinstance(column, dict) else None
    known = {entry.get("column_name") for entry in _list(dataset.data.get("columns")) if isinstance(entry, dict)}
    if isinstance(wanted, str) and known and wanted not in known:
        yield board.finding("no-such-column", f"the filter {name} is on `{wanted}`, a column that {dataset.path} does not have", *where)


def filters(board: Document) -> list[dict[str, Any]]:
    """The board's native filters."""
    metadata = board.data.get("metadata")
    configured = metadata.get("native_filter_configuration") if isinstance(metadata, dict) else None
    return [one for one in _list(configured) if isinstance(one, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
