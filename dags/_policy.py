"""What all DAGs have in common: owner, retries by error class, time limits, deadlines, who is told, pools."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import AsyncCallback, DeadlineAlert, ExceptionRetryPolicy, RetryAction, RetryRule

from include.assets import DOWNSTREAM, SILENCES
from lakehouse_provider.deadlines import RunQueuedAt
from lakehouse_provider.notifiers import ReportFailure, SettleIncidents, report_deadline
from lakehouse_provider.params import refuse_unknown_params

# Nothing is caught up: a day that is missing is written by hand or by a backfill.
START_DATE = datetime(2026, 1, 1)  # Airflow reads it in its default time zone, UTC

# Of our own errors only what can heal by waiting is tried again; a wrong password, mapping or bucket fails at once. Errors of
# libraries that reach Airflow as they are (Spark's, Trino's, PyIceberg's) follow `retries`.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception="lakehouse.exceptions.TransientError", action=RetryAction.RETRY, retry_delay=timedelta(seconds=30)),
        RetryRule(exception="lakehouse.exceptions.LakehouseError", action=RetryAction.FAIL, reason="waiting does not heal this"),
    ]
)

# Set it for `airflow dags test` and `dag.test()`: in Airflow 3.3 these fail at the end of a DAG that has a deadline.
WITHOUT_DEADLINES = "LAKEHOUSE_WITHOUT_DEADLINES"

SPARK_POOL = "spark"
TRINO_POOL = "trino"
DECODE_POOL = "decode"
SHIP_POOL = "ship"
DASHBOARDS_POOL = "dashboards"


def default_args(**changes: Any) -> dict[str, Any]:
    """Default arguments of a DAG's tasks."""
    return {
        "owner": "data-platform",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_policy": RETRY_POLICY,
        "execution_timeout": timedelta(minutes=30),
        "pre_execute": refuse_unknown_params,
        "on_failure_callback": ReportFailure(downstream=DOWNSTREAM, silences=str(SILENCES)),
        "on_retry_callback": ReportFailure(downstream=DOWNSTREAM, silences=str(SILENCES), retry=True),
    } | changes


def on_call(
    key: str, *, late_after: timedelta | None = None, calendar: str | None = None, waits_for_people: str | None = None
) -> dict[str, Any]:
    """Arguments of a DAG: its incidents, and how long a run may take.

    Args:
        key: what the DAG makes, else its own name: the key of its incidents.
        late_after: from being queued to its end. At half of that an incident is opened as a warning, which tells nobody yet.
        calendar: exchange on whose holidays and weekends nobody waits for the run.
        waits_for_people: a param with which the run waits for an answer, so that it is late for nobody.
    """
    deadlines = []
    for breach, share in ((False, 0.5), (True, 1.0)):
        if late_after is not None and not os.environ.get(WITHOUT_DEADLINES):
            what = {"key": key, "breach": breach, "late_after": f"{round(late_after.total_seconds() * share / 60)} minutes"}
            who = {"affected": DOWNSTREAM.get(key), "calendar": calendar, "waits_for_people": waits_for_people, "silences": str(SILENCES)}
            callback = AsyncCallback(report_deadline, kwargs=what | who)
            name = "late" if breach else "early warning"
            deadlines.append(DeadlineAlert(RunQueuedAt(), late_after * share, callback, name=name))
    return {
        # The DAG's own speaks only where no task could, because its worker was killed.
        "on_failure_callback": ReportFailure(downstream=DOWNSTREAM, silences=str(SILENCES)),
        "on_success_callback": SettleIncidents(),
        "deadline": deadlines or None,
    }
