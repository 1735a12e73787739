"""# act_on_incident
Someone takes an open incident, or closes one that no success will close, such as that of a DAG which was removed. Airflow keeps who it was.

**Input**: the number of the incident, from its message or from the on-call page. **Output**: the incident in PostgreSQL (`lakehouse_ops`).

**On call**: a taken incident stays open until the failed DAG or check succeeds; taking it sends nothing. Failures of this DAG may be
ignored, they change nothing.
Runbook: [act_on_incident](/lakehouse/runbooks/act_on_incident)
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from dags._policy import START_DATE, default_args
from include.assets import Tag
from lakehouse_provider.operators.incidents import ActOnIncidentOperator

with DAG(
    "act_on_incident",
    doc_md=__doc__,
    schedule=None,
    start_date=START_DATE,
    tags=[Tag.OPERATIONS],
    params={
        "incident": Param(type="integer", minimum=1, description="Number of the incident: in its message, and on the on-call page"),
        "action": Param(
            "acknowledge", enum=["acknowledge", "close"], description="acknowledge: you are on it. close: no success will close it"
        ),
        "note": Param("", type="string", maxLength=400, description="What you do about it, for those who look next"),
    },
    # Who triggers it sees that it failed; nobody is woken up by a mistyped number.
    default_args=default_args(on_failure_callback=None, on_retry_callback=None),
):
    ActOnIncidentOperator(
        task_id="act", incident="{{ params.incident }}", action="{{ params.action }}", note="{{ params.note }}", retries=0
    )
