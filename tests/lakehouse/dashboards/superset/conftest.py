"""A small export that Superset would take, as texts, so that tests can say in which line they break it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lakehouse.dashboards.findings import Finding
from lakehouse.dashboards.superset.lint import lint

DATABASE = "f31fa92f-0000-4000-8000-000000000001"
DATASET = "f31fa92f-0000-4000-8000-000000000002"
CHART = "f31fa92f-0000-4000-8000-000000000003"
BOARD = "f31fa92f-0000-4000-8000-000000000004"
OTHER = "f31fa92f-0000-4000-8000-000000000009"
FILES = {
    "databases/lake.yaml": f"""\
database_name: Lake
sqlalchemy_uri: trino://superset@127.0.0.1:8080/lake
extra:
  allows_virtual_table_explore: true
uuid: {DATABASE}
version: 1.0.0
""",
    "datasets/lake/ticks.yaml": f"""\
table_name: recent_ticks
main_dttm_col: at
schema: ticks_db
catalog: lake
sql: |
  SELECT at, symbol,
    volume
  FROM ticks_db.ticks
metrics:
- metric_name: volume
  expression: SUM(volume)
columns:
- column_name: at
  is_dttm: true
- column_name: symbol
- column_name: volume
- column_name: big
  expression: volume > 1000
database_uuid: {DATABASE}
uuid: {DATASET}
version: 1.0.0
""",
    "charts/volume.yaml": f"""\
slice_name: Volume
viz_type: pie
params:
  viz_type: pie
  groupby:
  - symbol
  metric: volume
  adhoc_filters:
  - clause: WHERE
    expressionType: SIMPLE
    subject: at
    operator: TEMPORAL_RANGE
    comparator: Last week
query_context: '{{"queries": [{{"columns": ["symbol"], "metrics": ["volume"]}}]}}'
uuid: {CHART}
version: 1.0.0
dataset_uuid: {DATASET}
""",
    "dashboards/board.yaml": f"""\
dashboard_title: Board
slug: board
position:
  DASHBOARD_VERSION_KEY: v2
  ROOT_ID:
    type: ROOT
    id: ROOT_ID
    children: [GRID_ID]
  GRID_ID:
    type: GRID
    id: GRID_ID
    children: [CHART-a]
    parents: [ROOT_ID]
  CHART-a:
    type: CHART
    id: CHART-a
    children: []
    parents: [ROOT_ID, GRID_ID]
    meta:
      uuid: {CHART}
      sliceName: Volume
metadata:
  native_filter_configuration:
  - id: NATIVE_FILTER-a
    name: Symbol
    filterType: filter_select
    targets:
    - datasetUuid: {DATASET}
      column:
        name: symbol
uuid: {BOARD}
version: 1.0.0
""",
}

Lint = Callable[..., list[Finding]]


@pytest.fixture
def broken(tmp_path: Path) -> Lint:
    """Lints the export with one text in one file replaced, or a file of other content (None: without it)."""

    def lint_it(name: str = "", old: str = "", new: str | None = "", files: Mapping[str, str] = FILES, **options: object) -> list[Finding]:
        texts: dict[str, str | None] = dict(files)
        if name and old:
            assert old in files[name], f"{old!r} is not in {name}"
            texts[name] = files[name].replace(old, new or "", 1)
        elif name:
            texts[name] = new
        for path, text in texts.items():
            if text is not None:
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / path).write_text(text)
        return lint(tmp_path, **options)

    return lint_it


def said(findings: list[Finding]) -> list[str]:
    """Findings as `file:line rule`, notes left out."""
    return [f"{finding.path.rsplit('/', 1)[-1]}:{finding.line} {finding.rule}" for finding in findings if finding.severity != "note"]
