"""Service levels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.extras import base_url
from lakehouse_provider.hooks.grafana import GrafanaHook
from lakehouse_provider.hooks.object_store import ObjectStoreHook
from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook
from lakehouse_provider.hooks.superset import SupersetHook
from lakehouse_provider.hooks.trino import trino_cursor
from lakehouse_provider.links import operations_url
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Connection, Context

    from lakehouse.service_levels.levels import Services

# Where `stack/` keeps its state, when the services run on this machine; the memory of its process tree is then measured.
STATE_VARIABLE = "LAKEHOUSE_STATE"


class ServiceLevelsOperator(LakehouseOperator):
    """Measures service levels and keeps them as events; a miss is a warning unless the file says error.

    A level that could not be measured is no miss: its reason is in the log and in the table. Those of the gallery, of Grafana and of
    Superset's role Ops are left out where there is no such connection.

    Args:
        levels: the file of service levels.
        contracts: contracts whose promise of freshness is measured too.
    """

    template_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        levels: Path,
        contracts: Sequence[Path] = (),
        trino_conn_id: str = "lakehouse_trino",
        superset_conn_id: str = "lakehouse_superset_analyst",
        superset_ops_conn_id: str = "lakehouse_superset_ops",
        opensearch_conn_id: str = "lakehouse_opensearch",
        catalog_conn_id: str = "lakehouse_catalog",
        s3_conn_id: str = "lakehouse_s3_readonly",
        gallery_conn_id: str = "lakehouse_gallery",
        grafana_conn_id: str = "lakehouse_grafana",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.levels, self.contracts = levels, contracts
        self.trino_conn_id, self.superset_conn_id, self.superset_ops_conn_id = trino_conn_id, superset_conn_id, superset_ops_conn_id
        self.opensearch_conn_id, self.catalog_conn_id, self.s3_conn_id = opensearch_conn_id, catalog_conn_id, s3_conn_id
        self.gallery_conn_id, self.grafana_conn_id = gallery_conn_id, grafana_conn_id

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Returns each level's measurement."""
        from lakehouse.contracts import load
        from lakehouse.exceptions import ChecksFailedError
        from lakehouse.ops.tables import append_run_rows
        from lakehouse.service_levels.levels import read_levels
        from lakehouse.service_levels.measure import KINDS, levels_of, measure

        levels = [*levels_of(load(Path(path)) for path in self.contracts), *read_levels(Path(self.levels), KINDS)]
        measured = measure(levels, self._services())
        now, run_id = datetime.now(UTC), context["run_id"]
        catalog = LakehouseCatalogHook(self.catalog_conn_id).catalog
        key = f"{run_id}/service-levels/{context['ti'].try_number}"
        append_run_rows(catalog, "ops_db.service_level_events", key, [entry.as_row(run_id, now) for entry in measured])
        self.show_result(context, operations_url(self.superset_ops_conn_id))
        counts = {
            word: sum(entry.met is met for entry in measured) for word, met in (("met", True), ("missed", False), ("not measured", None))
        }
        self.log.info("%s", ", ".join(f"{count} {word}" for word, count in counts.items()))
        for entry in measured:
            if not entry.met:
                self.log.warning("%s", entry.as_line())
        errors = {level.name for level in levels if level.severity == "error"}
        if missed := [entry.as_line() for entry in measured if entry.met is False and entry.name in errors]:
            raise ChecksFailedError("\n  ".join(["service levels of severity error were missed:", *missed]))
        return [asdict(entry) for entry in measured]

    def _services(self) -> Services:
        from lakehouse.http import HttpClient
        from lakehouse.service_levels.levels import Services

        state = Path(os.environ[STATE_VARIABLE]) if STATE_VARIABLE in os.environ else None
        pid_file = state / "supervisord.pid" if state else None
        gallery = _optional(self.gallery_conn_id)
        return Services(
            trino_cursor(self.trino_conn_id),
            SupersetHook(self.superset_conn_id).client,
            LakehouseOpenSearchHook(self.opensearch_conn_id).client,
            int(pid_file.read_text()) if pid_file and pid_file.exists() else None,
            state or Path("/"),
            LakehouseCatalogHook(self.catalog_conn_id).catalog,
            ObjectStoreHook(self.s3_conn_id).store,
            HttpClient("the gallery", base_url(gallery, "http")) if gallery else None,
            GrafanaHook(self.grafana_conn_id).client if _optional(self.grafana_conn_id) else None,
            SupersetHook(self.superset_ops_conn_id).client if _optional(self.superset_ops_conn_id) else None,
        )


def _optional(conn_id: str) -> Connection | None:
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None
