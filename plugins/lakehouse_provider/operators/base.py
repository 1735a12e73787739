"""What every operator here has: the links, and counts that people see on the asset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator

from lakehouse_provider.links import RESULT_URL, ResultLink, RunbookLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink, Context


class LakehouseOperator(BaseOperator):
    """Base of the operators: links to the result and to the runbook."""

    operator_extra_links: tuple[BaseOperatorLink, ...] = (ResultLink(), RunbookLink())

    def show_result(self, context: Context, url: str) -> None:
        """Keep the page where the result can be seen; nothing is kept without a public address."""
        if url:
            context["ti"].xcom_push(key=RESULT_URL, value=url)

    def describe_outlets(self, context: Context, facts: dict[str, Any]) -> None:
        """Put counts and snapshot ids on the events of the task's asset outlets."""
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                context["outlet_events"][outlet].extra.update(facts)
