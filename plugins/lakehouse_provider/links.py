"""Links on a task: to the page where its result can be seen, and to the runbook."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseHook, BaseOperatorLink, BaseXCom, conf
from airflow.sdk.exceptions import AirflowNotFoundException

from lakehouse_provider.hooks.extras import public_url

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

# In the wheel they lie beside this file, in a checkout under docs/.
RUNBOOKS = (Path(__file__).parent / "runbooks", Path(__file__).resolve().parents[2] / "docs" / "runbooks")
_RUNBOOK = re.compile(r"[a-z][a-z0-9_]*")
RESULT_URL = "result_url"
REFUSED_URL = "refused_url"
FAILED_ROWS_URL = "failed_rows_url"


class _PushedLink(BaseOperatorLink):
    """A link whose address the operator pushes as an XCom."""

    key = ""

    @property
    def xcom_key(self) -> str:
        """Where the link is kept."""
        return self.key

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """What was pushed; reading it back keeps it, because Airflow writes this method's result over the key."""
        value = BaseXCom.get_value(ti_key=ti_key, key=self.key)  # type: ignore[arg-type]  # Airflow's own two names for one thing
        return str(value) if value else ""


class ResultLink(_PushedLink):
    """The service's own page for what the task made."""

    name = "Result"
    key = RESULT_URL


class RefusedLink(_PushedLink):
    """The board with what was refused."""

    name = "Refused rows"
    key = REFUSED_URL


class FailedRowsLink(_PushedLink):
    """The board with a few of the rows that break a check."""

    name = "Failed rows"
    key = FAILED_ROWS_URL


class RunbookLink(BaseOperatorLink):
    """The runbook of the task's DAG, served behind the login."""

    name = "Runbook"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """Its address on this Airflow; "" for a DAG that has none, because the link stands on everybody's tasks."""
        return runbook_url(ti_key.dag_id) if has_runbook(ti_key.dag_id) else ""


def operations_url(superset_conn_id: str, table: str = "") -> str:
    """Superset's operations board, filtered to a table if one is given; "" where there is no Superset or no public address."""
    superset = _address(superset_conn_id)
    if not table:
        return f"{superset}/superset/dashboard/lakehouse-operations/" if superset else ""
    # Superset's native filters in RISON, under the filter's id in include/dashboards/superset/dashboards/lakehouse_operations.yaml.
    name, value = "NATIVE_FILTER-table", table.replace("!", "!!").replace("'", "!'")
    chosen = f"(extraFormData:(filters:!((col:table_name,op:IN,val:!('{value}')))),filterState:(value:!('{value}')),id:{name})"
    return f"{superset}/superset/dashboard/lakehouse-operations/?native_filters={quote(f'({name}:{chosen})')}" if superset else ""


def gallery_url(gallery_conn_id: str, days: Sequence[str]) -> str:
    """The gallery, filtered to upload days; "" where there is none, or nobody said how browsers reach it."""
    gallery = _address(gallery_conn_id)
    return f"{gallery}/?from={days[0]}&to={days[-1]}" if gallery and days else gallery


def _address(conn_id: str) -> str:
    """How browsers reach what a connection leads to; "" where there is no such connection, or it does not say."""
    try:
        return public_url(BaseHook.get_connection(conn_id))
    except AirflowNotFoundException:
        return ""


def runbook_url(dag_id: str) -> str:
    """The address of a DAG's runbook."""
    return f"{airflow_url()}/lakehouse/runbooks/{dag_id}"


def has_runbook(dag_id: str) -> bool:
    """Whether there is a runbook of that name: beside the package in the wheel, under docs/ in a checkout."""
    return bool(_RUNBOOK.fullmatch(dag_id)) and any((place / f"{dag_id}.md").exists() for place in RUNBOOKS)


def airflow_url() -> str:
    """The address that browsers reach Airflow by; "" where its configuration does not say."""
    return str(conf.get("api", "base_url", fallback="")).rstrip("/")
