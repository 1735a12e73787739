"""Queries in a board or a rule: PromQL that Prometheus would refuse, metrics that nobody exports, windows too short for `rate`.

PromQL is parsed by `promql-parser`, a port of Prometheus's own grammar; without that package nothing is said of PromQL. Lucene has no
parser on PyPI that takes what OpenSearch's `query_string` does, so only what is never closed is found; a sync asks the server.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Callable, Container, Iterator, Mapping
from functools import lru_cache
from typing import Any

from lakehouse.dashboards.findings import Finding
from lakehouse.dashboards.grafana.json_files import Document
from lakehouse.dashboards.grafana.queries import PanelQuery, RuleQuery
from lakehouse.dashboards.grafana.sources import Source
from lakehouse.dashboards.grafana.times import Times
from lakehouse.dashboards.grafana.variables import references

promql_parser: Any = None
with contextlib.suppress(ImportError):  # the extra `lint` has it
    import promql_parser

# A day's interval: what a board fills in for `$__interval` is long, so that a short window is one that is written down.
LONG = Times(0, 30 * 86_400_000, scrape=86_400_000, interval=86_400_000)
_NEEDS_TWO = ("rate", "irate", "increase", "delta", "idelta", "deriv")
_OWN = re.compile(r"ALERTS(_FOR_STATE)?$|up$|scrape_\w+$")
_FUNCTION = re.compile(r"\s*(label_values|query_result|metrics|label_names)\((.*)\)\s*$", re.DOTALL)
_LABEL = re.compile(r"(.*),\s*(?:\$?\w+|\$\{\w+\}|\[\[\w+\]\])\s*$", re.DOTALL)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')
_LUCENE = ("grafana-opensearch-datasource", "elasticsearch", "opensearch")


def parser_is_there() -> bool:
    """Whether PromQL can be looked at here."""
    return promql_parser is not None


def check_query(
    document: Document,
    query: PanelQuery,
    metrics: Container[str] | None,
    scrapes: Mapping[str, int],
    place: tuple[Any, ...],
    inputs: Container[str] = (),
    again: Callable[[PanelQuery], Iterator[str]] | None = None,
) -> Iterator[Finding]:
    """What is wrong with a query of a board.

    Args:
        document: the board.
        query: one of its queries.
        metrics: what is exported, if that is known.
        scrapes: scrape intervals by data source, in milliseconds.
        place: where the query stands.
        inputs: names that an import fills in.
        again: the query's text with other values for the variables that only a server knows.
    """
    unknown = tuple(name for name in query.unknown if name not in inputs)
    who = {"panel": f"panel {query.panel_title or query.panel!r}", "annotation": "annotation", "variable": "variable"}[query.kind]
    shown = f"{who}, query {query.ref_id}" if query.kind == "panel" else f"{who} {query.panel_title}"
    key, text = _text(query)
    at = (*place, key) if key in query.written or query.kind != "variable" else place
    if _is_prometheus(query.source, query.written):
        text = _of_variable(text) if query.kind == "variable" else text
        if query.assumed and isinstance(_parsed(text), str):
            others = again(query) if again else iter(())
            told = next((one for one in others if not isinstance(_parsed(one), str)), None)
            if told is None and not unknown and _bare(str(query.written.get(key) or "")) & set(query.assumed):
                return  # what a server fills in may well make sense of it
            text = told or text
        yield from _promql(document, shown, text, unknown, metrics, scrapes.get(query.source.uid, 15_000), at)
        return
    for other in unknown:
        yield document.finding("variable", f"{shown} names ${other}, which the board does not have", *at, severity="warning")
    if query.source.type in _LUCENE and query.kind != "variable":
        yield from _lucene(document, shown, text, at)


def check_rule_query(
    document: Document, query: RuleQuery, source: Source, metrics: Container[str] | None, scrape: int
) -> Iterator[Finding]:
    """What is wrong with a query of an alert rule."""
    shown = f"rule {query.rule_title}, query {query.ref_id}"
    at = (*query.place, "model", "expr")
    if _is_prometheus(source, query.target):
        yield from _promql(document, shown, str(query.target.get("expr") or ""), (), metrics, scrape, at)
    elif source.type in _LUCENE:
        yield from _lucene(document, shown, str(query.target.get("query") or ""), (*query.place, "model", "query"))


def _is_prometheus(source: Source, written: Mapping[str, Any]) -> bool:
    """By its type; where an old file has a name alone, by the look of its query."""
    return source.type == "prometheus" or (not source.type and isinstance(written.get("expr"), str) and "rawSql" not in written)


def _bare(text: str) -> set[str]:
    """Variables that stand outside of quotes."""
    return {reference.name for reference in references(_QUOTED.sub("", text))}


def query_text(query: PanelQuery) -> str:
    """A query as it is parsed."""
    text = _text(query)[1]
    return _of_variable(text) if query.kind == "variable" else text


def _text(query: PanelQuery) -> tuple[str, str]:
    for key in ("expr", "query", "metric"):
        value = query.target.get(key)
        if isinstance(value, str):
            return key, value
    return "expr", ""


def _of_variable(text: str) -> str:
    """The selector in `label_values(selector, label)`; nothing where there is none to parse."""
    found = _FUNCTION.match(text)
    if not found or found[1] in ("metrics", "label_names"):
        return ""
    if found[1] == "query_result":
        return found[2]
    inner = _LABEL.match(found[2])
    return inner[1] if inner else ""


def _promql(
    document: Document,
    shown: str,
    text: str,
    unknown: tuple[str, ...],
    metrics: Container[str] | None,
    scrape: int,
    at: tuple[Any, ...],
) -> Iterator[Finding]:
    parsed = _parsed(text) if text.strip() else None
    for other in unknown:
        broken = isinstance(parsed, str)
        said = "so Prometheus refuses it" if broken else "so it stays as it is written"
        message = f"{shown} names ${other}, which the board does not have, {said}"
        yield document.finding("variable", message, *at, severity="error" if broken else "warning")
    if isinstance(parsed, str) and not unknown:
        yield document.finding("promql", f"{shown} is no PromQL: {parsed}", *at)
    if parsed is None or isinstance(parsed, str):
        return
    short: set[tuple[str, str]] = set()
    for node in _nodes(parsed):
        if metrics is not None and (name := _metric(node)) and name not in metrics and not _OWN.match(name):
            yield document.finding("no-such-metric", f"{shown} asks for {name}, which nobody exports", *at)
        window = _short_window(node, scrape)
        if window and window not in short:
            short.add(window)
            message = (
                f"{shown}: the window {window[1]} of {window[0]}() is less than two scrapes of {scrape // 1000} s: write $__rate_interval"
            )
            yield document.finding("rate-window", message, *at, severity="warning")


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    """The parsed expression, what is wrong with it as text, or None where nothing can be said."""
    if promql_parser is None:
        return None
    try:
        return promql_parser.parse(text)
    except (ValueError, TypeError) as error:
        return " ".join(str(error).split())[:200]
    except BaseException as error:  # a panic of Rust is no Exception
        if type(error).__name__ != "PanicException":
            raise
        return None


def _nodes(node: Any) -> Iterator[Any]:
    todo = [node]
    while todo:
        one = todo.pop()
        if isinstance(one, list | tuple):
            todo += one
            continue
        yield one
        for name in ("expr", "lhs", "rhs", "args", "param", "vector_selector", "vs"):
            child = getattr(one, name, None)
            if child is not None and not isinstance(child, str | int | float):
                todo.append(child)


def _metric(node: Any) -> str | None:
    if type(node).__name__ != "VectorSelector":
        return None
    named = [one.value for one in node.matchers.matchers if one.name == "__name__" and str(one.op) in ("=", "MatchOp.Equal")]
    name = node.name or next(iter(named), None)
    return str(name) if name and "$" not in str(name) else None


def _short_window(node: Any, scrape: int) -> tuple[str, str] | None:
    if type(node).__name__ != "Call" or (function := str(getattr(node.func, "name", ""))) not in _NEEDS_TWO:
        return None
    for argument in node.args:
        window = getattr(argument, "range", None)
        if type(argument).__name__ == "MatrixSelector" and isinstance(window, dt.timedelta):
            length = window.total_seconds()
            if length * 1000 < 2 * scrape:
                return function, f"[{length:g}s]"
    return None


def _lucene(document: Document, shown: str, text: str, at: tuple[Any, ...]) -> Iterator[Finding]:
    """What is opened and never closed: `query_string` refuses it."""
    open_ones: list[str] = []
    quoted = regex = escaped = False
    for i, sign in enumerate(text):
        if escaped:
            escaped = False
        elif sign == "\\":
            escaped = True
        elif quoted or regex:
            quoted, regex = quoted and sign != '"', regex and sign != "/"
        elif sign == '"':
            quoted = True
        elif sign == "/" and (i == 0 or text[i - 1] in " :("):
            regex = True
        elif sign in "([{":
            open_ones.append(sign)
        # A range may open with one kind and close with another: [1 TO 5}.
        elif sign in ")]}" and (not open_ones or (open_ones.pop() == "(") != (sign == ")")):
            yield document.finding("lucene", f"{shown} is no Lucene: {sign} closes nothing", *at)
            return
    if quoted or regex or open_ones:
        what = "a quote" if quoted else "a regular expression" if regex else open_ones[-1]
        yield document.finding("lucene", f"{shown} is no Lucene: {what} is never closed", *at)
