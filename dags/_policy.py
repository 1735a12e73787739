"""What all DAGs have in common: owner, retries by error class, time limits, pools."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

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
    } | changes
