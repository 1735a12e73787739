"""Tables from contracts, and what must hold of them after a write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class EnsureTablesOperator(LakehouseOperator):
    """Creates or evolves tables from their contracts, and the bundle's own tables in `ops_db` with them.

    Args:
        contracts: files of the contracts.
        catalog_conn_id: Iceberg catalog.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, contracts: Sequence[Path], catalog_conn_id: str = "lakehouse_catalog", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.contracts = contracts
        self.catalog_conn_id = catalog_conn_id

    def execute(self, context: Context) -> list[str]:  # noqa: ARG002
        """Returns the tables' names."""
        from lakehouse.contracts import load
        from lakehouse.iceberg.table import ensure_tables
        from lakehouse.ops.tables import ensure_ops_tables

        catalog = LakehouseCatalogHook(self.catalog_conn_id).catalog
        ensure_ops_tables(catalog)
        return sorted(ensure_tables(catalog, [load(Path(path)) for path in self.contracts]))
