"""Write, audit, publish: a branch's rows are checked before anyone sees them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.branch import BaseBranchOperator

from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.trino import trino_cursor
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class AuditBranchOperator(LakehouseOperator):
    """Runs the blocking checks (severity error) of a contract on some days of a branch, in Trino.

    A failed audit leaves main as it was and the branch for inspection.

    Args:
        contract: file of the contract.
        branch: the branch to look at.
        days: days to look at and their rows, `YYYY-MM-DD=rows`, separated by commas.
    """

    template_fields: Sequence[str] = ("branch", "days")

    def __init__(
        self,
        *,
        contract: Path,
        branch: str,
        days: str,
        catalog_conn_id: str = "lakehouse_catalog",
        trino_conn_id: str = "lakehouse_trino",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contract, self.branch, self.days = contract, branch, days
        self.catalog_conn_id, self.trino_conn_id = catalog_conn_id, trino_conn_id

    def execute(self, context: Context) -> int:  # noqa: ARG002
        """Returns the id of the snapshot that was looked at, the one to publish."""
        from lakehouse.contracts import load
        from lakehouse.exceptions import ChecksFailedError
        from lakehouse.iceberg.branches import branch_head
        from lakehouse.iceberg.table import rows_by_day
        from lakehouse.quality.checks import audit, rows_of_days
        from lakehouse.quality.samples import sample

        contract = load(Path(self.contract))
        wanted = {date.fromisoformat(day): int(rows) for day, _, rows in (pair.partition("=") for pair in self.days.split(",") if pair)}
        days = sorted(wanted)
        table = LakehouseCatalogHook(self.catalog_conn_id).catalog.load_table(contract.table)
        head = branch_head(table, self.branch)
        there = rows_by_day(table, table.spec().fields[0].name, head.snapshot_id)
        cursor = trino_cursor(self.trino_conn_id)
        source = rows_of_days(contract, days, head.snapshot_id)
        failures = [
            f"{day}: {wanted[day]} rows were wanted, {there.get(day, 0)} are there" for day in days if there.get(day, 0) != wanted[day]
        ]
        for result in audit(cursor, contract, source):
            if result.status == "skipped":
                self.log.warning("%s is not asked of a branch (a custom rule): the checks after publishing ask it", result.check_id)
                continue
            self.log.info("%s %s: measured %s, wanted %s", result.status.upper(), result.check_id, result.measured, result.threshold)
            if result.status != "passed":
                failures.append(f"{result.check_id}: {result.description}; measured {result.measured}, wanted {result.threshold}")
                failures += [f"  such as {row}" for row in sample(cursor, contract, result.check_id, source)]
        if failures:
            where = f"branch {self.branch} of {contract.table} (snapshot {head.snapshot_id})"
            lines = [f"{where} is not published, main is as it was:", *failures]
            query = f"SELECT * FROM {contract.table} FOR VERSION AS OF '{self.branch}'"  # noqa: S608  # shown, not run
            raise ChecksFailedError("\n  ".join(lines) + f"\nlook at it in Trino: {query}")
        return head.snapshot_id


class PublishBranchOperator(BaseBranchOperator):
    """Moves main to an audited branch and goes on with `done_task_id`; where main has moved on other days, with `cherry_pick_task_id`.

    Args:
        table: `schema.table`.
        branch: the branch.
        snapshot_id: the snapshot that was audited; another one is not published.
    """

    template_fields: Sequence[str] = ("branch", "snapshot_id")
    operator_extra_links = LakehouseOperator.operator_extra_links

    def __init__(
        self,
        *,
        table: str,
        branch: str,
        snapshot_id: str,
        done_task_id: str,
        cherry_pick_task_id: str,
        catalog_conn_id: str = "lakehouse_catalog",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table, self.branch, self.snapshot_id = table, branch, snapshot_id
        self.done_task_id, self.cherry_pick_task_id, self.catalog_conn_id = done_task_id, cherry_pick_task_id, catalog_conn_id

    def choose_branch(self, context: Context) -> str:  # noqa: ARG002
        """Publishes, and returns the task to go on with."""
        from lakehouse.iceberg.branches import Published, publish

        catalog = LakehouseCatalogHook(self.catalog_conn_id).catalog
        outcome = publish(catalog, self.table, self.branch, int(self.snapshot_id))
        return self.done_task_id if outcome is Published.DONE else self.cherry_pick_task_id
