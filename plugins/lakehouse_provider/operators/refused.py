"""Refused rows: found, shown to a person, and sent again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook
from lakehouse_provider.links import operations_url
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context
    from pyiceberg.catalog import Catalog

    from lakehouse.contracts import Contract
    from lakehouse.opensearch.redrive import Open
    from lakehouse.opensearch.target import Target


class FindRefusedOperator(LakehouseOperator):
    """The dry run: finds refused rows of a shipment or a reason, and says what sending them again would do.

    Args:
        contract: file of the source table's contract.
        target: where the rows were on their way to.
        reason: reason class; empty for all.
        shipment: number of the shipment, as in the column `place`; empty for all.
    """

    template_fields: Sequence[str] = ("reason", "shipment")

    def __init__(
        self,
        *,
        contract: Path,
        target: Target,
        reason: str = "",
        shipment: str = "",
        catalog_conn_id: str = "lakehouse_catalog",
        superset_conn_id: str = "lakehouse_superset",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contract, self.target, self.reason, self.shipment = contract, target, reason, shipment
        self.catalog_conn_id, self.superset_conn_id = catalog_conn_id, superset_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns how many rows are `ready`, a Markdown `table` for people, and `until` when refusals were looked at."""
        from lakehouse import markdown
        from lakehouse.opensearch.redrive import prospects

        until = datetime.now(UTC)
        catalog, contract, found = self.find(until)
        by_reason = prospects(catalog, contract, self.target, found.refusals)
        states = ("ready", "refused_again", "gone")
        rows = [(reason, *(counts.get(state, 0) for state in states)) for reason, counts in by_reason.items()]
        heads = ("reason", "ready to be sent", "would be refused again", "gone from the source")
        text = markdown.table(heads, rows) if rows else "No refused row is open."
        if found.left:
            text += f"\n\n{found.left} more are left for another run."
        if found.not_listed:
            text += f"\n\n{found.not_listed} more have no key or are not listed one by one: only ship_logs with `resync` reaches them."
        for row in rows:
            self.log.info("%s: %d ready to be sent, %d would be refused again, %d gone from the source", *row)
        self.log.info("%s to %s: %d refused rows looked at", contract.table, self.target.pattern, len(found.refusals))
        self.show_result(context, operations_url(self.superset_conn_id, contract.table))
        return {"ready": sum(row[1] for row in rows), "table": text, "until": until.isoformat()}

    def find(self, until: datetime) -> tuple[Catalog, Contract, Open]:
        """The catalog, the contract, and what was open at that time."""
        from lakehouse.contracts import load
        from lakehouse.exceptions import ConfigurationError
        from lakehouse.opensearch.redrive import open_refusals

        if self.shipment and not self.shipment.isdigit():
            raise ConfigurationError(f"param shipment is {self.shipment!r}: write the number in the column `place`")
        catalog, contract = LakehouseCatalogHook(self.catalog_conn_id).catalog, load(Path(self.contract))
        shipment = int(self.shipment) if self.shipment else None
        found = open_refusals(catalog, contract, self.target, reason=self.reason or None, shipment=shipment, until=until)
        return catalog, contract, found


class RedriveRefusedOperator(FindRefusedOperator):
    """Sends the refused rows again that were found, each read anew from its table; notes every outcome in `ops_db.redrives`.

    Args:
        found: what `FindRefusedOperator` returned; rows that were refused since are left alone.
    """

    template_fields: Sequence[str] = (*FindRefusedOperator.template_fields, "found")

    def __init__(self, *, found: Any, opensearch_conn_id: str = "lakehouse_opensearch", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.found, self.opensearch_conn_id = found, opensearch_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns how many rows ended in which outcome."""
        from lakehouse.exceptions import RefusedThresholdError
        from lakehouse.opensearch.redrive import redrive

        catalog, contract, found = self.find(datetime.fromisoformat(self.found["until"]))
        hook = LakehouseOpenSearchHook(self.opensearch_conn_id)
        counts = redrive(catalog, hook.client, contract, self.target, found.refusals, run_id=context["run_id"])
        self.log.info("sent again: %s", counts)
        if counts.get("refused") and not (counts.get("indexed") or counts.get("already_there")):
            raise RefusedThresholdError(
                f"every one of {counts['refused']} rows was refused again: the cause is not cured; the reasons are in ops_db.redrives"
            )
        head = catalog.load_table(contract.table).current_snapshot()
        self.show_result(context, hook.url_of_shipped(self.target.pattern, head.snapshot_id) if head else "")
        return counts
