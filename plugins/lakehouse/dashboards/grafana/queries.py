"""Every query of a Grafana board or rule group, as Grafana's query API wants it: `POST /api/ds/query`.

Panels of rows, library panels, repeated panels and hidden queries that an expression needs are seen as Grafana's own pages see them.
Which data source answers a query is decided as in `public/app/features/query/state/PanelQueryRunner.ts`: a panel's own one wins,
except where it is `-- Mixed --`; an expression stays one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lakehouse.dashboards.grafana.panels import Panel, board_panels
from lakehouse.dashboards.grafana.sources import EXPRESSION, Source, entries, expression_references, reference
from lakehouse.dashboards.grafana.times import Times, builtins, milliseconds
from lakehouse.dashboards.grafana.variables import Filler, Value, Variable, read_variables

_FLAVOURS = {"grafana-opensearch-datasource": "lucene", "elasticsearch": "lucene", "prometheus": "prometheus", "loki": "loki"}


@dataclass(frozen=True)
class PanelQuery:
    """One query of a board.

    Attributes:
        kind: `panel`, `annotation` or `variable`; a variable's query (`label_values(…)`) is no query of the query API.
        panel: the panel's id and title; of an annotation or a variable the title is its name.
        target: the query, filled in, with `refId`, `datasource`, `intervalMs` and `maxDataPoints`.
        written: the query as it stands in the file.
        place: where it stands in the board, or in the library panel's model where `library` has its uid.
        hidden: shown by no panel, kept because an expression of the panel needs it.
        unknown: variables that the board does not have.
        assumed: variables whose value only a server knows; everything is assumed.
    """

    kind: str
    board: str
    board_title: str
    panel: int | None
    panel_title: str
    ref_id: str
    source: Source
    target: dict[str, Any]
    written: Any
    place: tuple[Any, ...]
    times: Times
    library: str = ""
    hidden: bool = False
    unknown: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    @property
    def sent(self) -> bool:
        """Whether it can be sent to `/api/ds/query`; an expression can, together with its panel's other queries."""
        return self.kind != "variable" and self.source.kind in ("server", "expression")


@dataclass(frozen=True)
class RuleQuery:
    """One entry of an alert rule's `data`.

    Attributes:
        entry: as it stands in the file, which is what Grafana's evaluation API takes.
        target: its model as the query API wants it, its built-in variables filled in.
        start, end: seconds before the evaluation.
        condition: the rule fires by this one.
    """

    group: str
    rule: str
    rule_title: str
    ref_id: str
    source: Source
    entry: dict[str, Any]
    target: dict[str, Any]
    start: int
    end: int
    condition: bool
    place: tuple[Any, ...]


def panels(
    dashboard: Mapping[str, Any],
    library: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    times: Times | None = None,
    values: Mapping[str, Value] | None = None,
) -> Iterator[PanelQuery]:
    """Every query of a board: its variables', its annotations', its panels'.

    Args:
        dashboard: in the classic format.
        library: library elements by uid, as they are sent (`{"model": …}`); a panel whose element is not there has no query.
        times: the range; left out, what the board opens with, up to now.
        values: of template variables, where they are to differ from what the board opens with.
    """
    span = times or Times.of(dashboard, dt.datetime.now(dt.UTC))
    templating = dashboard.get("templating")
    variables = read_variables(templating.get("list") if isinstance(templating, dict) else None, values)
    board = _Board(dashboard, library or {}, span, variables)
    yield from board.variable_queries()
    yield from board.annotation_queries()
    for found in board.panels():
        yield from board.panel_queries(found)


def rule_queries(group: Mapping[str, Any], *, now: dt.datetime | None = None, scrape: int = 15_000) -> Iterator[RuleQuery]:
    """Every query and expression of an alert rule group, in the form of Grafana's provisioning API."""
    end = int((now or dt.datetime.now(dt.UTC)).timestamp() * 1000)
    for i, rule in entries(group.get("rules")):
        for j, entry in entries(rule.get("data")):
            model = entry.get("model")
            model = model if isinstance(model, dict) else {}
            span = entry.get("relativeTimeRange")
            start, until = (_whole(span.get(key)) for key in ("from", "to")) if isinstance(span, dict) else (0, 0)
            named = model.get("datasource")
            named = named if isinstance(named, dict) else {}
            uid = str(entry.get("datasourceUid") or named.get("uid") or "")
            source = Source(EXPRESSION if uid in (EXPRESSION, "-100") else str(named.get("type") or ""), uid)
            ref_id = str(entry.get("refId") or model.get("refId") or "")
            interval, points = _whole(model.get("intervalMs")) or 1000, _whole(model.get("maxDataPoints")) or 43_200
            times = Times(end - start * 1000, end - until * 1000, points, scrape, interval)
            filled = model
            if source.kind != "expression":  # there `$A` is another query
                filled = Filler({}, builtins(times, interval)).fill(model, _FLAVOURS.get(source.type, ""))
            target = {**filled, "refId": ref_id, "datasource": reference(source), "intervalMs": interval, "maxDataPoints": points}
            yield RuleQuery(
                str(group.get("title") or group.get("name") or ""), str(rule.get("uid") or ""), str(rule.get("title") or ""),
                ref_id, source, entry, target, start, until, rule.get("condition") == ref_id, ("rules", i, "data", j),
            )  # fmt: skip


@dataclass(frozen=True)
class _Board:
    dashboard: Mapping[str, Any]
    library: Mapping[str, Mapping[str, Any]]
    times: Times
    variables: Mapping[str, Variable]

    def panels(self) -> Iterator[Panel]:
        return board_panels(self.dashboard, self.library)

    def variable_queries(self) -> Iterator[PanelQuery]:
        templating = self.dashboard.get("templating")
        for i, entry in entries(templating.get("list") if isinstance(templating, dict) else None):
            if entry.get("type", "query") != "query" or not entry.get("query"):
                continue
            query = entry["query"]
            written = query if isinstance(query, dict) else {"query": query}
            source = self._source(entry.get("datasource"))
            yield self._query("variable", entry, source, written, ("templating", "list", i, "query"), self.times)

    def annotation_queries(self) -> Iterator[PanelQuery]:
        annotations = self.dashboard.get("annotations")
        for i, entry in entries(annotations.get("list") if isinstance(annotations, dict) else None):
            if entry.get("enable") is False:
                continue
            target = entry.get("target")
            written = {key: value for key, value in entry.items() if key not in _OF_ANNOTATIONS}
            written |= target if isinstance(target, dict) else {}
            if entry.get("builtIn") and not entry.get("datasource"):
                source = Source("grafana", "-- Grafana --")
            else:
                source = self._source(entry.get("datasource"))
            yield self._query("annotation", entry, source, written, ("annotations", "list", i), self.times)

    def panel_queries(self, found: Panel) -> Iterator[PanelQuery]:
        panel = found.model
        if found.missing:
            return
        own = self._source(panel.get("datasource")) if panel.get("datasource") else None
        times = self._shifted(panel)
        place = () if found.library else found.place
        targets = list(entries(panel.get("targets")))
        needed = _needed(target for _, target in targets)
        for i, target in targets:
            if target.get("hide") is True and target.get("refId") not in needed:
                continue
            named = self._source(target.get("datasource")) if target.get("datasource") else None
            source = own or named or Source("", "")
            if named and (named.kind == "expression" or (own and own.kind == "mixed")):
                source = named
            written = {key: value for key, value in target.items() if key != "hide"}
            query = self._query("panel", panel, source, written, (*place, "targets", i), times, found.repeated)
            yield replace(query, library=found.library, hidden=target.get("hide") is True)

    def _query(
        self,
        kind: str,
        owner: Mapping[str, Any],
        source: Source,
        written: Mapping[str, Any],
        place: tuple[Any, ...],
        times: Times,
        repeated: tuple[str, ...] = (),
    ) -> PanelQuery:
        lowest = milliseconds(written.get("interval")) or (times.scrape if source.type == "prometheus" else 1)
        interval, points = times.step(owner, lowest)
        own_lowest = milliseconds(written.get("interval"))
        interval = max(interval, own_lowest or 0)
        own = builtins(times, interval, str(self.dashboard.get("title") or self.dashboard.get("uid") or ""))
        variables = {name: _narrowed(one) if name in repeated else one for name, one in self.variables.items()}
        filler = Filler(variables, own)
        # In an expression `$A` is another query, as long as the board has no variable of that name.
        asked = {key: value for key, value in written.items() if key != "datasource"}
        filled = filler.fill(asked, _FLAVOURS.get(source.type, ""))
        ref_id = str(written.get("refId") or ("Anno" if kind == "annotation" else "A"))
        target = {**filled, "refId": ref_id, "datasource": reference(source), "intervalMs": interval, "maxDataPoints": points}
        title = owner.get("title") if kind == "panel" else owner.get("name")
        number = owner.get("id") if kind == "panel" else None
        unknown = () if source.kind == "expression" else tuple(sorted(filler.unknown))
        return PanelQuery(
            kind, str(self.dashboard.get("uid") or ""), str(self.dashboard.get("title") or ""),
            number if isinstance(number, int) and not isinstance(number, bool) else None, str(title or ""), ref_id, source, target,
            written, place, times, unknown=unknown, assumed=tuple(sorted(filler.assumed)),
        )  # fmt: skip

    def _source(self, told: Any) -> Source:
        """The data source that a file names, by object or, in old files, by name; a variable stands for what it has."""
        kind, uid = (told.get("type"), told.get("uid")) if isinstance(told, dict) else ("", told)
        filler = Filler(self.variables, {})
        filled = filler.fill(uid) if isinstance(uid, str) else ""
        if not kind and isinstance(uid, str):
            kind = self._type_by_variable(uid)
        return Source(str(kind or ""), "" if filled == "default" else str(filled))

    def _type_by_variable(self, uid: str) -> str:
        """What type a data source variable offers."""
        name = uid.strip("${}[]")
        templating = self.dashboard.get("templating")
        for _, entry in entries(templating.get("list") if isinstance(templating, dict) else None):
            if entry.get("name") == name and entry.get("type") == "datasource" and isinstance(entry.get("query"), str):
                return str(entry["query"])
        return ""

    def _shifted(self, panel: Mapping[str, Any]) -> Times:
        """The range of a panel that has one of its own (`timeFrom`), or is shifted (`timeShift`)."""
        own, shift = milliseconds(panel.get("timeFrom")), milliseconds(panel.get("timeShift")) or 0
        start = self.times.end - own if own else self.times.start
        return replace(self.times, start=start - shift, end=self.times.end - shift) if own or shift else self.times


_OF_ANNOTATIONS = frozenset(
    ("builtIn", "datasource", "enable", "hide", "iconColor", "name", "target", "type", "filter", "mappings", "showIn", "snapshotData")
)


def _narrowed(variable: Variable) -> Variable:
    """One of the values that a panel is repeated for."""
    if isinstance(variable.value, list):
        return replace(variable, value=variable.value[0] if variable.value else "")
    return variable


def _needed(targets: Iterator[Mapping[str, Any]]) -> set[str]:
    """The queries that expressions which are shown ask for, and those that these ask for."""
    asked: dict[str, set[str]] = {}
    todo: list[str] = []
    for target in targets:
        named = target.get("datasource")
        uid = named.get("uid") if isinstance(named, dict) else named
        if uid in (EXPRESSION, "-100"):
            ref_id = str(target.get("refId") or "")
            asked[ref_id] = expression_references(target)
            todo += [] if target.get("hide") is True else [ref_id]
    found: set[str] = set()
    while todo:
        for name in asked.get(todo.pop(), set()) - found:
            found.add(name)
            todo.append(name)
    return found


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12 else 0
