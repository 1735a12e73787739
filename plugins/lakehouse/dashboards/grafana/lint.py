"""Checks a folder of Grafana's files, offline: what Grafana refuses, opens empty, or changes without a word.

It reads other people's boards as well; what only our own sync asks for is asked for where the folder is laid out for it.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from lakehouse.dashboards.findings import Finding
from lakehouse.dashboards.grafana import json_files
from lakehouse.dashboards.grafana.json_files import Document, Files
from lakehouse.dashboards.grafana.lint_alerting import Known, check_group
from lakehouse.dashboards.grafana.lint_boards import check_board, check_source, check_uid, unwrapped
from lakehouse.dashboards.grafana.lint_notifications import check_contact_point, check_mute_timing, check_policy
from lakehouse.dashboards.grafana.lint_queries import LONG, check_query, check_rule_query, parser_is_there, query_text
from lakehouse.dashboards.grafana.lint_secrets import check_secrets
from lakehouse.dashboards.grafana.panels import board_panels
from lakehouse.dashboards.grafana.queries import PanelQuery, panels, rule_queries
from lakehouse.dashboards.grafana.sources import Source
from lakehouse.dashboards.grafana.times import milliseconds

_SCRAPE = 15_000
_GUESSES = ("x", "5m", "1")  # a metric or a label, a duration, a number
_ROLES = ("Viewer", "Editor", "Admin")
_OF_PERMISSIONS = ("role", "team", "user")


def lint(path: Path, metrics: Container[str] | None = None) -> list[Finding]:
    """What is wrong in the files at or below a path, in the order of files and lines.

    Args:
        path: a folder, or one JSON file.
        metrics: names that are exported; without them it is not looked whether a metric is there.
    """
    if not path.exists():
        return [Finding(str(path), 1, "is not there", rule="path")]
    return [finding for root in json_files.roots(path) for finding in check(root, metrics)]


def read_metrics(text: str) -> frozenset[str]:
    """Names of metrics, one a line; what an exporter or `/federate` answers will do as well."""
    lines = (line.strip() for line in text.splitlines())
    return frozenset(line.replace("{", " ").split()[0] for line in lines if line and not line.startswith(("#", "{")))


def check(root: Path, metrics: Container[str] | None = None) -> list[Finding]:
    """What is wrong in one folder, or one file."""
    files = json_files.read(root)
    return sorted(_check(files, metrics), key=lambda finding: (finding.path, finding.line))


def _check(files: Files, metrics: Container[str] | None) -> Iterator[Finding]:
    yield from files.findings
    library = {str(one.data.get("uid")): one.data for one in files.of("library_panels")}
    boards: list[Document] = []
    for document in files.of("dashboards"):
        board, findings = unwrapped(document)
        yield from findings
        if board is not None:
            boards.append(board)
    known = _known(files, boards, library)
    scrapes = {str(one.data.get("uid")): _scrape(one.data) for one in files.of("data_sources")}
    for document in files.documents:
        yield from check_secrets(document)
    for board in boards:
        yield from check_board(board, library, ours=files.ours, unread=files.unread)
        yield from _board_folder(board, known)
        yield from _board_queries(board, library, known, scrapes, metrics)
    for group in files.of("rule_groups"):
        yield from check_group(group, known)
        yield from _rule_sources(group, files, known, scrapes, metrics)
    for document in files.of("folders"):
        yield from _folder(document)
    for document in files.of("data_sources"):
        yield from _data_source(document)
    for document in files.of("library_panels"):
        yield from _library_panel(document, known)
    for document in files.of("contact_points"):
        yield from check_contact_point(document)
    for document in files.of("notification_policies"):
        yield from check_policy(document, known)
    for document in files.of("mute_timings"):
        yield from check_mute_timing(document)
    yield from _doubled(files, boards)
    if not parser_is_there() and (boards or files.of("rule_groups")):
        first = (boards or files.of("rule_groups"))[0]
        yield Finding(first.shown, 1, "PromQL was not checked: install the extra `lint`", "note", "promql")


def _known(files: Files, boards: list[Document], library: Mapping[str, Mapping[str, Any]]) -> Known:
    def names(kind: str, key: str) -> frozenset[str]:
        return frozenset(str(one.data.get(key)) for one in files.of(kind))

    ids = {
        str(board.data.get("uid")): frozenset(str(panel.model.get("id")) for panel in board_panels(board.data, library)) for board in boards
    }
    return Known(
        names("folders", "uid"), ids, names("contact_points", "name"), names("mute_timings", "name"), names("data_sources", "uid"),
        files.ours, frozenset(files.unread),
    )  # fmt: skip


def _scrape(source: Mapping[str, Any]) -> int:
    settings = source.get("jsonData")
    told = milliseconds(settings.get("timeInterval")) if isinstance(settings, dict) else None
    return told or _SCRAPE


def _board_folder(board: Document, known: Known) -> Iterator[Finding]:
    """Its path names the folder: dashboards/<uid of the folder>/<name>.json."""
    parts = board.path.split("/")
    if known.ours and len(parts) > 3:
        yield board.finding("path", "lies too deep: dashboards/<uid of its folder>/<name>.json is read")
    elif len(parts) == 3 and known.lacks("folders", parts[1], known.folders):
        yield board.finding("dangling", f"its folder {parts[1]} is in no file of folders/")


def _board_queries(
    board: Document, library: Mapping[str, Mapping[str, Any]], known: Known, scrapes: Mapping[str, int], metrics: Container[str] | None
) -> Iterator[Finding]:
    inputs = board.data.get("__inputs")
    named = (
        {str(one["name"]): str(one["name"]) for one in inputs if isinstance(one, dict) and one.get("name")}
        if isinstance(inputs, list)
        else {}
    )
    places = {panel.library: panel.place for panel in board_panels(board.data, library) if panel.library}
    others: list[dict[Any, str]] = []

    def again(query: PanelQuery) -> Iterator[str]:
        for i, value in enumerate(_GUESSES):
            if len(others) == i:
                values = dict.fromkeys(_names_of_variables(board), value)
                filled = panels(board.data, library, times=LONG, values=values)
                others.append({(one.library, one.place): query_text(one) for one in filled})
            yield others[i].get((query.library, query.place), "")

    for query in panels(board.data, library, times=LONG):
        at = places[query.library] if query.library else query.place
        if known.ours and "data_sources" not in known.unread and query.source.uid not in named:
            yield from check_source(board, query.source, f"{query.kind} {query.panel_title}", at, known.sources)
        elif query.source.uid.startswith("$") and query.source.uid.strip("${}") not in named:
            message = f"{query.kind} {query.panel_title} asks the data source {query.source.uid}, which is no variable of the board"
            yield board.finding("data-source", message, *at)
        if query.source.kind == "server":
            yield from check_query(board, query, metrics, scrapes, at, inputs=named, again=again)


def _names_of_variables(board: Document) -> Iterator[str]:
    templating = board.data.get("templating")
    for entry in _list(templating.get("list") if isinstance(templating, dict) else None):
        if isinstance(entry, dict) and entry.get("type") in (None, "query") and isinstance(entry.get("name"), str):
            yield entry["name"]


def _rule_sources(
    group: Document, files: Files, known: Known, scrapes: Mapping[str, int], metrics: Container[str] | None
) -> Iterator[Finding]:
    types = {str(one.data.get("uid")): str(one.data.get("type")) for one in files.of("data_sources")}
    for query in rule_queries(group.data):
        if query.source.kind != "server":
            continue
        if not query.source.uid:
            yield group.finding("data-source", f"rule {query.rule_title}: query {query.ref_id} names no data source", *query.place)
        elif known.ours and "data_sources" not in known.unread:
            yield from check_source(group, query.source, f"rule {query.rule_title}", (*query.place, "datasourceUid"), known.sources)
        source = Source(query.source.type or types.get(query.source.uid, ""), query.source.uid)
        yield from check_rule_query(group, query, source, metrics, scrapes.get(query.source.uid, _SCRAPE))


def _folder(folder: Document) -> Iterator[Finding]:
    yield from check_uid(folder, needed=True)
    if not isinstance(folder.data.get("title"), str) or not folder.data["title"].strip():
        yield folder.finding("title", "a folder needs a `title`", "title")
    permissions = folder.data.get("permissions", [])
    if not isinstance(permissions, list):
        yield folder.finding("permission", "`permissions` is no list", "permissions")
        return
    for i, one in enumerate(permissions):
        entry = one if isinstance(one, dict) else {}
        whose = [key for key in _OF_PERMISSIONS if entry.get(key)]
        if entry.get("permission") not in (1, 2, 4) or isinstance(entry.get("permission"), bool):
            message = f"`permission` is {entry.get('permission')!r}: 1 (view), 2 (edit) or 4 (admin)"
            yield folder.finding("permission", message, "permissions", i, "permission")
        if len(whose) != 1:
            yield folder.finding("permission", "is for one of a `role`, a `team` by name, a `user` by login", "permissions", i)
        elif whose == ["role"] and entry["role"] not in _ROLES:
            yield folder.finding("permission", f"`role` is {entry['role']!r}; known are {', '.join(_ROLES)}", "permissions", i, "role")


def _data_source(source: Document) -> Iterator[Finding]:
    yield from check_uid(source, needed=True)
    for key in ("name", "type"):
        if not isinstance(source.data.get(key), str) or not source.data[key].strip():
            yield source.finding("data-source", f"a data source needs a `{key}`", key)
    settings = source.data.get("jsonData")
    if isinstance(settings, dict) and settings.get("tlsSkipVerify") is True:
        message = "`tlsSkipVerify`: whoever is in between reads the password"
        yield source.finding("data-source", message, "jsonData", "tlsSkipVerify", severity="warning")


def _library_panel(element: Document, known: Known) -> Iterator[Finding]:
    yield from check_uid(element, needed=True)
    if not isinstance(element.data.get("name"), str) or not element.data["name"].strip():
        yield element.finding("library-panel", "a library panel needs a `name`", "name")
    if not isinstance(element.data.get("model"), dict):
        yield element.finding("library-panel", "a library panel needs its `model`", "model")
    folder = element.data.get("folderUid")
    if folder and known.lacks("folders", folder, known.folders):
        yield element.finding("dangling", f"`folderUid` is {folder}, which is in no file of folders/", "folderUid")


def _doubled(files: Files, boards: list[Document]) -> Iterator[Finding]:
    """Names that Grafana holds once."""
    yield from _twice((board, board.data.get("uid"), ("uid",)) for board in boards)
    titles = (
        (board, board.data.get("title"), ("title",), board.path.rpartition("/")[0])
        for board in boards
        if isinstance(board.data.get("title"), str)
    )
    yield from _twice(titles, severity="warning")
    for kind, key in (
        ("folders", "uid"), ("folders", "title"), ("data_sources", "uid"), ("data_sources", "name"), ("library_panels", "uid"),
        ("contact_points", "uid"), ("mute_timings", "name"),
    ):  # fmt: skip
        yield from _twice((one, one.data.get(key), (key,)) for one in files.of(kind))
    groups = files.of("rule_groups")
    yield from _twice((one, one.data.get("title"), ("title",), one.data.get("folderUid")) for one in groups)
    rules = [(group, i, rule) for group in groups for i, rule in enumerate(_list(group.data.get("rules"))) if isinstance(rule, dict)]
    yield from _twice((group, rule.get("uid"), ("rules", i, "uid")) for group, i, rule in rules)
    named = ((group, rule.get("title"), ("rules", i, "title"), group.data.get("folderUid")) for group, i, rule in rules)
    yield from _twice(named, severity="warning")


def _twice(entries: Iterator[Any], severity: str = "error") -> Iterator[Finding]:
    """Entries: a document, a value, its place, and what else has to be the same."""
    seen: dict[Any, tuple[Document, Any]] = {}
    for document, value, place, *scope in entries:
        if not isinstance(value, str) or not value:
            continue
        first, first_place = seen.setdefault((value, *map(str, scope)), (document, place))
        if first is not document or first_place != place:
            where = first.path if first is not document else "this file"
            yield document.finding("doubled", f"`{place[-1]}` is {value}, as in {where}", *place, severity=severity)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
