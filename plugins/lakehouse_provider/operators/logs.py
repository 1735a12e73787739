"""Logs: from a landing prefix into Iceberg."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.object_store import ObjectStoreHook
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


SPOOL_VARIABLE = "LAKEHOUSE_LOG_SPOOL"


class TakeSpoolOperator(LakehouseOperator):
    """Puts the closed files of the log collector's spool folder into the landing prefix; see `lakehouse.spool`.

    The folder is the collector's, so the environment names it (`LAKEHOUSE_LOG_SPOOL`). Without the variable nothing is done.
    """

    template_fields: Sequence[str] = ("landing",)

    def __init__(self, *, landing: str, s3_conn_id: str = "lakehouse_s3", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.landing, self.s3_conn_id = landing, s3_conn_id

    def execute(self, context: Context) -> int:  # noqa: ARG002
        """Returns how many files were taken."""
        from lakehouse.spool import take_spool

        folder = os.environ.get(SPOOL_VARIABLE)
        return take_spool(Path(folder), ObjectStoreHook(self.s3_conn_id).store, self.landing) if folder else 0


class LoadJsonLinesOperator(LakehouseOperator):
    """Loads closed JSON-lines files into a table, each line once; fails when more lines are refused than the contract allows.

    Args:
        contract: file of the table's contract.
        landing: prefix where closed files arrive.
        raw: prefix under which the files are kept, by day, with their secrets hidden.
        to_row: from a line's JSON object and the time of the load to the row without its key; `ValueError(reason, detail)` refuses it.
    """

    template_fields: Sequence[str] = ("landing", "raw")

    def __init__(
        self,
        *,
        contract: Path,
        landing: str,
        raw: str,
        to_row: Callable[[dict[str, Any], datetime], dict[str, Any]],
        catalog_conn_id: str = "lakehouse_catalog",
        s3_conn_id: str = "lakehouse_s3",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contract, self.landing, self.raw, self.to_row = contract, landing, raw, to_row
        self.catalog_conn_id, self.s3_conn_id = catalog_conn_id, s3_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the counts."""
        from lakehouse.contracts import load
        from lakehouse.exceptions import RefusedThresholdError
        from lakehouse.iceberg.history import facts_of
        from lakehouse.jsonlines import load_landing

        contract = load(Path(self.contract))
        catalog = LakehouseCatalogHook(self.catalog_conn_id, self.s3_conn_id).catalog
        store = ObjectStoreHook(self.s3_conn_id).store
        counts = load_landing(store, catalog, contract, landing=self.landing, raw=self.raw, to_row=self.to_row)
        facts = asdict(counts) | facts_of(catalog.load_table(contract.table), counts.snapshot_ids)
        self.log.info("loaded: %s", facts)
        self.describe_outlets(context, facts)
        if counts.refused > contract.refused_threshold * counts.read:
            raise RefusedThresholdError(
                f"{counts.refused} of {counts.read} lines were refused, {contract.refused_threshold:.0%} are allowed; the good ones are "
                "loaded. The reasons, with masked copies, are in ops_db.refused_records"
            )
        return facts
