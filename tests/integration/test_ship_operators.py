"""The shipping operators in somebody's own DAG: one task alone, or planned, mapped over parts and reconciled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset
from pyiceberg.catalog import Catalog

from lakehouse.exceptions import ConfigurationError, RefusedThresholdError
from lakehouse_provider.operators.shipping import IcebergToOpenSearchOperator, PlanShipmentOperator, ReconcileShipmentOperator
from stack.installation import REPO, Installation
from tests.integration.shipping import NOW, Logs, logs

pytestmark = pytest.mark.integration

ASSET = Asset("shipped_by_a_test")


class Run:
    """As much of a task's context as the operators use."""

    def __init__(self) -> None:
        self.links: dict[str, str] = {}
        self.extra: dict[str, Any] = {}

    def context(self) -> Any:
        return {"ti": self, "outlet_events": {ASSET: self}, "params": {}}

    def xcom_push(self, *, key: str, value: str) -> None:
        self.links[key] = value


@pytest.fixture
def made(catalog: Catalog, stack: Installation, fresh_name: str) -> Iterator[Logs]:
    with logs(catalog, fresh_name) as made:
        yield made


@pytest.fixture
def options(made: Logs, tmp_path: Path) -> dict[str, Any]:
    """What each of the operators is given."""
    text = (REPO / "include" / "contracts" / "raw_logs.odcs.yaml").read_text()
    contract = tmp_path / "contract.odcs.yaml"
    contract.write_text(text.replace("logs_db.raw_logs", made.contract.table))
    return {"contract": contract, "target": made.target}


def test_one_task_alone_ships_what_is_new_and_tells_asset_and_links(made: Logs, options: dict[str, Any]) -> None:
    made.append([NOW] * 5)
    run = Run()
    facts = IcebergToOpenSearchOperator(task_id="ship", outlets=[ASSET], **options).execute(run.context())
    assert (facts["rows_read"], facts["indexed"]) == (5, 5)
    assert len(made.documents()) == 5
    assert run.extra.items() >= {"rows": 5, "rows_read": 5, "to_snapshot_id": made.head(), "lag_rows": 0}.items()
    assert f"snapshot_id%3A{made.head()}" in run.links["result_url"]
    assert "refused_url" not in run.links
    assert IcebergToOpenSearchOperator(task_id="ship", **options).execute(Run().context())["rows_read"] == 0


def test_parts_that_are_planned_are_shipped_one_by_one_and_reconciled(made: Logs, options: dict[str, Any]) -> None:
    for _ in range(3):
        made.append([NOW] * 4)
    parts = PlanShipmentOperator(task_id="plan", max_rows=4, **options).execute(Run().context())
    assert len(parts) == 3
    counts = [IcebergToOpenSearchOperator(task_id="ship", part=part, **options).execute(Run().context()) for part in parts]
    assert [count["indexed"] for count in counts] == [4, 4, 4]
    assert made.numbers_of_shipments() == []
    facts = ReconcileShipmentOperator(task_id="reconcile", planned=parts, counts=counts, **options).execute(Run().context())
    assert (facts["rows_read"], facts["indexed"]) == (12, 12)
    assert made.numbers_of_shipments() == [1]


def test_too_many_refused_rows_fail_the_end_with_reason_and_link_and_the_others_are_shipped(made: Logs, options: dict[str, Any]) -> None:
    made.append([NOW, None])
    run = Run()
    with pytest.raises(RefusedThresholdError, match=r"1 of 2 rows were refused.*no_event_time 1 \(the row has no event time\)"):
        IcebergToOpenSearchOperator(task_id="ship", **options).execute(run.context())
    assert len(made.documents()) == 1
    assert made.contract.table in run.links["refused_url"]
    assert made.numbers_of_shipments() == [1]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"resync": "yes"}, "it can be no, dry run or send"),
        ({"resync": "send", "from_day": "yesterday"}, "write a day as YYYY-MM-DD"),
        ({"from_day": "2026-11-20"}, "days can only be given for a resync"),
    ],
)
def test_params_that_mean_nothing_are_refused(made: Logs, options: dict[str, Any], wrong: dict[str, str], text: str) -> None:
    made.append([NOW])
    with pytest.raises(ConfigurationError, match=text):
        PlanShipmentOperator(task_id="plan", **wrong, **options).execute(Run().context())
