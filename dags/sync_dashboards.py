"""# sync_dashboards
Brings Superset to what `include/dashboards/superset/` says: plans, keeps a backup of what will be touched, writes only what differs, reads
it back, and runs every chart as a user of the role the board is meant for. Nothing changed means that nothing is written. What a person
edited in Superset's pages since the last apply is reported and left alone. What was taken out of the files is listed; with the param
`prune` a person is asked (Required Actions in the Airflow UI) and then it is removed.

**Inputs**: the files, and the tables that the charts draw. **Output**: boards, roles, row-level security, alerts, and the asset
`dashboards`.

**On call**: the error names the chart and what Superset said of it. Clear the task once its table has data. A board that got worse comes
back with the param `restore`. Old failures may be ignored once a later run is green.
Runbook: [sync_dashboards](/lakehouse/runbooks/sync_dashboards)
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, get_current_context, task

from dags._policy import DASHBOARDS_POOL, START_DATE, default_args
from include.assets import DAILY_OPTION_SUMMARY, DASHBOARDS, SUPERSET_FOLDER, Tag
from lakehouse_provider.operators.dashboards import SupersetPruneOperator, SupersetSyncOperator


@task.short_circuit
def anything_to_prune(synced: dict[str, Any]) -> bool:
    """Nobody is asked unless the param says so and something of ours is in no file any more."""
    return bool(get_current_context()["params"]["prune"] and synced["orphaned"])


with DAG(
    "sync_dashboards",
    doc_md=__doc__,
    schedule=[DAILY_OPTION_SUMMARY],
    start_date=START_DATE,
    tags=[Tag.DASHBOARDS],
    # The pool lets one write at a time; a run that waits for an answer must not hold up the next ones.
    max_active_runs=4,
    params={
        "overwrite_drift": Param(
            False, type="boolean", description="Write the files over what people edited in the UI since the last apply; a backup is kept"
        ),
        "restore": Param(
            None,
            type=["null", "string"],
            pattern=r"^\d{8}T\d{6}\.\d{6}Z$",
            description="Bring back the objects of this backup instead of applying the files; the log of the run that took it has its name",
        ),
        "prune": Param(False, type="boolean", description="Ask to remove what we once applied and no file has any more"),
        "prune_limit": Param(10, type="integer", minimum=1, maximum=1_000, description="Remove nothing when there is more than this"),
    },
    default_args=default_args(),
):
    superset = SupersetSyncOperator(
        task_id="superset",
        folder=SUPERSET_FOLDER,
        overwrite_drift="{{ params.overwrite_drift }}",
        restore="{{ params.restore or '' }}",
        outlets=[DASHBOARDS],
        pool=DASHBOARDS_POOL,
    )
    approve_prune = ApprovalOperator(
        task_id="approve_prune",
        subject="Remove {{ ti.xcom_pull(task_ids='superset')['orphaned'] | length }} objects from Superset that no file has any more?",
        body="{{ ti.xcom_pull(task_ids='superset')['plan'] }}",
        # Nobody answered is no.
        response_timeout=timedelta(days=1),
        defaults=ApprovalOperator.REJECT,
    )
    prune = SupersetPruneOperator(
        task_id="prune",
        folder=SUPERSET_FOLDER,
        synced=superset.output,
        limit="{{ params.prune_limit }}",
        pool=DASHBOARDS_POOL,
    )
    anything_to_prune(superset.output) >> approve_prune >> prune
