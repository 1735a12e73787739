"""When a run's time begins."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from airflow.sdk.definitions.deadline import BaseDeadlineReference


class RunQueuedAt(BaseDeadlineReference):
    """The moment at which a run was queued; works for runs that an asset or a person started too, which have no logical date.

    Airflow's own `DAGRUN_QUEUED_AT` may not be used: in 3.3 no task of a run with such a deadline can be cleared (apache/airflow#70368).
    Registered by the plugin, because the API server and the scheduler read it by its path.
    """

    required_kwargs: ClassVar[set[str]] = {"dag_id", "run_id"}

    def _evaluate_with(self, *, session: Any, dag_id: str, run_id: str) -> datetime | None:
        from airflow.models.dagrun import DagRun
        from sqlalchemy import func, select

        moment = func.coalesce(DagRun.queued_at, DagRun.run_after)
        found: datetime | None = session.scalar(select(moment).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        return found
