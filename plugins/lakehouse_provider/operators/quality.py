"""Contract checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.object_store import ObjectStoreHook
from lakehouse_provider.hooks.pushgateway import PushgatewayHook
from lakehouse_provider.hooks.trino import trino_cursor
from lakehouse_provider.links import FAILED_ROWS_URL, FailedRowsLink, operations_url
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context
    from pyiceberg.table import Table

    from lakehouse.contracts import Contract
    from lakehouse.quality.results import CheckResult


class ContractCheckOperator(LakehouseOperator):
    """Runs the checks of a table's contract; a gate for anyone's DAG.

    What the manifests know is not scanned for, the rest goes into one Trino query. Warnings are logged and kept; failed checks of
    severity error fail the task, once all results and a few of the failed rows are kept in `ops_db`.

    Args:
        contract: file of the contract.
        s3_conn_id: where the objects are that rows name; used by rules about objects alone.
        superset_conn_id: its address leads to the board with the failed rows.
    """

    template_fields: Sequence[str] = ()
    operator_extra_links = (*LakehouseOperator.operator_extra_links, FailedRowsLink())

    def __init__(
        self,
        *,
        contract: Path,
        trino_conn_id: str = "lakehouse_trino",
        catalog_conn_id: str = "lakehouse_catalog",
        s3_conn_id: str = "lakehouse_s3_readonly",
        superset_conn_id: str = "lakehouse_superset",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # Its incident is the table's, so that bad data and a failed load of one table are one thread.
        self.incident_key = Path(contract).name.partition(".")[0]
        self.contract, self.trino_conn_id, self.catalog_conn_id = contract, trino_conn_id, catalog_conn_id
        self.s3_conn_id, self.superset_conn_id = s3_conn_id, superset_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Returns how many checks passed, warned, failed and were skipped."""
        from lakehouse.contracts import load
        from lakehouse.exceptions import ChecksFailedError
        from lakehouse.ops.tables import append_run_rows
        from lakehouse.quality.checks import run_checks
        from lakehouse.quality.figures import figures, grouping
        from lakehouse.quality.history import incident_days, with_history

        contract = load(Path(self.contract))
        now, cursor = datetime.now(UTC), trino_cursor(self.trino_conn_id)
        catalog = LakehouseCatalogHook(self.catalog_conn_id).catalog
        table = catalog.load_table(contract.table)
        left_out = incident_days(cursor, contract, now=now) if catalog.table_exists("ops_db.incidents") else ()
        results = run_checks(cursor, contract, table=table, object_exists=self._object_exists(contract), left_out=left_out, now=now)
        results = with_history(cursor, results, now=now)
        run_id = context["run_id"]
        key = f"{run_id}/{contract.table}/{context['ti'].try_number}"
        append_run_rows(catalog, "ops_db.check_results", key, [result.as_row(run_id, now) for result in results])
        for result in results:
            self.log.info("%s %s.%s, answered by %s", result.status.upper(), contract.table, result.as_line(), result.answered_by)
        failed, warned = [result for result in results if result.blocks], [result for result in results if result.warns]
        skipped = [result for result in results if result.status == "skipped"]
        counts = {"passed": len(results) - len(failed) - len(warned) - len(skipped), "warned": len(warned), "failed": len(failed)}
        counts["skipped"] = len(skipped)
        context["ti"].xcom_push(key="checks", value=counts)
        PushgatewayHook().push("lakehouse_check", grouping(contract), figures(contract, results, now=now.timestamp()))
        samples = self._keep_samples(context, contract, table, [*failed, *warned], now)
        if failed:
            lines = [f"{contract.table} fails {len(failed)} of {len(results)} checks:", *(result.as_line() for result in failed)]
            where = f"\n{samples} of the rows are in ops_db.failed_row_samples (link Failed rows)" if samples else ""
            raise ChecksFailedError("\n  ".join(lines) + where)
        return counts

    def _object_exists(self, contract: Contract) -> Callable[[str], bool] | None:
        """Whether there is an object at `s3://bucket/key`, for a contract that asks; an address in another bucket has none."""
        from lakehouse.contracts.checks import OBJECTS_EXIST

        if not any(check.measure == OBJECTS_EXIST for check in contract.checks):
            return None
        store = ObjectStoreHook(self.s3_conn_id).store

        def exists(address: str) -> bool:
            bucket, _, key = address.removeprefix("s3://").partition("/")
            return bucket == store.bucket and store.stat(key) is not None

        return exists

    def _keep_samples(self, context: Context, contract: Contract, table: Table, results: list[CheckResult], now: datetime) -> int:
        """Keep some of the rows that break the rules, and link to them; how many were kept. A sample that cannot be had is no failure."""
        from lakehouse.ops.tables import append_run_rows
        from lakehouse.quality.checks import snapshot_source
        from lakehouse.quality.samples import failed_rows

        try:
            rows = failed_rows(trino_cursor(self.trino_conn_id), contract, results, snapshot_source(contract, table))
        except Exception as error:  # noqa: BLE001  # whatever Trino says, the verdict is what counts
            self.log.warning("no failed rows could be shown: %s", error)
            return 0
        run_id = context["run_id"]
        key = f"{run_id}/{contract.table}/samples/{context['ti'].try_number}"
        entries = [asdict(row) | {"run_id": run_id, "sampled_at": now} for row in rows]
        append_run_rows(LakehouseCatalogHook(self.catalog_conn_id).catalog, "ops_db.failed_row_samples", key, entries)
        if rows and (url := operations_url(self.superset_conn_id, contract.table)):
            context["ti"].xcom_push(key=FAILED_ROWS_URL, value=url)
        return len(rows)
