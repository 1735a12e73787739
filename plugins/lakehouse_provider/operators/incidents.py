"""Incidents: the copy in the lake, and what a person does about one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.incidents import IncidentsHook
from lakehouse_provider.links import operations_url
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class CopyIncidentsOperator(LakehouseOperator):
    """Makes `ops_db.incidents` hold what PostgreSQL holds.

    Args:
        ops_conn_id: PostgreSQL with the incidents.
        superset_conn_id: its address leads to the board that shows them.
    """

    template_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        ops_conn_id: str = "lakehouse_ops",
        catalog_conn_id: str = "lakehouse_catalog",
        superset_conn_id: str = "lakehouse_superset",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.ops_conn_id, self.catalog_conn_id, self.superset_conn_id = ops_conn_id, catalog_conn_id, superset_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Returns how many incidents there are, and how many of them are open."""
        from lakehouse.incidents.copy import TABLE, copy_incidents
        from lakehouse.ops.tables import ensure_ops_tables

        with IncidentsHook(self.ops_conn_id).store() as store:
            incidents = store.all()
        catalog = LakehouseCatalogHook(self.catalog_conn_id).catalog
        ensure_ops_tables(catalog)
        changed = copy_incidents(catalog, incidents)
        counts = {"incidents": len(incidents), "open": sum(incident.closed_at is None for incident in incidents)}
        self.log.info("%d incidents, %d of them open; %s %s", *counts.values(), TABLE, "is written" if changed else "has them already")
        self.show_result(context, operations_url(self.superset_conn_id))
        return counts


class ActOnIncidentOperator(LakehouseOperator):
    """Acknowledges an incident, or closes one that no success will close.

    Args:
        incident: its number.
        action: acknowledge or close.
        note: why, or what is being done.
    """

    template_fields: Sequence[str] = ("incident", "action", "note")

    def __init__(self, *, incident: str, action: str, note: str, ops_conn_id: str = "lakehouse_ops", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.incident, self.action, self.note, self.ops_conn_id = incident, action, note, ops_conn_id

    def execute(self, context: Context) -> str:
        """Returns what was done, in a sentence."""
        from lakehouse.incidents.message import one_line

        who = context["dag_run"].triggering_user_name or "the scheduler"
        with IncidentsHook(self.ops_conn_id).store() as store:
            act = store.acknowledge if self.action == "acknowledge" else store.close
            incident = act(int(self.incident), who, one_line(self.note), datetime.now(UTC))
        done = f"{who} {'closed' if self.action == 'close' else 'took'} incident {incident.incident_id} of {incident.key}: {incident.note}"
        self.log.info("%s", done)
        return done
