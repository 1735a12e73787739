"""Superset's dashboards from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lakehouse_provider.hooks.superset import SupersetHook
from lakehouse_provider.operators.dashboards import DashboardsOperator, DriftOperator, PruneOperator, SyncOperator

if TYPE_CHECKING:
    from lakehouse.dashboards.objects import Key
    from lakehouse.dashboards.plan import Plan
    from lakehouse.dashboards.results import BoardResult
    from lakehouse.dashboards.superset.target import SupersetTarget

VIEWERS = {
    "Viewer": "lakehouse_superset_viewer",
    "Analyst": "lakehouse_superset_analyst",
    "Ops": "lakehouse_superset_ops",
}


class SupersetOperator(DashboardsOperator):
    """Base of what works on Superset's boards.

    Args:
        folder: objects in Superset's export format, `security/` and `alerts/`; `${TRINO_URI}` in them is filled from the Trino connection.
        conn_id: identity that reads and writes, an Admin.
        trino_conn_id: where Superset finds Trino.
    """

    service = "superset"

    def __init__(self, *, conn_id: str = "lakehouse_superset", trino_conn_id: str = "lakehouse_trino", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id, self.trino_conn_id = conn_id, trino_conn_id

    def target(self) -> SupersetTarget:
        """The folder, and the server that is to look like it."""
        from lakehouse.dashboards.superset.target import SupersetTarget

        return SupersetTarget(SupersetHook(self.conn_id).client, Path(self.folder), self.variables())

    def variables(self) -> dict[str, str]:
        """What `${NAME}` stands for in the files."""
        trino = SupersetHook(self.conn_id).get_connection(self.trino_conn_id)
        catalog = trino.extra_dejson.get("catalog", "hive_prod")
        # With a password the driver speaks HTTPS; without one (the native stack on loopback) any name is taken.
        user = f"{quote(trino.login, safe='')}:{quote(trino.password, safe='')}" if trino.login and trino.password else "superset"
        return {"TRINO_URI": f"trino://{user}@{trino.host}:{trino.port}/{catalog}"}


class SupersetSyncOperator(SupersetOperator, SyncOperator):
    """Brings Superset to what a folder says, and proves it by running every chart as a user of the role it is meant for.

    Args:
        viewer_conn_ids: by role, a connection of an ordinary user who has it.
        overwrite_drift: also write over what a person edited since the last apply.
        restore: name of a backup to bring back instead of applying the files.
    """

    safety = ("roles", "row_level_security")

    def __init__(self, *, viewer_conn_ids: Mapping[str, str] = VIEWERS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.viewer_conn_ids = dict(viewer_conn_ids)

    def target(self) -> SupersetTarget:
        """The folder, each of whose boards can be looked at by a user it is meant for, and the server."""
        target = super().target()
        target.roles(self.viewer_conn_ids)
        return target

    def verify(self, target: SupersetTarget, plan: Plan) -> tuple[BoardResult, ...]:
        """Run every chart of every board as a user of the role it is meant for."""
        viewers = {role: SupersetHook(self.viewer_conn_ids[role]).client for role in target.roles(self.viewer_conn_ids)}
        return target.verify(viewers, plan)


class SupersetPruneOperator(SupersetOperator, PruneOperator):
    """Removes from Superset what was ours and is in no file any more; nobody's edits, and never more than the limit."""

    @property
    def page(self) -> str:
        """Superset's list of dashboards."""
        return f"{SupersetHook(self.conn_id).client.public_url}/dashboard/list/"


class SupersetDriftOperator(SupersetOperator, DriftOperator):
    """Says what someone changed in Superset since the last apply, field by field; on request reverts it, or turns it into a patch."""

    def patch(self, target: SupersetTarget, keys: Sequence[Key], root: Path) -> tuple[str, list[Key]]:  # noqa: ARG002  # it reads the files itself
        """The patch of the kinds that Superset exports; the other kinds are left."""
        from lakehouse.dashboards.superset.bundle import KINDS
        from lakehouse.dashboards.superset.pull import patch

        text = patch(
            SupersetHook(self.conn_id).client,
            Path(self.folder),
            [key for key in keys if key.kind in KINDS],
            root=root,
            variables=self.variables(),
            base={key: entry.content for key, entry in self.memory.record().applied.items()},
        )
        return text, [key for key in keys if key.kind not in KINDS]
