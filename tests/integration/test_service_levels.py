"""Service levels of the pipeline, and a simulated month through the SQL of the board."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
import yaml
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow

from lakehouse.contracts import load
from lakehouse.iceberg.table import ensure_table
from lakehouse.ops.tables import CONTRACTS
from stack.installation import REPO, Installation
from stack.report import query

pytestmark = pytest.mark.integration
DATASET = REPO / "include" / "dashboards" / "superset" / "datasets" / "lakehouse" / "service_level_attainment.yaml"


def test_every_level_of_the_file_is_measured_by_the_pipeline_and_every_promise_of_a_contract(pipeline: dict[str, Any]) -> None:
    levels = {level["name"]: level for level in pipeline["service_levels"]}
    named = {entry["name"] for entry in yaml.safe_load((REPO / "include" / "service_levels.yaml").read_text())["service_levels"]}
    # There is no Grafana on this machine: that level is left out, not missed.
    assert levels.keys() >= (named - {"grafana_dashboard"}) | {"fresh logs_db.raw_logs", "fresh option_ticks_db.bronze_option_ticks"}
    assert "grafana_dashboard" not in levels
    assert {name: level for name, level in levels.items() if level["met"] is None} == {}


def test_a_month_says_how_much_was_attained_and_what_is_left_of_the_budget(stack: Installation, catalog: Catalog, fresh_name: str) -> None:
    """30 days, two measurements a day: quick meets all, slow misses 6 of 60 (objective 95 %: 3 allowed), down is not measured 10 times."""
    contract = load(CONTRACTS / "service_level_events.odcs.yaml")
    name = f"test_db.{fresh_name}"
    catalog.create_namespace_if_not_exists("test_db")
    table = ensure_table(catalog, replace(contract, table=name))
    first, rows = datetime(2026, 10, 1, tzinfo=UTC), []
    for number in range(60):
        at = first + timedelta(hours=12 * number)
        plain = {"run_id": "r", "target": 10.0, "unit": "s", "objective": 0.95, "measured_at": at, "detail": ""}
        slow = 11.0 if number % 10 == 0 else 1.0
        rows += [
            plain | {"name": "quick", "measured": 1.0, "met": True},
            plain | {"name": "slow", "measured": slow, "met": slow < 10},
            plain | {"name": "down", "measured": None if number < 10 else 1.0, "met": None if number < 10 else True},
        ]
    table.append(pa.Table.from_pylist(rows, schema=schema_to_pyarrow(table.schema(), include_field_ids=False)))
    sql = yaml.safe_load(DATASET.read_text())["sql"].replace("ops_db.service_level_events", f"hive_prod.{name}")
    found = {row[1]: row[2:] for row in query(stack, f"SELECT * FROM ({sql})")}
    catalog.drop_table(name)
    # measured, missed, not measured, objective, attainment, budget left
    assert found["quick"] == [60, 0, 0, 0.95, 1.0, 1.0]
    assert found["slow"][:5] == [60, 6, 0, 0.95, 0.9]
    assert found["slow"][5] == pytest.approx(-1.0)
    assert found["down"][:5] == [50, 0, 10, 0.95, 1.0]
