"""Dashboards from files: planned, applied and proved; pruned; looked over for edits by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lakehouse_provider.hooks.object_store import ObjectStoreHook
from lakehouse_provider.hooks.superset import SupersetHook
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from lakehouse.dashboards.objects import Key
    from lakehouse.dashboards.plan import Plan
    from lakehouse.dashboards.record import Memory
    from lakehouse.dashboards.superset.target import SupersetTarget
    from lakehouse.dashboards.superset.verify import BoardResult
    from lakehouse.dashboards.sync import Sync
    from lakehouse.objects import ObjectStore

SAFETY = ("roles", "row_level_security")
VIEWERS = {
    "Viewer": "lakehouse_superset_viewer",
    "Analyst": "lakehouse_superset_analyst",
    "Ops": "lakehouse_superset_ops",
}


class SupersetOperator(LakehouseOperator):
    """Base of what works on Superset's boards.

    Args:
        folder: objects in Superset's export format, `security/` and `alerts/`; `${TRINO_URI}` in them is filled from the Trino connection.
        conn_id: identity that reads and writes, an Admin.
        trino_conn_id: where Superset finds Trino.
        s3_conn_id: bucket that keeps the record of what was applied, and the backups.
        prefix: where in the bucket; two folders that go to two servers need two prefixes.
    """

    template_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        folder: Path,
        conn_id: str = "lakehouse_superset",
        trino_conn_id: str = "lakehouse_trino",
        s3_conn_id: str = "lakehouse_s3",
        prefix: str = "dashboards/superset",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.folder, self.conn_id, self.trino_conn_id = folder, conn_id, trino_conn_id
        self.s3_conn_id, self.prefix = s3_conn_id, prefix

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

    @cached_property
    def store(self) -> ObjectStore:
        """The bucket."""
        return ObjectStoreHook(self.s3_conn_id).store

    @property
    def memory(self) -> Memory:
        """The record of what was applied, and the backups."""
        from lakehouse.dashboards.record import Memory

        return Memory(self.store, self.prefix)

    def sync(self, target: SupersetTarget) -> Sync:
        """The sync of the target."""
        from lakehouse.dashboards.sync import Sync

        return Sync(target, self.memory)


class SupersetSyncOperator(SupersetOperator):
    """Brings Superset to what a folder says, and proves it by running every chart as a user of the role it is meant for.

    Args:
        viewer_conn_ids: by role, a connection of an ordinary user who has it.
        overwrite_drift: also write over what a person edited since the last apply.
        restore: name of a backup to bring back instead of applying the files.
    """

    template_fields: Sequence[str] = ("overwrite_drift", "restore")

    def __init__(
        self,
        *,
        viewer_conn_ids: Mapping[str, str] = VIEWERS,
        overwrite_drift: bool | str = False,
        restore: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.viewer_conn_ids, self.overwrite_drift, self.restore = dict(viewer_conn_ids), overwrite_drift, restore

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns what changed, what is orphaned and how each board's charts fared; failed or empty charts fail the task by name."""
        from lakehouse.dashboards.plan import Action
        from lakehouse.exceptions import VerificationError

        target = self.target()
        viewers = {role: SupersetHook(self.viewer_conn_ids[role]).client for role in target.roles(self.viewer_conn_ids)}
        sync = self.sync(target)
        if self.restore:
            backup, newer = sync.restore(self.restore)
            self.log.info(
                "restored %d objects of %s; what was live just before is kept as %s", len(backup.objects), backup.name, newer or "-"
            )
            plan, written, kept = sync.plan(), len(backup.objects) if newer else 0, newer
        else:
            plan, outcome = sync.apply(overwrite_drift=str(self.overwrite_drift) == "True")
            written, kept = len(outcome.keys), outcome.backup
        self._warn(plan)
        boards = target.verify(viewers, plan)
        seen = [_seen(board) for board in boards]
        orphans = [change for change in plan.of(Action.ORPHANED) if not change.differences]
        facts: dict[str, Any] = {
            "rows": written,
            "written": bool(written),
            "backup": kept,
            "plan": plan.to_markdown(),
            "orphaned": [str(change.key) for change in orphans],
            "drifted": len(plan.of(Action.DRIFTED)),
            "dashboards": seen,
        }
        self.describe_outlets(context, facts)
        if boards:
            self.show_result(context, boards[0].url)
        context["ti"].xcom_push(key="dashboards", value=seen)
        for board in boards:
            for chart in board.charts:
                if chart.nothing_to_show:
                    self.log.warning("%s / %s is empty, and so is its dataset in the chart's window", board.name, chart.name)
        broken = [f"{board.name} / {chart.name}, as {board.role}: {chart.error or 'no rows'}" for board in boards for chart in board.failed]
        if broken:
            raise VerificationError("these charts fail or are empty:\n  " + "\n  ".join(broken))
        # A board that someone edited may wait; who may see what may not be green while it is not what the files say.
        unsafe = [f"{change.key.kind} {change.name}" for change in plan.of(Action.DRIFTED) if change.conflict and change.key.kind in SAFETY]
        if unsafe and str(self.overwrite_drift) != "True":
            raise VerificationError(
                f"edited by hand, and the files have changed since: {', '.join(unsafe)}. Look at them, then overwrite_drift"
            )
        return facts

    def _warn(self, plan: Plan) -> None:
        from lakehouse.dashboards.plan import Action

        for change in plan.of(Action.DRIFTED):
            fields = ", ".join(difference.path for difference in change.differences)
            what = "was written over" if str(self.overwrite_drift) == "True" else "is left alone (param overwrite_drift writes over it)"
            self.log.warning(
                "%s %s was edited in the UI by %s: %s; it %s", change.key.kind, change.name, change.editor or "-", fields, what
            )
        if orphaned := plan.of(Action.ORPHANED):
            names = ", ".join(f"{change.key.kind} {change.name}" for change in orphaned)
            self.log.warning("%d objects of ours are in no file any more: %s (param prune asks to remove them)", len(orphaned), names)


def _seen(board: BoardResult) -> dict[str, Any]:
    return {
        "target": "superset",
        "name": board.name,
        "url": board.url,
        "role": board.role,
        "charts_ok": len(board.charts) - len(board.failed),
        "charts_failed": len(board.failed),
    }


class SupersetPruneOperator(SupersetOperator):
    """Removes objects that were ours and are in no file any more; nobody's edits, and never more than the limit.

    Args:
        synced: what the sync returned, and a person approved: its `orphaned` are removed.
        limit: nothing is removed when there are more.
    """

    template_fields: Sequence[str] = ("synced", "limit")

    def __init__(self, *, synced: Any, limit: int | str = 10, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.synced, self.limit = synced, limit

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns what was removed, and the name of its backup."""
        from lakehouse.dashboards.objects import Key

        removed, backup = self.sync(self.target()).prune({Key.of(key) for key in self.synced["orphaned"]}, limit=int(self.limit))
        for change in removed:
            self.log.info("removed %s %s (%s)", change.key.kind, change.name, change.key.id)
        left = len(self.synced["orphaned"]) - len(removed)
        if left:
            self.log.warning("%d of what was approved is left: gone, in a file again, or edited since", left)
        self.log.info("removed %d; the backup is %s", len(removed), backup or "-")
        self.show_result(context, f"{SupersetHook(self.conn_id).client.public_url}/dashboard/list/")
        return {"removed": [str(change.key) for change in removed], "backup": backup}


class SupersetDriftOperator(SupersetOperator):
    """Says what someone changed in the UI since the last apply, field by field; on request reverts it, or turns it into a patch.

    Args:
        then: `report`; `revert` writes the files over it; `accept` makes a patch of the files that says the same.
        root: what the paths in the patch are relative to, such as the repository's root; the folder, unless given.
    """

    template_fields: Sequence[str] = ("then",)

    def __init__(self, *, then: str = "report", root: Path | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.then, self.root = then, root

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the drift as a table, and the name of the backup or the key of the patch that was made."""
        from lakehouse.dashboards.plan import Action, Plan

        sync = self.sync(self.target())
        found = sync.plan(thorough=True)
        removed = [change for change in found.of(Action.CREATE) if change.differences]
        drift = Plan((*removed, *found.of(Action.DRIFTED, Action.ORPHANED)))
        drifted = drift.of(Action.DRIFTED)
        self.log.info("drift:\n%s", drift.to_markdown())
        if drifted:
            self.show_result(context, drifted[0].url)
        facts: dict[str, Any] = {"rows": len(drifted), "drift": drift.to_markdown(), "then": self.then}
        if drifted and self.then == "revert":
            _, written = sync.apply(overwrite_drift=True, thorough=True)
            self.log.info("reverted; what the people had made is kept as backup %s", written.backup)
            facts["backup"] = written.backup
        elif drifted and self.then == "accept":
            facts["patch"] = self._accept([change.key for change in drifted])
        elif drifted:
            self.log.warning("%d objects were edited in the UI; the param `then` reverts the edits, or makes a patch of them", len(drifted))
        self.describe_outlets(context, facts)
        return facts

    def _accept(self, keys: list[Key]) -> str:
        """Make the patch; returns its key in the bucket."""
        from lakehouse.dashboards.superset.bundle import KINDS
        from lakehouse.dashboards.superset.pull import patch

        folder, base = Path(self.folder), self.memory.record().applied
        text = patch(
            SupersetHook(self.conn_id).client,
            folder,
            [key for key in keys if key.kind in KINDS],
            root=self.root or folder,
            variables=self.variables(),
            base={key: entry.content for key, entry in base.items()},
        )
        if left := [str(key) for key in keys if key.kind not in KINDS]:
            self.log.warning("no export has these; change their files by hand: %s", ", ".join(left))
        place = f"{self.prefix}/patches/{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.patch"
        self.store.put_once(place, text.encode(), "text/x-diff")
        self.log.info("s3://%s/%s, for `git apply`:\n%s", self.store.bucket, place, text)
        return place
