"""Images: from a landing prefix to objects named by content and rows of metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.object_store import ObjectStoreHook
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ImagesToIcebergOperator(LakehouseOperator):
    """Stores and registers every image of a landing prefix; fails when more are refused than the contract allows.

    Args:
        contract: file of the metadata table's contract.
        landing: prefix where images arrive.
        tag: product, user or analytics.
        source_system: manual, batch or api.
    """

    template_fields: Sequence[str] = ("landing", "tag", "source_system")

    def __init__(
        self,
        *,
        contract: Path,
        landing: str,
        tag: str,
        source_system: str,
        catalog_conn_id: str = "lakehouse_catalog",
        s3_conn_id: str = "lakehouse_s3",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contract, self.landing, self.tag, self.source_system = contract, landing, tag, source_system
        self.catalog_conn_id, self.s3_conn_id = catalog_conn_id, s3_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the counts."""
        from lakehouse.contracts import load
        from lakehouse.exceptions import RefusedThresholdError
        from lakehouse.iceberg.history import facts_of
        from lakehouse.images.register import register_landing

        contract = load(Path(self.contract))
        catalog = LakehouseCatalogHook(self.catalog_conn_id, self.s3_conn_id).catalog
        counts = register_landing(
            ObjectStoreHook(self.s3_conn_id).store,
            catalog,
            contract,
            landing=self.landing,
            tag=self.tag,
            source_system=self.source_system,
        )
        facts = asdict(counts) | facts_of(catalog.load_table(contract.table), [counts.snapshot_id] if counts.snapshot_id else [])
        self.log.info("images: %s", facts)
        self.describe_outlets(context, facts)
        if counts.refused > contract.refused_threshold * counts.read:
            raise RefusedThresholdError(
                f"{counts.refused} of {counts.read} images were refused, {contract.refused_threshold:.0%} are allowed; the good ones are "
                "registered. The reasons are in ops_db.refused_files, the files under refused/"
            )
        return facts
