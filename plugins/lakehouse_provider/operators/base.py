"""What every operator here has: the links, and counts that people see on the asset and in Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator

from lakehouse_provider.hooks.pushgateway import PushgatewayHook
from lakehouse_provider.links import RESULT_URL, ResultLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink, Context


class LakehouseOperator(BaseOperator):
    """Base of the operators: a link to the result. The plugin links the runbook on every task, whosever operator it is."""

    operator_extra_links: tuple[BaseOperatorLink, ...] = (ResultLink(),)

    def show_result(self, context: Context, url: str) -> None:
        """Keep the page where the result can be seen; nothing is kept without a public address."""
        if url:
            context["ti"].xcom_push(key=RESULT_URL, value=url)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002  # the name and form that OpenLineage asks for
        """The assets that the task read and wrote; OpenLineage's provider, where there is one, asks for them."""
        from lakehouse_provider.lineage import lineage_of

        return lineage_of(self)

    def describe_outlets(self, context: Context, facts: dict[str, Any]) -> None:
        """Put counts and snapshot ids on the events of the task's asset outlets, and tell Prometheus of a table."""
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                describe_outlet(context, outlet, facts)


def describe_outlet(context: Context, outlet: Asset, facts: dict[str, Any]) -> None:
    """Put the facts on the asset's event; those of `lakehouse.iceberg.history.facts_of` go to Prometheus too, which decides nothing."""
    context["outlet_events"][outlet].extra.update(facts)
    if "committed_at" in facts:
        from lakehouse.iceberg.figures import JOB, figures, grouping

        PushgatewayHook().push(JOB, grouping(facts), figures(facts))
