"""`make panels`: every query of Grafana's boards and alert rules, run on the running stack without Grafana.

Prints a table, and writes it to `var/panels.md` and `var/panels.json`. Ends with 1 when a panel that promises data has none.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import promql_parser
import requests

from lakehouse.dashboards.grafana.queries import panels, rule_queries
from stack.installation import HOST, REPO, Installation
from tests.grafana.engines import run
from tests.grafana.lucene import OpenSearchAccess

FOLDER = REPO / "include" / "dashboards" / "grafana"
# A page asks for at most six things at once from one server (HTTP/1.1 in any browser).
AT_ONCE = 6
# Prometheus makes it itself, when an alert is pending or fires.
OF_PROMETHEUS = {"ALERTS"}


@dataclass(frozen=True)
class Asked:
    """A query of a panel or rule, ready to be run."""

    board: str
    panel: str
    ref_id: str
    target: Mapping[str, Any]
    start: datetime
    end: datetime
    may_be_empty: bool

    @property
    def text(self) -> str:
        """The query in words: PromQL, or Lucene with its buckets."""
        if "expr" in self.target:
            return str(self.target["expr"])
        buckets = [f"{bucket['type']}({bucket.get('field', '')})" for bucket in self.target["bucketAggs"]]
        return " | ".join([self.target["query"], *buckets, *(metric["type"] for metric in self.target["metrics"])])


@dataclass(frozen=True)
class Row:
    """What came of a query.

    Attributes:
        found: series of Prometheus, documents of OpenSearch (10,000 at most).
        not_exported: metrics in it that no target exports and no rule records.
    """

    board: str
    panel: str
    ref_id: str
    engine: str
    query: str
    series: int
    points: int
    found: int
    milliseconds: int
    may_be_empty: bool
    error: str
    not_exported: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether the panel shows what it promises; with the good news that it has nothing to show, for those that say so."""
        return not self.error and not self.not_exported and bool(self.may_be_empty or (self.points and self.found))


def asked(folder: Path = FOLDER, now: datetime | None = None) -> Iterator[Asked]:
    """Every query of the folder's boards, at the time range that each opens with, and of its alert rules."""
    now = now or datetime.now(UTC)
    library = {element["uid"]: element for element in _read(folder / "library_panels")}
    for board in _read(folder / "dashboards"):
        silent = {panel["id"]: _silent(panel, library) for panel in board["panels"]}
        for query in panels(board, library):
            if query.kind == "panel":
                start, end = (datetime.fromtimestamp(moment / 1000, UTC) for moment in (query.times.start, query.times.end))
                yield Asked(board["title"], query.panel_title, query.ref_id, query.target, start, end, silent[query.panel])
    for group in _read(folder / "rule_groups"):
        for entry in rule_queries(group, now=now):
            if entry.source.kind == "server":
                # Ten minutes of logs may well have no error, above all by night; the sample has some in every day.
                seconds = entry.start if "expr" in entry.target else max(entry.start, 86_400)
                start, end = now - timedelta(seconds=seconds), now - timedelta(seconds=entry.end)
                yield Asked(f"alert rules {group['title']}", entry.rule_title, entry.ref_id, entry.target, start, end, may_be_empty=False)


def _read(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.rglob("*.json")):
        yield json.loads(path.read_text())


def _silent(panel: Mapping[str, Any], library: Mapping[str, Any]) -> bool:
    """A panel that may be empty says what that means, in the text that it shows instead of values."""
    model = library[panel["libraryPanel"]["uid"]]["model"] if "libraryPanel" in panel else panel
    return bool(model.get("fieldConfig", {}).get("defaults", {}).get("noValue"))


def metrics_of(expression: str) -> set[str]:
    """The metrics that an expression selects.

    Raises:
        ValueError: it is no PromQL.
    """
    names: set[str] = set()

    def visit(node: promql_parser.Expr) -> bool:
        selector = node.vector_selector if isinstance(node, promql_parser.MatrixSelector) else node
        if isinstance(selector, promql_parser.VectorSelector) and selector.name:
            names.add(selector.name)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return names


def exported(prometheus: str, names: set[str]) -> set[str]:
    """Those of the metrics that came from a target or a recording rule within the last five minutes."""
    if not names:
        return set()
    form = {"match[]": f'{{__name__=~"{"|".join(sorted(names))}"}}', "start": str(time.time() - 300)}
    answer = requests.post(f"{prometheus}/api/v1/series", data=form, timeout=30).json()
    return {series["__name__"] for series in answer["data"]}


def prove(questions: Sequence[Asked], prometheus: str, opensearch: OpenSearchAccess) -> tuple[list[Row], dict[str, float]]:
    """Run all queries, and each board's as a browser does, several at once; returns the seconds that each board took."""
    known = exported(prometheus, {name for one in questions if "expr" in one.target for name in metrics_of(one.target["expr"])})

    def ask(one: Asked) -> Row:
        answer = run(one.target, one.start, one.end, prometheus=prometheus, opensearch=opensearch)
        names = metrics_of(one.target["expr"]) if "expr" in one.target else set()
        return Row(
            one.board,
            one.panel,
            one.ref_id,
            one.target["datasource"]["type"].replace("grafana-opensearch-datasource", "opensearch"),
            one.text,
            len(answer.frames),
            answer.points,
            answer.found,
            round(answer.seconds * 1000),
            one.may_be_empty,
            answer.error,
            tuple(sorted(names - known - OF_PROMETHEUS)),
        )

    rows, seconds = [], {}
    for board in dict.fromkeys(one.board for one in questions):
        began = time.perf_counter()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            rows += pool.map(ask, [one for one in questions if one.board == board])
        seconds[board] = time.perf_counter() - began
    return rows, seconds


def markdown(rows: Sequence[Row], seconds: Mapping[str, float]) -> str:
    """The table."""
    lines = ["| board | panel | query | series | points | ms | |", "| --- | --- | --- | ---: | ---: | ---: | --- |"]
    for row in rows:
        verdict = "" if row.good else row.error or f"not exported: {', '.join(row.not_exported)}" if row.not_exported else "EMPTY"
        verdict = "empty, which is good news" if row.good and not row.points else verdict
        query = row.query.replace("|", "\\|")
        lines.append(
            f"| {row.board} | {row.panel} {row.ref_id} | `{query}` | {row.series} | {row.points} | {row.milliseconds} | {verdict} |"
        )
    lines += ["", *(f"- {board}: {spent:.2f} s, {AT_ONCE} queries at once" for board, spent in seconds.items())]
    return "\n".join(lines) + "\n"


def engines_of(stack: Installation) -> tuple[str, OpenSearchAccess]:
    """The stack's Prometheus, and its OpenSearch as the user who reads logs and may do nothing else."""
    opensearch = f"https://{HOST}:{stack.ports['opensearch']}"
    access = OpenSearchAccess(
        opensearch, "log_reader", stack.secrets["OPENSEARCH_READER_PASSWORD"], str(stack.etc / "opensearch" / "ca.pem")
    )
    return f"http://{HOST}:{stack.ports['prometheus']}", access


def main() -> int:
    """Prove the installation of STATE and PORT_OFFSET."""
    stack = Installation(Path(os.environ.get("STATE") or REPO / "var").resolve(), int(os.environ.get("PORT_OFFSET") or 0))
    rows, seconds = prove(list(asked()), *engines_of(stack))
    text = markdown(rows, seconds)
    sys.stdout.write(text)
    (stack.state / "panels.md").write_text(text)
    (stack.state / "panels.json").write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    bad = [row for row in rows if not row.good]
    sys.stdout.write(f"{len(rows)} queries, {len(rows) - len(bad)} as promised\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
