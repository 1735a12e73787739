"""# ship_logs
Ships the rows that `logs_db.raw_logs` gained since the last shipment to the daily indices `logs-YYYY.MM.DD`. Every row is accounted for:
`rows read = indexed + already there + refused`; the cursor in `ops_db.shipments` moves only then. Large windows are shipped in parts by
several workers, and `reconcile` adds them up. Templates, roles and users of OpenSearch are compared with `include/opensearch/` first.

**Input**: `logs_db.raw_logs`. **Outputs**: `logs-*`, `ops_db.shipments`, `ops_db.refused_records`, and the asset `opensearch_logs`.

**On call**: clear the failed task; documents that are there stay as they are. When the history of the table has changed, trigger the DAG
with the param `resync`, first as "dry run", then as "send". Old failures may be ignored once a later run is green.
Runbook: [ship_logs](/lakehouse/runbooks/ship_logs)
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from dags._policy import SHIP_POOL, START_DATE, default_args, on_call
from include.assets import OPENSEARCH_LOGS, RAW_LOGS, Tag, contract
from include.logs import LOGS, OPENSEARCH
from lakehouse_provider.operators.opensearch import EnsureOpenSearchOperator
from lakehouse_provider.operators.shipping import IcebergToOpenSearchOperator, PlanShipmentOperator, ReconcileShipmentOperator
from lakehouse_provider.operators.tables import EnsureTablesOperator

CONTRACT = contract("raw_logs")

with DAG(
    "ship_logs",
    doc_md=__doc__,
    schedule=[RAW_LOGS],
    start_date=START_DATE,
    tags=[Tag.TIER_2],
    max_active_runs=1,
    params={
        "resync": Param(
            "no",
            enum=["no", "dry run", "send"],
            description="Ship rows again by their ids, whatever was shipped before. dry run: only count what is there and what is missing. "
            "send: send all; documents that are there stay as they are",
        ),
        "from_day": Param(None, type=["null", "string"], format="date", description="Resync: first event day (UTC); empty: all"),
        "to_day": Param(
            None, type=["null", "string"], format="date", description="Resync: last event day; with any day the cursor stays where it is"
        ),
    },
    **on_call(OPENSEARCH_LOGS.name, late_after=timedelta(minutes=30)),
    default_args=default_args(),
):
    plan = PlanShipmentOperator(
        task_id="plan",
        contract=CONTRACT,
        target=LOGS,
        resync="{{ params.resync }}",
        from_day="{{ params.from_day or '' }}",
        to_day="{{ params.to_day or '' }}",
    )
    ship = IcebergToOpenSearchOperator.partial(task_id="ship", contract=CONTRACT, target=LOGS, pool=SHIP_POOL).expand(part=plan.output)
    reconcile = ReconcileShipmentOperator(
        task_id="reconcile",
        contract=CONTRACT,
        target=LOGS,
        planned=plan.output,
        counts=ship.output,
        inlets=[RAW_LOGS],
        outlets=[OPENSEARCH_LOGS],
        trigger_rule="none_failed",
    )
    EnsureTablesOperator(task_id="ensure_table", contracts=[CONTRACT]) >> plan
    EnsureOpenSearchOperator(task_id="ensure_opensearch", folder=OPENSEARCH) >> plan
    ship >> reconcile
