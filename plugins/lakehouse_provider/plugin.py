"""The Airflow plugin: the runbooks as pages behind the login, and the operators' links.

FastAPI is imported only when the API server asks for the app: entry-point plugins load in every process, tasks included.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from lakehouse_provider.links import FailedRowsLink, RefusedLink, ResultLink, RunbookLink


class LakehousePlugin(AirflowPlugin):
    """Registered once, through the entry point."""

    name = "lakehouse"
    operator_extra_links = [ResultLink(), RefusedLink(), FailedRowsLink(), RunbookLink()]  # noqa: RUF012  # Airflow's own type

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The runbook pages under `/lakehouse`."""
        from lakehouse_provider.runbook_pages import app

        return [{"app": app, "url_prefix": "/lakehouse", "name": "Lakehouse runbooks"}]
