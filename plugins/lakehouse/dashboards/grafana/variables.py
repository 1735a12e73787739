"""Grafana's variables in a text: found, and filled in as Grafana would.

Sources, in grafana/grafana: `public/app/features/variables/utils.ts` (the three ways of writing one), `public/app/features/templating/`
`formatRegistry.ts` (the formats), `packages/grafana-prometheus/src/datasource.ts` (`interpolateQueryExpr`), and the page "Variable syntax"
of its documentation. Values that only a server knows, of a query variable never run, are assumed to be all there is.
"""

from __future__ import annotations

import datetime as dt
import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

ALL = "$__all"
REFERENCE = re.compile(
    r"\$(?P<plain>\w+)"
    r"|\[\[(?P<square>\w+?)(?::(?P<square_format>\w+))?\]\]"
    r"|\$\{(?P<braced>\w+)(?:\.(?P<field>[^:^}]+))?(?::(?P<format>[^}]+))?\}"
)
_LUCENE = re.compile(r'([!*+\-=<>\s&|()\[\]{}^~?:\\/"])')
_PROMETHEUS = re.compile(r"[$^*{}\[\]'+?.()|]")
_REGEX = re.compile(r"[\\^$*+?.()|\[\]{}/]")
_MAX_DEPTH = 5  # a value may name other variables, and so itself
_OPEN = {"prometheus": ".+", "loki": ".+", "lucene": "*"}

Value = str | list[str]


@dataclass(frozen=True)
class Reference:
    """A variable named in a text; `number` is the sort of `$1`, which a regular expression has and Grafana leaves alone."""

    name: str
    format: str | None
    field: str | None
    start: int

    @property
    def number(self) -> bool:
        """Whether it is one of a regular expression's own groups."""
        return self.name.isdigit()


def references(text: str) -> Iterator[Reference]:
    """The variables that a text names, built-in ones (`__interval`) among them."""
    for found in REFERENCE.finditer(text):
        name = found["plain"] or found["square"] or found["braced"]
        yield Reference(name, found["square_format"] or found["format"], found["field"], found.start())


@dataclass(frozen=True)
class Variable:
    """A template variable with the value that a board opens with.

    Attributes:
        value: one text, or several where more than one is chosen.
        raw: the value is put in as it is (an `allValue`, an interval, a data source).
        multi: it may have several values, so that Prometheus's regular expressions are escaped.
        assumed: no value is in the file; a server would ask for one.
    """

    name: str
    value: Value
    text: str = ""
    raw: bool = False
    multi: bool = False
    assumed: bool = False


def read_variables(listed: Any, given: Mapping[str, Value] | None = None) -> dict[str, Variable]:
    """The variables of `templating.list`, by name; `given` are values that win over those in the file."""
    found = {}
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            found[entry["name"]] = _variable(entry, (given or {}).get(entry["name"]))
    return found


def _variable(entry: Mapping[str, Any], given: Value | None) -> Variable:
    kind = entry.get("type")
    current = entry.get("current")
    current = current if isinstance(current, dict) else {}
    multi = bool(entry.get("multi") or entry.get("includeAll"))
    value: Any = current.get("value") if given is None else given
    if isinstance(value, dict):  # some generators put the whole choice where its value belongs
        value = value.get("value")
    text = current.get("text")
    shown = " + ".join(map(str, text)) if isinstance(text, list) else "" if text is None else str(text)
    if kind in ("constant", "textbox") and value in (None, "") and isinstance(entry.get("query"), str):
        value = entry["query"]
    if kind == "switch" and isinstance(value, bool):
        value = str(value).lower()
    options = _options(entry)
    if given is None and value in (None, "", []) and kind in ("custom", "interval"):
        value = ALL if entry.get("includeAll") else options[0] if options else ""
    if given is None and value in (None, "", []) and kind == "datasource":
        value = "default"
    if value == ALL or (isinstance(value, list) and ALL in value):
        if entry.get("allValue"):
            return Variable(entry["name"], str(entry["allValue"]), shown or "All", raw=True, multi=multi)
        if not options:
            return Variable(entry["name"], ALL, shown or "All", multi=multi, assumed=True)
        value = options
    if kind == "interval" and isinstance(value, str) and value.startswith("$__auto"):
        value = "$__interval"
    if value in (None, []) or (value == "" and kind in (None, "query")):
        return Variable(entry["name"], ALL, shown, multi=multi, assumed=True)
    filled: Value = [str(one) for one in value] if isinstance(value, list) else str(value)
    return Variable(entry["name"], filled, shown, raw=kind in ("interval", "datasource"), multi=multi)


def _options(entry: Mapping[str, Any]) -> list[str]:
    """The values to choose from that the file has."""
    listed = entry.get("options")
    values = [
        str(one["value"])
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict) and one.get("value") not in (None, "", ALL) and not isinstance(one["value"], list | dict)
    ]
    query = entry.get("query")
    if not values and entry.get("type") in ("custom", "interval") and isinstance(query, str):
        parts = [part.strip().replace("\\,", ",") for part in re.split(r"(?<!\\),", query)]
        # `text : value`, as a custom variable is written.
        values = [part.rpartition(" : ")[2].strip() for part in parts if part]
    return values


@dataclass
class Filler:
    """Fills texts in; what it met on the way is kept.

    Attributes:
        variables: of the board, those of a repeated panel or row narrowed to one value.
        builtins: `__interval` and its like, by name.
        unknown: names that stand in a text and are nobody's.
        assumed: names whose value is not in the file.
    """

    variables: Mapping[str, Variable]
    builtins: Mapping[str, str]
    unknown: set[str] = field(default_factory=set)
    assumed: set[str] = field(default_factory=set)

    def fill(self, value: Any, flavour: str = "") -> Any:
        """A value with every text in it filled in; `flavour` is how values are written where no format is asked for."""
        if isinstance(value, str):
            return self._text(value, flavour, 0)
        if isinstance(value, list):
            return [self.fill(one, flavour) for one in value]
        if isinstance(value, dict):
            return {key: one if key == "refId" else self.fill(one, flavour) for key, one in value.items()}
        return value

    def _text(self, text: str, flavour: str, depth: int) -> str:
        if depth > _MAX_DEPTH or ("$" not in text and "[[" not in text):
            return text

        def one(found: re.Match[str]) -> str:
            name = found["plain"] or found["square"] or found["braced"]
            asked = found["square_format"] or found["format"]
            if name in self.builtins:
                return write(Variable(name, self.builtins[name], raw=True), asked or "raw")
            variable = self.variables.get(name)
            if variable is None:
                if not name.isdigit() and not name.startswith("__"):
                    self.unknown.add(name)
                return found[0]
            if variable.assumed:
                self.assumed.add(name)
                return _OPEN.get(flavour, "")
            written = write(variable, asked or flavour)
            # An interval that is `$__auto` or an `allValue` may name others.
            return self._text(written, flavour, depth + 1) if written != found[0] else written

        return REFERENCE.sub(one, text)


def write(variable: Variable, style: str) -> str:
    """The value in one of Grafana's formats; `prometheus` and `loki` are what those data sources do without a format."""
    value = variable.value
    style, _, argument = style.partition(":")
    several = [value] if isinstance(value, str) else value
    if variable.raw and style not in ("text", "queryparam", "percentencode", "date", "json", "singlequote", "doublequote", "sqlstring"):
        return value if isinstance(value, str) else ",".join(value)
    if style == "date":
        return _date(several[0] if several else "", argument)
    if style in ("lucene", "regex", "prometheus", "loki"):
        return _pattern(variable, style)
    if style in _QUOTES:
        return ",".join(_QUOTES[style](one) for one in several)
    if style == "queryparam":
        return "&".join(f"var-{variable.name}={quote(one, safe='')}" for one in several)
    if style == "text":
        return variable.text or " + ".join(several)
    joined = {"csv": ",", "raw": ",", "pipe": "|", "html": ", "}
    if style in joined:
        text = joined[style].join(several)
        return html.escape(text) if style == "html" else text
    if style == "distributed":
        return ",".join(one if i == 0 else f"{variable.name}={one}" for i, one in enumerate(several))
    if style == "json":
        return json.dumps(value)
    text = "{" + ",".join(several) + "}" if len(several) > 1 else "".join(several)
    return quote(text, safe="") if style == "percentencode" else text


_QUOTES: dict[str, Any] = {
    "singlequote": lambda text: "'" + text.replace("'", "\\'") + "'",
    "doublequote": lambda text: '"' + text.replace('"', '\\"') + '"',
    "sqlstring": lambda text: "'" + text.replace("'", "''") + "'",
}


def _pattern(variable: Variable, style: str) -> str:
    value = variable.value
    if style == "lucene":
        if isinstance(value, str):
            return _lucene(value)
        return "(" + " OR ".join(f'"{_lucene(one)}"' for one in value) + ")" if value else "__empty__"
    if style == "regex":
        escaped = [_REGEX.sub(r"\\\g<0>", one) for one in ([value] if isinstance(value, str) else value)]
    elif not variable.multi and isinstance(value, str):
        return value.replace("\\", "\\\\").replace("'", "\\\\'")
    else:
        escaped = [_PROMETHEUS.sub(r"\\\\\g<0>", one.replace("\\", "\\\\\\\\")) for one in ([value] if isinstance(value, str) else value)]
    return escaped[0] if len(escaped) == 1 else "(" + "|".join(escaped) + ")"


def _lucene(text: str) -> str:
    try:
        float(text)
    except ValueError:
        return _LUCENE.sub(r"\\\1", text)
    return text


def _date(text: str, style: str) -> str:
    if not text.isdigit() or style == "ms":
        return text
    if style == "seconds":
        return str(round(int(text) / 1000))
    try:
        moment = dt.datetime.fromtimestamp(int(text) / 1000, dt.UTC)
    except (OverflowError, OSError, ValueError):
        return text
    # A pattern of moment.js (`YYYY-MM`) is rare in queries; a whole time stands for it.
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
