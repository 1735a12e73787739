"""Dashboards from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lakehouse_provider.hooks.superset import SupersetHook
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class SupersetSyncOperator(LakehouseOperator):
    """Brings Superset to what a folder says, and proves it by running every chart as an ordinary user.

    Args:
        folder: objects in Superset's export format; `${TRINO_URI}` in them is filled from the Trino connection.
        conn_id: identity that writes.
        viewer_conn_id: identity that verifies.
    """

    template_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        folder: Path,
        conn_id: str = "lakehouse_superset",
        viewer_conn_id: str = "lakehouse_superset_viewer",
        trino_conn_id: str = "lakehouse_trino",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.folder, self.conn_id, self.viewer_conn_id, self.trino_conn_id = folder, conn_id, viewer_conn_id, trino_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns what changed and how each board's charts fared; failed or empty charts fail the task by name."""
        from lakehouse.dashboards.plan import to_markdown
        from lakehouse.dashboards.superset import sync
        from lakehouse.exceptions import VerificationError

        hook = SupersetHook(self.conn_id)
        trino = hook.get_connection(self.trino_conn_id)
        catalog = trino.extra_dejson.get("catalog", "hive_prod")
        # With a password the driver speaks HTTPS; without one (the native stack on loopback) any name is taken.
        user = f"{quote(trino.login, safe='')}:{quote(trino.password, safe='')}" if trino.login and trino.password else "superset"
        variables = {"TRINO_URI": f"trino://{user}@{trino.host}:{trino.port}/{catalog}"}
        result = sync(hook.client, SupersetHook(self.viewer_conn_id).client, Path(self.folder), variables)
        self.log.info("plan:\n%s", to_markdown(result.changes))
        boards = [
            {
                "target": "superset",
                "name": board.name,
                "url": board.url,
                "charts_ok": len(board.charts) - len(board.failed),
                "charts_failed": len(board.failed),
            }
            for board in result.dashboards
        ]
        changed = sum(change.action != "unchanged" for change in result.changes)
        facts = {"rows": changed, "written": result.written, "plan": to_markdown(result.changes), "dashboards": boards}
        self.describe_outlets(context, facts)
        if result.dashboards:
            self.show_result(context, result.dashboards[0].url)
        context["ti"].xcom_push(key="dashboards", value=boards)
        broken = [f"{board.name} / {chart.name}: {chart.error or 'no rows'}" for board in result.dashboards for chart in board.failed]
        if broken:
            raise VerificationError("these charts fail or are empty:\n  " + "\n  ".join(broken))
        return facts
