"""The shipping operators in somebody's own DAG: one task alone, or planned, mapped over parts and reconciled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from airflow.sdk import Asset
from pyiceberg.catalog import Catalog

from lakehouse.contracts import load
from lakehouse.exceptions import ConfigurationError, RefusedThresholdError, ServiceError
from lakehouse.iceberg import schema as schemas
from lakehouse.iceberg.table import ensure_table
from lakehouse.opensearch.target import Target
from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook
from lakehouse_provider.operators.opensearch import DeleteOldIndicesOperator
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
    assert run.extra.items() >= {"rows": 5, "rows_read": 5, "to_snapshot_id": made.head(), "number": 1, "lag_rows": 0}.items()
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


@pytest.mark.fault(25)
def test_another_table_without_a_key_goes_to_other_indices(made: Logs, options: dict[str, Any], tmp_path: Path) -> None:
    """Nothing of the engine knows the logs: this is the generic operator with a contract, a pattern and a template of somebody else's."""
    table, prefix = f"test_db.{made.name}_ticks", f"logs-{made.name}-ticks-"
    file = tmp_path / "ticks.odcs.yaml"
    odd = """it's "odd"; DROP TABLE ticks; --"""
    described = yaml.safe_load((REPO / "include" / "contracts" / "collected_option_ticks.odcs.yaml").read_text())
    described["schema"][0] |= {"name": table.partition(".")[2], "physicalName": table}
    next(column for column in described["schema"][0]["properties"] if column["name"] == "source_file")["name"] = odd
    file.write_text(yaml.safe_dump(described))
    template = tmp_path / "ticks.json"
    fields = {
        "timestamp": {"type": "date"},
        "ingest_time": {"type": "date"},
        "symbol": {"type": "keyword"},
        "last_price": {"type": "double"},
    }
    body = {"index_patterns": [f"{prefix}*"], "priority": 901, "template": {"mappings": {"properties": fields}}}
    template.write_text(json.dumps(body))
    target = Target(prefix=prefix, event_time="timestamp", template=template)
    contract = load(file)
    rows = [
        {"timestamp": NOW, "symbol": symbol, "last_price": 1.5, "volume": 2**53 + 1, "ingest_time": NOW, odd: "'; --"}
        for symbol in ("SPY25C400", "SPY25C400", "QQQ25P300")
    ]
    ensure_table(made.catalog, contract).append(pa.Table.from_pylist(rows, schema=schemas.schema(contract).as_arrow()))
    with pytest.raises(ConfigurationError, match=r"ticks\.json: map snapshot_id as keyword; what a run indexed is found by it"):
        IcebergToOpenSearchOperator(task_id="ship", contract=file, target=target).execute(Run().context())
    fields["snapshot_id"] = {"type": "keyword"}
    template.write_text(json.dumps(body))
    made.admin.request("PUT", f"/_index_template/{made.name}-ticks", json=body)
    try:
        facts = IcebergToOpenSearchOperator(task_id="ship", contract=file, target=target).execute(Run().context())
        made.admin.refresh(target.pattern)
        hits = made.admin.request("POST", f"/{target.pattern}/_search", json={"size": 10}).json()["hits"]["hits"]
    finally:
        made.admin.request("DELETE", f"/_index_template/{made.name}-ticks")
    # Two identical rows of a table without a key are one document, and counted as such.
    assert (facts["rows_read"], facts["indexed"], facts["already_there"], facts["same_id"]) == (3, 2, 1, 1)
    assert sorted(hit["_source"]["symbol"] for hit in hits) == ["QQQ25P300", "SPY25C400"]
    assert {hit["_index"] for hit in hits} == {f"{prefix}{NOW:%Y.%m.%d}"}
    assert {(hit["_source"]["volume"], hit["_source"][odd]) for hit in hits} == {(2**53 + 1, "'; --")}


def test_indices_older_than_the_contract_keeps_are_deleted_by_the_identity_that_may_only_do_that(
    made: Logs, options: dict[str, Any]
) -> None:
    made.append([NOW, NOW - timedelta(days=29)])
    made.ship()
    old = [made.index(NOW - timedelta(days=days)) for days in (31, 40)]
    for index in [*old, f"logs-{made.name}-of.somebody"]:
        made.admin.request("PUT", f"/{index}")
    delete = {"task_id": "delete", **options}
    assert DeleteOldIndicesOperator(only_say=True, **delete).execute(Run().context()) == sorted(old)
    with pytest.raises(ConfigurationError, match=r"2 indices of .* at most 1 are deleted in one run: is the worker's clock right"):
        DeleteOldIndicesOperator(max_indices=1, **delete).execute(Run().context())
    assert DeleteOldIndicesOperator(**delete).execute(Run().context()) == sorted(old)
    left = made.admin.request("GET", f"/{made.target.pattern}/_settings?filter_path=*.settings.index.uuid").json()
    assert sorted(left) == sorted([made.index(), made.index(NOW - timedelta(days=29)), f"logs-{made.name}-of.somebody"])
    may_not_read = LakehouseOpenSearchHook("lakehouse_opensearch_retention").client
    with pytest.raises(ServiceError, match="403"):
        may_not_read.request("GET", f"/{made.index()}/_search")


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
