"""Grafana's dashboards, alerts and data sources from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.grafana import GrafanaHook, variables
from lakehouse_provider.hooks.pushgateway import PushgatewayHook
from lakehouse_provider.operators.dashboards import DashboardsOperator, DriftOperator, PruneOperator, SyncOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from lakehouse.dashboards.grafana.target import GrafanaTarget
    from lakehouse.dashboards.objects import Key
    from lakehouse.dashboards.plan import Plan
    from lakehouse.dashboards.results import BoardResult
    from lakehouse.dashboards.sync import Sync


class GrafanaOperator(DashboardsOperator):
    """Base of what works on a Grafana.

    Args:
        folder: objects in Grafana's own JSON (docs/grafana.md); `${NAME}` in them is filled from connections.
        conn_id: a service account with the role Admin.
        optional: where there is no such connection the task is skipped, and says so; otherwise it fails.
        prometheus_conn_id: where Grafana finds Prometheus.
        opensearch_conn_id: where Grafana finds OpenSearch, and a user who may read there.
        slack_conn_id: Slack's incoming webhook for alerts.
        superset_conn_id: where links to Superset's boards lead.
    """

    service = "grafana"

    def __init__(
        self,
        *,
        conn_id: str = "lakehouse_grafana",
        optional: bool = False,
        prometheus_conn_id: str = "lakehouse_prometheus",
        opensearch_conn_id: str = "lakehouse_opensearch_reader",
        slack_conn_id: str = "alerts_slack",
        superset_conn_id: str = "lakehouse_superset",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id, self.optional, self.slack_conn_id = conn_id, optional, slack_conn_id
        self.prometheus_conn_id, self.opensearch_conn_id = prometheus_conn_id, opensearch_conn_id
        self.superset_conn_id = superset_conn_id
        self.message = "from files"

    def execute(self, context: Context) -> Any:
        """As the operator it is mixed into; the run's name goes into the history of each dashboard."""
        from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSkipException

        try:
            GrafanaHook.get_connection(self.conn_id)
        except AirflowNotFoundException as error:
            if not self.optional:
                raise
            raise AirflowSkipException(
                f"there is no connection {self.conn_id}, so there is no Grafana to work on; docs/grafana.md says how to add one"
            ) from error
        self.message = f"by Airflow, {context['ti'].dag_id} {context['ti'].run_id}"
        return super().execute(context)

    def target(self) -> GrafanaTarget:
        """The folder, and the server that is to look like it."""
        from lakehouse.dashboards.grafana.target import GrafanaTarget

        said = variables(self.conn_id, self.prometheus_conn_id, self.opensearch_conn_id, self.slack_conn_id, self.superset_conn_id)
        target = GrafanaTarget(GrafanaHook(self.conn_id).client, Path(self.folder), said, self.message)
        for path, name in target.left_out.items():
            self.log.warning("%s is left out: no connection gives ${%s}", path, name)
        return target


class GrafanaSyncOperator(GrafanaOperator, SyncOperator):
    """Brings Grafana to what a folder says, and proves it: data sources healthy, every panel's and rule's query run through Grafana.

    Args:
        overwrite_drift: also write over what a person edited since the last apply.
        restore: name of a backup to bring back instead of applying the files.
    """

    safety = ("folders",)

    def verify(self, target: GrafanaTarget, plan: Plan) -> tuple[BoardResult, ...]:  # noqa: ARG002  # a board that drifted is asked as its file says
        """Ask every data source for its health, and every panel and rule for its data."""
        from lakehouse.dashboards.grafana.verify import verify

        return verify(GrafanaHook(self.conn_id).client, target.documents)

    def synced(self, target: GrafanaTarget, sync: Sync, context: Context, *, written: bool) -> None:
        """Mark the time on the boards, with the run; tell Prometheus whether Grafana's alerts tell people.

        While they do, Alertmanager keeps back its own copies of the same alerts (docs/alerts.md).
        """
        from lakehouse.exceptions import LakehouseError
        from lakehouse.metrics import Figure

        if written:
            url = getattr(context["ti"], "log_url", "")
            text = f"{context['ti'].dag_id} brought these boards to their files"
            try:
                target.annotate(f'{text}: <a href="{url}">the run in Airflow</a>' if url else text)
            except LakehouseError as error:
                self.log.warning("the boards have no mark of this run: %s", error)
        ready = target.tells_people(sync.plan())
        help_ = "1 when Grafana has the alert rules, the route and the contact points as the files say"
        PushgatewayHook().push("lakehouse_grafana", {}, [Figure("lakehouse_grafana_alerting_ready", help_, {}, float(ready))])


class GrafanaPruneOperator(GrafanaOperator, PruneOperator):
    """Removes from Grafana what was ours and is in no file any more; nobody's edits, and never more than the limit."""

    @property
    def page(self) -> str:
        """Grafana's list of dashboards."""
        return f"{GrafanaHook(self.conn_id).client.public_url}/dashboards"


class GrafanaDriftOperator(GrafanaOperator, DriftOperator):
    """Says what someone changed in Grafana since the last apply, field by field; on request reverts it, or turns it into a patch."""

    def patch(self, target: GrafanaTarget, keys: Sequence[Key], root: Path) -> tuple[str, list[Key]]:
        """The patch of the files; what was saved in a format that the files do not have is left."""
        from lakehouse.dashboards.grafana.pull import patch

        applied = self.memory.record().applied
        return patch(target, Path(self.folder), keys, {key: entry.content for key, entry in applied.items()}, root)
