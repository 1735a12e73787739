"""Dashboards from files, whatever the service: planned, applied and proved; pruned; looked over for edits by hand.

What a service needs for it is in its own module: `superset`, `grafana`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.object_store import ObjectStoreHook
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from lakehouse.dashboards.objects import Key, Target
    from lakehouse.dashboards.plan import Plan
    from lakehouse.dashboards.record import Memory
    from lakehouse.dashboards.results import BoardResult
    from lakehouse.dashboards.sync import Sync
    from lakehouse.objects import ObjectStore


class DashboardsOperator(LakehouseOperator):
    """Base of what works on a service's boards.

    Args:
        folder: the service's objects as files.
        s3_conn_id: bucket that keeps the record of what was applied, and the backups.
        prefix: where in the bucket; two folders that go to two servers need two prefixes.
    """

    service = ""
    template_fields: Sequence[str] = ()

    def __init__(self, *, folder: Path, s3_conn_id: str = "lakehouse_s3", prefix: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder, self.s3_conn_id, self.prefix = folder, s3_conn_id, prefix or f"dashboards/{self.service}"

    @abstractmethod
    def target(self) -> Target:
        """The folder, and the server that is to look like it."""

    @cached_property
    def store(self) -> ObjectStore:
        """The bucket."""
        return ObjectStoreHook(self.s3_conn_id).store

    @property
    def memory(self) -> Memory:
        """The record of what was applied, and the backups."""
        from lakehouse.dashboards.record import Memory

        return Memory(self.store, self.prefix)

    def sync(self, target: Target) -> Sync:
        """The sync of the target."""
        from lakehouse.dashboards.sync import Sync

        return Sync(target, self.memory)

    def backup_name(self, name: str) -> str:
        """A backup as the param `restore` takes it, such as `superset/20261123T040000.123456Z`."""
        return f"{self.service}/{name}" if name else ""


class SyncOperator(DashboardsOperator):
    """Brings a service to what a folder says, and proves it by asking every chart for its data.

    Args:
        overwrite_drift: also write over what a person edited since the last apply.
        restore: name of a backup to bring back instead of applying the files; one of another service's skips the task.
    """

    template_fields: Sequence[str] = ("overwrite_drift", "restore")
    # Kinds that say who may do what: an edit of theirs that the files contradict fails the task.
    safety: Sequence[str] = ()

    def __init__(self, *, overwrite_drift: bool | str = False, restore: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.overwrite_drift, self.restore = overwrite_drift, restore

    @abstractmethod
    def verify(self, target: Any, plan: Plan) -> tuple[BoardResult, ...]:
        """Ask every chart of every board for its data."""

    def synced(self, target: Any, sync: Sync, context: Context, *, written: bool) -> None:
        """Called after boards were verified; it decides nothing."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns what changed, what is orphaned and how each board's charts fared; failed or empty charts fail the task by name."""
        from airflow.sdk.exceptions import AirflowSkipException

        from lakehouse.dashboards.plan import Action
        from lakehouse.exceptions import VerificationError

        service, _, backup_name = str(self.restore).rpartition("/")
        if service and service != self.service:
            raise AirflowSkipException(f"the backup {self.restore} is of {service}: there is nothing to do here")
        target = self.target()
        sync = self.sync(target)
        if backup_name:
            backup, newer = sync.restore(backup_name)
            kept = self.backup_name(newer)
            self.log.info(
                "restored %d objects of %s; what was live just before is kept as %s", len(backup.objects), backup.name, kept or "-"
            )
            plan, written = sync.plan(), len(backup.objects) if newer else 0
        else:
            plan, outcome = sync.apply(overwrite_drift=str(self.overwrite_drift) == "True")
            written, kept = len(outcome.keys), self.backup_name(outcome.backup)
        self._warn(plan)
        boards = self.verify(target, plan)
        self.synced(target, sync, context, written=bool(written))
        seen = [self._seen(board) for board in boards]
        orphans = [change for change in plan.of(Action.ORPHANED) if not change.differences and not change.locked]
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
                    self.log.warning("%s / %s is empty, and so is its source in the chart's window", board.name, chart.name)
        broken = [f"{board.name} / {chart.name}, as {board.role}: {chart.error or 'no rows'}" for board in boards for chart in board.failed]
        if broken:
            raise VerificationError("these charts fail or are empty:\n  " + "\n  ".join(broken))
        # A board that someone edited may wait; who may see what may not be green while it is not what the files say.
        unsafe = [
            f"{change.key.kind} {change.name}" for change in plan.of(Action.DRIFTED) if change.conflict and change.key.kind in self.safety
        ]
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
        for change in plan.of(Action.CHANGE, Action.ORPHANED):
            if change.locked:
                self.log.warning("%s %s is not as its file says and is left alone: %s", change.key.kind, change.name, change.locked)
        if orphaned := plan.of(Action.ORPHANED):
            names = ", ".join(f"{change.key.kind} {change.name}" for change in orphaned)
            self.log.warning("%d objects of ours are in no file any more: %s (param prune asks to remove them)", len(orphaned), names)

    def _seen(self, board: BoardResult) -> dict[str, Any]:
        return {
            "target": self.service,
            "name": board.name,
            "url": board.url,
            "role": board.role,
            "charts_ok": len(board.charts) - len(board.failed),
            "charts_failed": len(board.failed),
        }


class PruneOperator(DashboardsOperator):
    """Removes objects that were ours and are in no file any more; nobody's edits, and never more than the limit.

    Args:
        synced: what the sync returned, and a person approved: its `orphaned` are removed.
        limit: nothing is removed when there are more.
    """

    template_fields: Sequence[str] = ("synced", "limit")

    def __init__(self, *, synced: Any, limit: int | str = 10, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.synced, self.limit = synced, limit

    @property
    @abstractmethod
    def page(self) -> str:
        """Where the boards are listed."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns what was removed, and the name of its backup."""
        from lakehouse.dashboards.objects import Key

        removed, backup = self.sync(self.target()).prune({Key.of(key) for key in self.synced["orphaned"]}, limit=int(self.limit))
        for change in removed:
            self.log.info("removed %s %s (%s)", change.key.kind, change.name, change.key.id)
        left = len(self.synced["orphaned"]) - len(removed)
        if left:
            self.log.warning("%d of what was approved is left: gone, in a file again, in use, or edited since", left)
        self.log.info("removed %d; the backup is %s", len(removed), self.backup_name(backup) or "-")
        self.show_result(context, self.page)
        return {"removed": [str(change.key) for change in removed], "backup": self.backup_name(backup)}


class DriftOperator(DashboardsOperator):
    """Says what someone changed in the UI since the last apply, field by field; on request reverts it, or turns it into a patch.

    Args:
        then: `report`; `revert` writes the files over it; `accept` makes a patch of the files that says the same.
        root: what the paths in the patch are relative to, such as the repository's root; the folder, unless given.
    """

    template_fields: Sequence[str] = ("then",)

    def __init__(self, *, then: str = "report", root: Path | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.then, self.root = then, root

    @abstractmethod
    def patch(self, target: Any, keys: Sequence[Key], root: Path) -> tuple[str, list[Key]]:
        """What the files would have to change to say what is live, and the objects for which it cannot be said."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the drift as a table, and the name of the backup or the key of the patch that was made."""
        from lakehouse.dashboards.plan import Action, Plan

        target = self.target()
        sync = self.sync(target)
        found = sync.plan(thorough=True)
        removed = [change for change in found.of(Action.CREATE) if change.differences]
        drift = Plan((*removed, *found.of(Action.DRIFTED, Action.ORPHANED)))
        drifted = drift.of(Action.DRIFTED)
        self.log.info("drift:\n%s", drift.to_markdown())
        if drifted:
            self.show_result(context, drifted[0].url)
        facts: dict[str, Any] = {"rows": len(drifted) + len(removed), "drift": drift.to_markdown(), "then": self.then}
        if (drifted or removed) and self.then == "revert":
            _, written = sync.apply(overwrite_drift=True, thorough=True)
            facts["backup"] = self.backup_name(written.backup)
            self.log.info("reverted; what the people had made is kept as backup %s", facts["backup"])
        elif drifted and self.then == "accept":
            facts["patch"] = self._accept(target, [change.key for change in drifted])
        elif drifted or removed:
            self.log.warning(
                "%d objects were edited in the UI and %d were removed there; the param `then` reverts that, or makes a patch of the edits",
                len(drifted),
                len(removed),
            )
        self.describe_outlets(context, facts)
        return facts

    def _accept(self, target: Target, keys: list[Key]) -> str:
        """Make the patch; returns its key in the bucket."""
        text, left = self.patch(target, keys, self.root or Path(self.folder))
        if left:
            self.log.warning("no export has these; change their files by hand: %s", ", ".join(map(str, left)))
        place = f"{self.prefix}/patches/{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.patch"
        self.store.put_once(place, text.encode(), "text/x-diff")
        self.log.info("s3://%s/%s, for `git apply`:\n%s", self.store.bucket, place, text)
        return place
