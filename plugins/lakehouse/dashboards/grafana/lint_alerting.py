"""Alert rules: what Grafana answers with 400, or takes and never uses.

Sources, in grafana/grafana: `pkg/services/ngalert/models/alert_rule.go` (`ValidateAlertRule`, `ValidateRuleGroupInterval`,
`SetDashboardAndPanelFromAnnotations`).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from lakehouse.dashboards.findings import Finding
from lakehouse.dashboards.grafana.json_files import Document
from lakehouse.dashboards.grafana.lint_boards import UID
from lakehouse.dashboards.grafana.sources import expression_references
from lakehouse.dashboards.grafana.times import prometheus_milliseconds

_NO_DATA = ("Alerting", "NoData", "OK", "Ok", "KeepLast")
_FAILED = ("Alerting", "Error", "OK", "Ok", "KeepLast")
_VALUES = re.compile(r"\$values\.(\w+)")


@dataclass(frozen=True)
class Known:
    """What the folder has, by which names are checked; empty where the folder is not ours."""

    folders: Container[str] = ()
    boards: Mapping[str, Container[str]] | None = None
    receivers: Container[str] = ()
    timings: Container[str] = ()
    sources: Container[str] = ()
    ours: bool = False
    unread: Container[str] = ()

    def lacks(self, kind: str, name: object, names: Container[str]) -> bool:
        """Whether a name is in no file of a kind, as far as that can be told."""
        return self.ours and kind not in self.unread and isinstance(name, str) and name not in names


def check_group(group: Document, known: Known) -> Iterator[Finding]:
    """A group of alert rules."""
    interval = group.data.get("interval")
    if not _whole(interval) or interval <= 0 or interval % 10:
        yield group.finding("rule-group", f"`interval` is {interval!r}: a multiple of 10 (seconds) is needed", "interval")
    title = group.data.get("title") or group.data.get("name")
    if not isinstance(title, str) or not title.strip():
        yield group.finding("rule-group", "a group of rules needs a `title`", "title")
    folder = group.data.get("folderUid")
    if known.ours and not folder:
        yield group.finding("rule-group", "a group of rules needs a `folderUid`", "folderUid")
    elif known.lacks("folders", folder, known.folders):
        yield group.finding("dangling", f"`folderUid` is {folder}, which is in no file of folders/", "folderUid")
    rules = group.data.get("rules")
    if not isinstance(rules, list):
        yield group.finding("rule-group", "`rules` is no list", "rules")
        return
    for i, rule in enumerate(rules):
        if isinstance(rule, dict):
            yield from _rule(group, rule, i, interval, known)
        else:
            yield group.finding("rule", "a rule is an object", "rules", i)


def _rule(group: Document, rule: Mapping[str, Any], i: int, interval: Any, known: Known) -> Iterator[Finding]:
    at: tuple[Any, ...] = ("rules", i)
    title = rule.get("title")
    name = f"rule {title or i}"
    if not isinstance(title, str) or not title.strip():
        yield group.finding("rule", f"{name} needs a `title`", *at, "title")
    elif len(title) > 190:
        yield group.finding("rule", f"{name}: a title has at most 190 characters", *at, "title")
    uid = rule.get("uid")
    if uid in (None, "") and known.ours:
        yield group.finding("uid", f"{name} needs a `uid`", *at, "uid")
    elif uid not in (None, "") and (not isinstance(uid, str) or not UID.match(uid)):
        yield group.finding("uid", f"{name}: `uid` is {uid!r}: at most 40 of a-z, A-Z, 0-9, - and _", *at, "uid")
    for key in ("for", "keep_firing_for"):
        length = rule.get(key)
        if length is not None and prometheus_milliseconds(length) is None:
            yield group.finding("duration", f"{name}: `{key}` is {length!r}: a duration such as 5m is needed", *at, key)
        elif length is not None and _whole(interval) and 0 < (prometheus_milliseconds(length) or 0) < interval * 1000:
            message = f"{name}: `{key}` of {length} is shorter than the group's interval of {interval} s: it is as long as that"
            yield group.finding("duration", message, *at, key, severity="warning")
    for key, allowed in (("noDataState", _NO_DATA), ("execErrState", _FAILED)):
        state = rule.get(key)
        if state not in (None, "") and state not in allowed:
            yield group.finding("rule", f"{name}: `{key}` is {state!r}; known are {', '.join(allowed)}", *at, key)
    yield from _data(group, rule, name, at)
    yield from _texts(group, rule, name, at, known)


def _data(group: Document, rule: Mapping[str, Any], name: str, at: tuple[Any, ...]) -> Iterator[Finding]:
    """The rule's queries and expressions: what fires, and who asks whom."""
    data = rule.get("data")
    entries = [(j, one) for j, one in enumerate(data if isinstance(data, list) else ()) if isinstance(one, dict)]
    if not entries:
        yield group.finding("rule", f"{name} has no query in `data`", *at, "data")
        return
    asked: dict[str, set[str]] = {}
    for j, entry in entries:
        ref_id = str(entry.get("refId") or "")
        model = entry.get("model")
        if not ref_id:
            yield group.finding("expression", f"{name}: a query has no `refId`", *at, "data", j)
        elif ref_id in asked:
            yield group.finding("expression", f"{name}: `refId` {ref_id} is there twice", *at, "data", j, "refId")
        is_expression = entry.get("datasourceUid") in ("__expr__", "-100")
        asked[ref_id] = expression_references(model) if is_expression and isinstance(model, dict) else set()
        span = entry.get("relativeTimeRange")
        start, end = (span.get(key, 0) for key in ("from", "to")) if isinstance(span, dict) else (0, 0)
        if not is_expression and (not _whole(start) or not _whole(end) or start <= end):
            message = f"{name}: query {ref_id} asks for no time: `from` has to be longer ago than `to`"
            yield group.finding("expression", message, *at, "data", j, "relativeTimeRange")
    for j, entry in entries:
        ref_id = str(entry.get("refId") or "")
        for other in sorted(asked[ref_id] - asked.keys()):
            message = f"{name}: expression {ref_id} asks for {other}, which is no query of the rule"
            yield group.finding("expression", message, *at, "data", j, "model", "expression")
        if _asks(asked, ref_id, ref_id):
            yield group.finding("expression", f"{name}: expression {ref_id} asks for itself", *at, "data", j, "model", "expression")
    condition = rule.get("condition")
    if not rule.get("record") and (not isinstance(condition, str) or condition not in asked):
        known = ", ".join(sorted(asked))
        yield group.finding("expression", f"{name}: `condition` is {condition!r}; the rule has {known}", *at, "condition")


def _asks(asked: Mapping[str, set[str]], start: str, wanted: str) -> bool:
    todo, seen = list(asked.get(start, ())), set()
    while todo:
        one = todo.pop()
        if one == wanted:
            return True
        if one not in seen:
            seen.add(one)
            todo += asked.get(one, ())
    return False


def _texts(group: Document, rule: Mapping[str, Any], name: str, at: tuple[Any, ...], known: Known) -> Iterator[Finding]:
    """Labels and annotations: templates that are closed, values that the rule has, a panel that is there."""
    data = rule.get("data")
    there = {str(one.get("refId")) for one in (data if isinstance(data, list) else ()) if isinstance(one, dict)}
    for key in ("labels", "annotations"):
        texts = rule.get(key)
        for label, text in (texts if isinstance(texts, dict) else {}).items():
            if not isinstance(text, str):
                yield group.finding("template", f"{name}: {label} is no text", *at, key, label)
                continue
            if fault := unclosed(text):
                yield group.finding("template", f"{name}: {label}: {fault}", *at, key, label)
            for value in sorted(set(_VALUES.findall(text)) - there):
                message = f"{name}: {label} shows $values.{value}, which is no query of the rule"
                yield group.finding("template", message, *at, key, label, severity="warning")
    annotations = rule.get("annotations")
    annotations = annotations if isinstance(annotations, dict) else {}
    board, panel = annotations.get("__dashboardUid__"), annotations.get("__panelId__")
    if bool(board) != bool(panel):
        yield group.finding("rule", f"{name}: __dashboardUid__ and __panelId__ come together", *at, "annotations")
    elif panel and not (isinstance(panel, str) and panel.isdigit()):
        yield group.finding("rule", f"{name}: __panelId__ is {panel!r}: a number, as text, is needed", *at, "annotations", "__panelId__")
    elif known.boards is not None and known.lacks("dashboards", board, known.boards):
        yield group.finding("dangling", f"{name} links to the board {board}, which is in no file", *at, "annotations", "__dashboardUid__",
                            severity="warning")  # fmt: skip
    elif known.boards is not None and isinstance(board, str) and board in known.boards and panel not in known.boards[board]:
        message = f"{name} links to panel {panel}, which the board {board} does not have"
        yield group.finding("dangling", message, *at, "annotations", "__panelId__", severity="warning")


def unclosed(text: str) -> str:
    """What is wrong with the braces of a Go template, or nothing."""
    open_ = False
    for mark in re.findall(r"\{\{|\}\}", text):
        if (mark == "{{") == open_:
            return "`{{` in a `{{`" if open_ else "`}}` closes nothing"
        open_ = not open_
    return "`{{` is never closed" if open_ else ""


def _whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
