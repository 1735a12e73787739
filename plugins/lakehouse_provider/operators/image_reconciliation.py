"""Stored images against their rows, in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.object_store import ObjectStoreHook
from lakehouse_provider.links import operations_url
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from lakehouse.images.findings import Comparison
    from lakehouse.images.keys import Layout


class ReconcileImagesOperator(LakehouseOperator):
    """Compares objects, thumbnails and rows; moves orphans to the quarantine and rebuilds thumbnails unless it is a dry run.

    Fails when an image is gone or damaged, after everything else is done and written. See `lakehouse.images.reconcile`.

    Args:
        contract: file of the metadata table's contract.
        only_say: a dry run: only say what would be done.
        grace_hours: what is younger may belong to a run that goes on.
        check_hashes: read every object and compare its SHA-256.
        max_moves: when more are to be moved, nothing is.
        days_back: compare only so many days back; empty for all.
        layout: the prefixes; those of this lakehouse by default.
        superset_conn_id: its address leads to the board of what was found.
    """

    template_fields: Sequence[str] = ("only_say", "grace_hours", "check_hashes", "max_moves", "days_back")

    def __init__(
        self,
        *,
        contract: Path,
        only_say: bool | str = True,
        grace_hours: int | str = 24,
        check_hashes: bool | str = False,
        max_moves: int | str = 1_000,
        days_back: int | str = "",
        layout: Layout | None = None,
        catalog_conn_id: str = "lakehouse_catalog",
        s3_conn_id: str = "lakehouse_s3",
        superset_conn_id: str = "lakehouse_superset",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contract, self.only_say, self.grace_hours, self.check_hashes = contract, only_say, grace_hours, check_hashes
        self.max_moves, self.days_back, self.layout = max_moves, days_back, layout
        self.catalog_conn_id, self.s3_conn_id, self.superset_conn_id = catalog_conn_id, s3_conn_id, superset_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the counts, and a Markdown `table` for people."""
        from lakehouse.contracts import load
        from lakehouse.images.reconcile import Criteria, reconcile

        now, dry_run = datetime.now(UTC), str(self.only_say) != "False"
        first_day = (now - timedelta(days=int(self.days_back))).date() if str(self.days_back) not in ("", "None") else None
        table_name = load(Path(self.contract)).table
        compared = reconcile(
            ObjectStoreHook(self.s3_conn_id).store,
            LakehouseCatalogHook(self.catalog_conn_id, self.s3_conn_id).catalog,
            table_name,
            run_id=context["run_id"],
            criteria=Criteria(timedelta(hours=int(self.grace_hours)), str(self.check_hashes) == "True", first_day),
            layout=self.layout,
            dry_run=dry_run,
            max_moves=int(self.max_moves),
            now=now,
        )
        self.show_result(context, operations_url(self.superset_conn_id, table_name))
        facts = compared.facts() | {"dry_run": dry_run}
        table = compared.table()
        self.log.info("%s\n%s", facts, table)
        self._warn(compared, dry_run=dry_run)
        self._fail(compared, table_name, dry_run=dry_run)
        self.describe_outlets(context, facts)
        return facts | {"table": table}

    def _warn(self, compared: Comparison, *, dry_run: bool) -> None:
        """What a person may look at in the morning."""
        if compared.stopped and dry_run:
            self.log.warning("a real run would change nothing: %s", compared.stopped)
        harmless = compared.findings.counts.total() - compared.lost
        if harmless:
            self.log.warning("%d findings lose no image; the task is green in spite of them", harmless)

    def _fail(self, compared: Comparison, table_name: str, *, dry_run: bool) -> None:
        from lakehouse.exceptions import ConfigurationError, VerificationError
        from lakehouse.images.findings import LOST

        if compared.lost:
            counts = compared.findings.counts
            lost = ", ".join(f"{kind.value} {counts[kind]:,}" for kind in LOST if counts[kind])
            unchanged = f" Besides, nothing was moved: {compared.stopped}" if compared.stopped and not dry_run else ""
            raise VerificationError(
                f"images of {table_name} are gone or damaged ({lost}): ops_db.image_findings lists them and says where copies lie; put "
                f"each back under its key, then clear the task.{unchanged}"
            )
        if compared.stopped and not dry_run:
            raise ConfigurationError(f"nothing was changed: {compared.stopped}")
