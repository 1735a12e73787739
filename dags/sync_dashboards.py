"""# sync_dashboards
Brings Superset and Grafana to what `include/dashboards/` says: plans, keeps a backup of what will be touched, writes only what differs,
reads it back, and asks every chart and panel for its data. Superset's charts are run as a user of the role the board is meant for. Nothing
changed means that nothing is written. What a person edited in the pages since the last apply is reported and left alone. What was taken
out of the files is listed; with the param `prune` a person is asked (Required Actions in the Airflow UI) and then it is removed.

Without the connection `lakehouse_grafana` the task `grafana` is skipped, and says so.

**Inputs**: the files, and the tables, metrics and logs that the charts draw. **Output**: boards, roles, row-level security, data sources,
alerts, and the asset `dashboards`.

**On call**: the error names the chart and what the service said of it. Clear the task once its table has data. A board that got worse comes
back with the param `restore`. Old failures may be ignored once a later run is green.
Runbook: [sync_dashboards](/lakehouse/runbooks/sync_dashboards)
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, TriggerRule, get_current_context, task

from dags._policy import DASHBOARDS_POOL, START_DATE, default_args, on_call
from include.assets import DAILY_OPTION_SUMMARY, DASHBOARDS, GRAFANA_FOLDER, SUPERSET_FOLDER, Tag
from lakehouse_provider.operators.grafana import GrafanaPruneOperator, GrafanaSyncOperator
from lakehouse_provider.operators.superset import SupersetPruneOperator, SupersetSyncOperator


@task.short_circuit(trigger_rule=TriggerRule.NONE_FAILED)
def anything_to_prune(*synced: dict[str, Any] | None) -> list[str]:
    """Nobody is asked unless the param says so and something of ours is in no file any more."""
    orphaned = [key for one in synced if one for key in one["orphaned"]]
    return orphaned if get_current_context()["params"]["prune"] else []


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
            pattern=r"^(superset|grafana)/\d{8}T\d{6}\.\d{6}Z$",
            description="Bring back the objects of this backup, such as superset/20261123T040000.123456Z, instead of applying the files; "
            "the log of the run that took it has its name",
        ),
        "prune": Param(False, type="boolean", description="Ask to remove what we once applied and no file has any more"),
        "prune_limit": Param(
            10, type="integer", minimum=1, maximum=1_000, description="Remove nothing from a service where there is more than this"
        ),
    },
    **on_call(DASHBOARDS.name, late_after=timedelta(minutes=30), waits_for_people="prune"),
    default_args=default_args(),
):
    superset = SupersetSyncOperator(
        task_id="superset",
        folder=SUPERSET_FOLDER,
        overwrite_drift="{{ params.overwrite_drift }}",
        restore="{{ params.restore or '' }}",
        inlets=[DAILY_OPTION_SUMMARY],
        outlets=[DASHBOARDS],
        pool=DASHBOARDS_POOL,
    )
    grafana = GrafanaSyncOperator(
        task_id="grafana",
        folder=GRAFANA_FOLDER,
        optional=True,
        overwrite_drift="{{ params.overwrite_drift }}",
        restore="{{ params.restore or '' }}",
        pool=DASHBOARDS_POOL,
    )
    approve_prune = ApprovalOperator(
        task_id="approve_prune",
        subject="Remove {{ ti.xcom_pull(task_ids='anything_to_prune') | length }} objects that no file has any more?",
        body="Superset: {{ (ti.xcom_pull(task_ids='superset') or {}).get('plan', 'not synced') }}\n\n"
        "Grafana: {{ (ti.xcom_pull(task_ids='grafana') or {}).get('plan', 'not synced') }}",
        # Nobody answered is no.
        response_timeout=timedelta(days=1),
        defaults=ApprovalOperator.REJECT,
    )
    prune_superset = SupersetPruneOperator(
        task_id="prune_superset",
        folder=SUPERSET_FOLDER,
        synced=superset.output,
        limit="{{ params.prune_limit }}",
        pool=DASHBOARDS_POOL,
    )
    prune_grafana = GrafanaPruneOperator(
        task_id="prune_grafana",
        folder=GRAFANA_FOLDER,
        synced=grafana.output,
        limit="{{ params.prune_limit }}",
        pool=DASHBOARDS_POOL,
    )
    anything_to_prune(superset.output, grafana.output) >> approve_prune >> [prune_superset, prune_grafana]
