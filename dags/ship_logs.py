"""# ship_logs
Ships the rows that `logs_db.raw_logs` gained since the last shipment to the daily indices `logs-YYYY.MM.DD`. Every row is accounted for:
`rows read = indexed + already there + refused`; the cursor in `ops_db.shipments` moves only then.

**Input**: `logs_db.raw_logs`. **Outputs**: `logs-*`, `ops_db.shipments`, and the asset `opensearch_logs`.

**On call**: clear the failed task; documents that are there stay as they are. When the history of the table has changed, run it with the
param `full`. Old failures may be ignored once a later run is green.
Runbook: [ship_logs](/lakehouse/runbooks/ship_logs)
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG, Param

from dags._policy import START_DATE, default_args
from include.assets import OPENSEARCH_LOGS, RAW_LOGS, Tag, contract
from include.logs import to_document
from lakehouse_provider.operators.logs import IcebergToOpenSearchOperator
from lakehouse_provider.operators.tables import EnsureTablesOperator

CONTRACT = contract("raw_logs")
TEMPLATE = Path(__file__).resolve().parent.parent / "include" / "opensearch" / "logs_template.json"

with DAG(
    "ship_logs",
    doc_md=__doc__,
    schedule=[RAW_LOGS],
    start_date=START_DATE,
    tags=[Tag.TIER_2],
    max_active_runs=1,
    params={"full": Param(False, type="boolean", description="Ship the whole table again; documents that are there stay as they are")},
    default_args=default_args(),
):
    ship = IcebergToOpenSearchOperator(
        task_id="ship", contract=CONTRACT, template=TEMPLATE, to_document=to_document, outlets=[OPENSEARCH_LOGS]
    )
    EnsureTablesOperator(task_id="ensure_table", contracts=[CONTRACT]) >> ship
