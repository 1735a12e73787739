"""A chart against its dataset: the columns and metrics that it names, and whether its stored query is the one that it shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lakehouse.dashboards.findings import Finding
from lakehouse.dashboards.superset.bundle import Document

# Of the many keys of `params` only those that every chart type reads in the same way. What a chart type does not read stays in `params`
# when a chart changes its type, so more keys would find what harms nobody.
_METRICS = ("metrics", "metric")
_COLUMNS = ("groupby", "x_axis")
_SPECIAL = {"__timestamp"}  # the old name of the time column in a result


def check_chart(chart: Document, dataset: Document | None, *, sanitised: bool) -> Iterator[Finding]:
    """Names that the dataset does not have; a stored query that is of an earlier state.

    Args:
        sanitised: warn of a table that would draw a cell's text as HTML.
    """
    params = chart.data.get("params")
    params = params if isinstance(params, dict) else {}
    context = query_context(chart)
    if params.get("viz_type") not in (None, chart.data.get("viz_type")):
        message = f"`params` say {params['viz_type']}, and `viz_type` says {chart.data.get('viz_type')}, which wins"
        yield chart.finding("stale", message, "params", "viz_type", severity="warning")
    yield from _stale(chart, params, context)
    if sanitised and chart.data.get("viz_type") == "table" and "allow_render_html" not in params:
        message = "a cell's text is drawn as HTML: say `allow_render_html: false`, or true where the text is the dataset's own"
        yield chart.finding("html", message, "params", severity="warning")
    if dataset is not None:
        yield from _names(chart, params, context, dataset)


def query_context(chart: Document) -> dict[str, Any]:
    """The stored query, whether it is a mapping or JSON as text; empty where there is none."""
    context = chart.data.get("query_context")
    if isinstance(context, str):
        try:
            context = json.loads(context)
        except (ValueError, RecursionError):
            return {}
    return context if isinstance(context, dict) else {}


def _stale(chart: Document, params: Mapping[str, Any], context: Mapping[str, Any]) -> Iterator[Finding]:
    """What alerts, reports and the chart-data API ask is the stored query: one of an earlier state shows other figures than the board."""
    form = context.get("form_data")
    if not isinstance(form, dict):
        return
    for key in ("viz_type", *_METRICS, "groupby"):
        if key in params and key in form and _labels(params[key]) != _labels(form[key]):
            message = f"`query_context` is of an earlier state: its `{key}` is not the one in `params`"
            yield chart.finding("stale", message, "query_context", severity="warning")
            return


def _labels(value: Any) -> Any:
    """Metrics by what people see of them: ids of single metrics differ and mean nothing."""
    if isinstance(value, list):
        return [_labels(entry) for entry in value]
    return value.get("label") or value.get("sqlExpression") if isinstance(value, dict) else value


def _names(chart: Document, params: Mapping[str, Any], context: Mapping[str, Any], dataset: Document) -> Iterator[Finding]:
    columns = names_of(dataset, "columns", "column_name")
    metrics = names_of(dataset, "metrics", "metric_name")
    seen: set[tuple[str, str]] = set()
    for rule, name, where, severity in [*_in_params(params), *_in_context(context)]:
        known = columns if rule == "no-such-column" else metrics
        # An `orderby` and a filter may name either.
        either = rule == "no-such-column" and where[0] == "query_context" and name in metrics
        if not known or name in known or either or name in _SPECIAL or "{{" in name or (rule, name) in seen:
            continue
        seen.add((rule, name))
        what = "saved metric" if rule == "no-such-metric" else "column"
        ends = ": Superset leaves the filter out without a word" if "filters" in where[-1:] or "subject" in where[-1:] else ""
        yield chart.finding(rule, f"names the {what} `{name}`, which {dataset.path} does not have{ends}", *where, severity=severity)


Named = tuple[str, str, tuple[Any, ...], str]  # rule, name, place, severity


def _in_params(params: Mapping[str, Any]) -> Iterator[Named]:
    raw = params.get("query_mode") == "raw"  # a table of rows: metrics and groups are of its other face
    for key in _METRICS:
        for i, metric in enumerate(() if raw else _each(params.get(key))):
            yield from _metric(metric, ("params", key, i))
    for key in ("all_columns",) if raw else _COLUMNS:
        for i, column in enumerate(_each(params.get(key))):
            if isinstance(column, str):
                yield "no-such-column", column, ("params", key, i), "error"
    for i, one in enumerate(_each(params.get("adhoc_filters"))):
        if isinstance(one, dict) and one.get("expressionType") == "SIMPLE" and one.get("clause") == "WHERE":
            subject = one.get("subject")
            if isinstance(subject, str):
                yield "no-such-column", subject, ("params", "adhoc_filters", i, "subject"), _severity(one.get("comparator"))


def _in_context(context: Mapping[str, Any]) -> Iterator[Named]:
    for i, query in enumerate(_each(context.get("queries"))):
        if not isinstance(query, dict):
            continue
        where = ("query_context", "queries", i)
        for metric in _each(query.get("metrics")):
            yield from _metric(metric, (*where, "metrics"))
        for column in _each(query.get("columns")):
            if isinstance(column, str):
                yield "no-such-column", column, (*where, "columns"), "error"
        for one in _each(query.get("filters")):
            if isinstance(one, dict) and isinstance(one.get("col"), str):
                yield "no-such-column", one["col"], (*where, "filters"), _severity(one.get("val"))


def _severity(value: Any) -> str:
    """A filter of time that lets everything through does no harm, whatever its column."""
    return "warning" if value == "No filter" else "error"


def _metric(metric: Any, where: tuple[Any, ...]) -> Iterator[Named]:
    if isinstance(metric, str):
        yield "no-such-metric", metric, where, "error"
    elif isinstance(metric, dict) and metric.get("expressionType") == "SIMPLE":
        column = metric.get("column")
        if isinstance(column, dict) and isinstance(column.get("column_name"), str):
            yield "no-such-column", column["column_name"], where, "error"


def names_of(dataset: Document, key: str, name: str) -> set[str]:
    """Names of a dataset's columns or metrics."""
    return {entry[name] for entry in _each(dataset.data.get(key)) if isinstance(entry, dict) and isinstance(entry.get(name), str)}


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
