"""What keeps tables and prefixes from growing for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.object_store import ObjectStoreHook
from lakehouse_provider.hooks.trino import trino_cursor
from lakehouse_provider.links import operations_url
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context
    from pyiceberg.catalog import Catalog


class _MaintenanceOperator(LakehouseOperator):
    """Writes what was done to `ops_db.maintenance`."""

    catalog_conn_id: str
    superset_conn_id = "lakehouse_superset"

    def record(self, context: Context, catalog: Catalog, found: Sequence[dict[str, Any]]) -> dict[str, int]:
        """Keep the entries, once for each try, and return how many there are of each action."""
        from lakehouse.ops.tables import append_run_rows

        now, run_id = datetime.now(UTC), context["run_id"]
        rows = [entry | {"run_id": run_id, "done_at": now} for entry in found]
        append_run_rows(catalog, "ops_db.maintenance", f"{run_id}/{self.task_id}/{context['ti'].try_number}/{now}", rows)
        self.show_result(context, operations_url(self.superset_conn_id))
        actions = [entry["action"] for entry in found]
        return {action: actions.count(action) for action in sorted(set(actions))}


class MaintainTablesOperator(_MaintenanceOperator):
    """Compacts, expires and cleans up tables by what their files look like; see `lakehouse.iceberg.maintenance`.

    A table that fails does not keep the others from their turn; the task fails at the end and names each. Rows go that are older than the
    `retention` of the bundle's own tables in `ops_db`; rows of the contracts that are given stay.

    Args:
        contracts: files of the tables' contracts; the bundle's own tables come with them.
        only_say: only say what would be done.
    """

    template_fields: Sequence[str] = ("only_say",)

    def __init__(
        self,
        *,
        contracts: Sequence[Path],
        only_say: bool | str = False,
        catalog_conn_id: str = "lakehouse_catalog",
        trino_conn_id: str = "lakehouse_trino",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contracts, self.only_say = contracts, only_say
        self.catalog_conn_id, self.trino_conn_id = catalog_conn_id, trino_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Returns how many things of each kind made a difference."""
        from lakehouse.contracts import load
        from lakehouse.exceptions import LakehouseError, TransientError
        from lakehouse.iceberg.maintenance import Before, maintain
        from lakehouse.opensearch.cursor import shipped_snapshots
        from lakehouse.ops.tables import contracts as own_contracts

        catalog, cursor = LakehouseCatalogHook(self.catalog_conn_id).catalog, trino_cursor(self.trino_conn_id)
        own = own_contracts()
        everything = own | {contract.table: contract for contract in map(load, map(Path, self.contracts))}
        today = datetime.now(UTC).date()
        found: list[dict[str, Any]] = []
        failed: dict[str, Exception] = {}
        for number, (name, contract) in enumerate(sorted(everything.items()), 1):
            self.log.info("table %d of %d: %s", number, len(everything), name)
            old_rows = None
            if name in own and contract.retention_days:
                column = contract.partitioning[0].partition("(")[2].rstrip(")")
                old_rows = Before(column, today - timedelta(days=contract.retention_days))
            try:
                needed = shipped_snapshots(catalog, name)
                work = maintain(catalog, cursor, name, old_rows=old_rows, needed=needed, only_say=str(self.only_say).lower() == "true")
                found += [asdict(one) for one in work if one.is_news]
            except Exception as error:  # noqa: BLE001  # the other tables have their turn; the task fails at the end
                self.log.warning("%s: %s", name, error)
                failed[name] = error
        counts = self.record(context, catalog, found)
        if failed:
            kind = TransientError if all(isinstance(error, TransientError) for error in failed.values()) else LakehouseError
            raise kind(f"{len(failed)} of {len(everything)} tables: " + "; ".join(f"{name}: {error}" for name, error in failed.items()))
        return counts


class DeleteOldObjectsOperator(_MaintenanceOperator):
    """Deletes objects that are older than their prefix keeps them; see `lakehouse.ageing`.

    Args:
        days: by prefix, how long its objects are kept.
        only_say: only say what would be deleted.
    """

    template_fields: Sequence[str] = ("only_say",)

    def __init__(
        self,
        *,
        days: Mapping[str, int],
        only_say: bool | str = False,
        s3_conn_id: str = "lakehouse_s3",
        catalog_conn_id: str = "lakehouse_catalog",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.days, self.only_say = days, only_say
        self.s3_conn_id, self.catalog_conn_id = s3_conn_id, catalog_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Returns how many objects of each prefix went."""
        import time

        from lakehouse.ageing import delete_old_objects

        store, only_say = ObjectStoreHook(self.s3_conn_id).store, str(self.only_say).lower() == "true"
        found, counts = [], {}
        for prefix, days in self.days.items():
            started = time.monotonic()
            gone = delete_old_objects(store, prefix, days=days, now=datetime.now(UTC), only_say=only_say)
            counts[prefix] = len(gone)
            size = sum(entry.size for entry in gone)
            if gone:
                found.append(
                    {"table_name": prefix, "action": "delete_old_objects", "outcome": "would do" if only_say else "done", "place": None}
                    | {"files_before": len(gone), "files_after": 0, "bytes_before": size, "bytes_after": 0}
                    | {"snapshots_before": 0, "snapshots_after": 0, "seconds": round(time.monotonic() - started, 3)}
                )
        self.record(context, LakehouseCatalogHook(self.catalog_conn_id).catalog, found)
        return counts
