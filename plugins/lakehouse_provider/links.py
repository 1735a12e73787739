"""Links on a task: to the page where its result can be seen, and to the runbook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink, BaseXCom, conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

RESULT_URL = "result_url"


class ResultLink(BaseOperatorLink):
    """The service's own page for what the task made; the operator pushes it as `result_url`."""

    name = "Result"

    @property
    def xcom_key(self) -> str:
        """Where the link is kept."""
        return RESULT_URL

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """What was pushed; reading it back keeps it, because Airflow writes this method's result over the key."""
        value = BaseXCom.get_value(ti_key=ti_key, key=RESULT_URL)  # type: ignore[arg-type]  # Airflow's own two names for one thing
        return str(value) if value else ""


class RunbookLink(BaseOperatorLink):
    """The runbook of the task's DAG, served behind the login."""

    name = "Runbook"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """Its address on this Airflow."""
        return runbook_url(ti_key.dag_id)


def runbook_url(dag_id: str) -> str:
    """The address of a DAG's runbook."""
    base = str(conf.get("api", "base_url", fallback="")).rstrip("/")
    return f"{base}/lakehouse/runbooks/{dag_id}"
