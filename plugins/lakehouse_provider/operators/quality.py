"""Contract checks and service levels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook
from lakehouse_provider.hooks.superset import SupersetHook
from lakehouse_provider.hooks.trino import trino_cursor
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

# Where `stack/` keeps its state, when the services run on this machine; the memory of its process tree is then measured.
STATE_VARIABLE = "LAKEHOUSE_STATE"


class ContractCheckOperator(LakehouseOperator):
    """Runs the checks of a table's contract in Trino; a gate for anyone's DAG.

    Warnings are logged and kept; failed checks of severity error fail the task.

    Args:
        contract: file of the contract.
    """

    template_fields: Sequence[str] = ()

    def __init__(
        self, *, contract: Path, trino_conn_id: str = "lakehouse_trino", catalog_conn_id: str = "lakehouse_catalog", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.contract, self.trino_conn_id, self.catalog_conn_id = contract, trino_conn_id, catalog_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Returns how many checks passed, warned and failed."""

        from lakehouse.contracts import load
        from lakehouse.exceptions import ChecksFailedError
        from lakehouse.ops.tables import append_run_rows
        from lakehouse.quality.checks import run_checks

        contract = load(Path(self.contract))
        now = datetime.now(UTC)
        results = run_checks(trino_cursor(self.trino_conn_id), contract, now=now)
        run_id = context["run_id"]
        catalog = LakehouseCatalogHook(self.catalog_conn_id).catalog
        key = f"{run_id}/{contract.table}/{context['ti'].try_number}"
        append_run_rows(catalog, "ops_db.check_results", key, [result.as_row(run_id, now) for result in results])
        for result in results:
            self.log.info(
                "%s %s.%s: measured %s, wanted %s",
                result.status.upper(),
                contract.table,
                result.check_id,
                result.measured,
                result.threshold,
            )
        failed = [result for result in results if result.status == "failed" or (result.status == "empty" and result.severity == "error")]
        warned = [result for result in results if result.status == "warned" or (result.status == "empty" and result.severity == "warning")]
        counts = {"passed": len(results) - len(failed) - len(warned), "warned": len(warned), "failed": len(failed)}
        context["ti"].xcom_push(key="checks", value=counts)
        if failed:
            lines = [f"{r.check_id}: {r.description}; measured {r.measured}, wanted {r.threshold} ({r.status})" for r in failed]
            raise ChecksFailedError(f"{contract.table} fails {len(failed)} of {len(results)} checks:\n  " + "\n  ".join(lines))
        return counts


class ServiceLevelsOperator(LakehouseOperator):
    """Measures service levels and keeps them as events; a miss is a warning unless the file says error.

    Args:
        levels: the file of service levels.
    """

    template_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        levels: Path,
        trino_conn_id: str = "lakehouse_trino",
        superset_conn_id: str = "lakehouse_superset_analyst",
        opensearch_conn_id: str = "lakehouse_opensearch",
        catalog_conn_id: str = "lakehouse_catalog",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.levels = levels
        self.trino_conn_id, self.superset_conn_id = trino_conn_id, superset_conn_id
        self.opensearch_conn_id, self.catalog_conn_id = opensearch_conn_id, catalog_conn_id

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Returns each level's measurement."""

        from lakehouse.exceptions import ChecksFailedError
        from lakehouse.ops.tables import append_run_rows
        from lakehouse.service_levels.measure import Services, measure, read_levels

        state = Path(os.environ[STATE_VARIABLE]) if STATE_VARIABLE in os.environ else None
        pid_file = state / "supervisord.pid" if state else None
        services = Services(
            trino_cursor(self.trino_conn_id),
            SupersetHook(self.superset_conn_id).client,
            LakehouseOpenSearchHook(self.opensearch_conn_id).client,
            int(pid_file.read_text()) if pid_file and pid_file.exists() else None,
            state or Path("/"),
        )
        levels = read_levels(Path(self.levels))
        measured = measure(levels, services)
        now, run_id = datetime.now(UTC), context["run_id"]
        catalog = LakehouseCatalogHook(self.catalog_conn_id).catalog
        key = f"{run_id}/service-levels/{context['ti'].try_number}"
        append_run_rows(catalog, "ops_db.service_level_events", key, [entry.as_row(run_id, now) for entry in measured])
        missed = []
        for level, entry in zip(levels, measured, strict=True):
            self.log.info("%s: measured %s %s, target %s (%s)", entry.name, entry.measured, entry.unit, entry.target, entry.detail)
            if not entry.met:
                self.log.warning("service level %s is missed: %s", entry.name, entry.detail)
                missed += [entry.name] if level.severity == "error" else []
        if missed:
            raise ChecksFailedError(f"service levels of severity error were missed: {', '.join(missed)}")
        return [asdict(entry) for entry in measured]
