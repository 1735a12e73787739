"""# redrive_refused
Sends log lines again that OpenSearch refused, once the cause is cured: by reason, by shipment, or all that are open. The first task is a
dry run: it counts what is ready, what would be refused again and what is gone from `logs_db.raw_logs`. Then a person approves (Required
Actions in the Airflow UI), and only then `redrive` reads the rows anew and sends them. Each outcome is noted in `ops_db.redrives`.

**Inputs**: `ops_db.refused_records`, `logs_db.raw_logs`. **Outputs**: `logs-*`, `ops_db.redrives`.

**On call**: nothing here runs by itself. Clearing a failed `redrive` is safe: documents that are there stay as they are.
Runbook: [redrive_refused](/lakehouse/runbooks/redrive_refused)
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, task

from dags._policy import START_DATE, default_args, on_call
from include.assets import Tag, contract
from include.logs import LOGS
from lakehouse_provider.operators.refused import FindRefusedOperator, RedriveRefusedOperator
from lakehouse_provider.operators.tables import EnsureTablesOperator

CONTRACT = contract("raw_logs")


@task.short_circuit
def anything_ready(found: dict[str, Any]) -> bool:
    """Nobody is asked when no row would go through."""
    return bool(found["ready"])


with DAG(
    "redrive_refused",
    doc_md=__doc__,
    schedule=None,
    start_date=START_DATE,
    tags=[Tag.TIER_2, Tag.OPERATIONS],
    max_active_runs=1,
    params={
        "reason": Param(
            None,
            type=["null", "string"],
            maxLength=200,
            description="Only rows refused for this reason class, such as mapper_parsing_exception; empty: all",
        ),
        "shipment": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            description="Only rows of this shipment: its number in ops_db.shipments, and in the column `place`; empty: all",
        ),
    },
    **on_call("redrive_refused"),
    default_args=default_args(),
):
    wanted = {
        "contract": CONTRACT,
        "target": LOGS,
        "reason": "{{ params.reason or '' }}",
        "shipment": "{{ params.shipment or '' }}",
    }
    find = FindRefusedOperator(task_id="find", **wanted)
    approve = ApprovalOperator(
        task_id="approve",
        subject="Send {{ ti.xcom_pull(task_ids='find')['ready'] }} refused log lines again?",
        body="{{ ti.xcom_pull(task_ids='find')['table'] }}",
        # Nobody answered is no.
        response_timeout=timedelta(days=1),
        defaults=ApprovalOperator.REJECT,
    )
    redrive = RedriveRefusedOperator(task_id="redrive", found=find.output, **wanted)
    EnsureTablesOperator(task_id="ensure_table", contracts=[CONTRACT]) >> find
    anything_ready(find.output) >> approve >> redrive
