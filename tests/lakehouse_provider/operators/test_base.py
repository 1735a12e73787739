from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
from airflow.sdk import Asset

from lakehouse_provider.hooks.pushgateway import PushgatewayHook
from lakehouse_provider.operators import base
from lakehouse_provider.operators.base import LakehouseOperator

RAW_LOGS = Asset("raw_logs")
FACTS = {"table": "logs_db.raw_logs", "rows": 90, "committed_at": 1_790_000_000.0, "refused": 2}


@pytest.fixture
def pushed(monkeypatch):
    hook = create_autospec(PushgatewayHook)
    monkeypatch.setattr(base, "PushgatewayHook", hook)
    return hook.return_value.push


@pytest.fixture
def context():
    return {"outlet_events": defaultdict(lambda: SimpleNamespace(extra={}))}


def test_what_a_table_was_told_on_its_asset_prometheus_is_told_too(context, pushed):
    LakehouseOperator(task_id="load", outlets=[RAW_LOGS]).describe_outlets(context, FACTS)
    assert context["outlet_events"][RAW_LOGS].extra == FACTS
    (job, where, figures), _ = pushed.call_args
    assert (job, where) == ("lakehouse_table", {"table": "logs_db.raw_logs"})
    assert {figure.name: figure.value for figure in figures} == {
        "lakehouse_table_snapshot_timestamp_seconds": 1_790_000_000.0,
        "lakehouse_table_rows_written": 90,
        "lakehouse_table_refused": 2,
    }


def test_facts_that_are_of_no_table_go_to_the_asset_alone(context, pushed):
    LakehouseOperator(task_id="sync", outlets=[RAW_LOGS]).describe_outlets(context, {"dashboards": 3})
    assert context["outlet_events"][RAW_LOGS].extra == {"dashboards": 3}
    pushed.assert_not_called()
