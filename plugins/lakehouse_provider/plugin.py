"""The Airflow plugin: the on-call page and the runbooks behind the login, and the operators' links.

FastAPI is imported only when the API server asks for the app: entry-point plugins load in every process, tasks included.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from lakehouse_provider.deadlines import RunQueuedAt
from lakehouse_provider.links import FailedRowsLink, RefusedLink, ResultLink, RunbookLink, airflow_url


class LakehousePlugin(AirflowPlugin):
    """Registered once, through the entry point."""

    name = "lakehouse"
    deadline_references = [RunQueuedAt]  # noqa: RUF012  # Airflow's own type
    operator_extra_links = [ResultLink(), RefusedLink(), FailedRowsLink()]  # noqa: RUF012  # Airflow's own type
    global_operator_extra_links = [RunbookLink()]  # noqa: RUF012  # on every task of our DAGs

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The pages under `/lakehouse`."""
        from lakehouse_provider.pages.app import app

        return [{"app": app, "url_prefix": "/lakehouse", "name": "Lakehouse"}]

    @cached_property
    def external_views(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The on-call page in the menu Browse. Without a `url_route` it opens by itself: Airflow's frame would hold its links back."""
        return [{"name": "On call", "href": f"{airflow_url()}/lakehouse/on-call", "destination": "nav", "category": "browse"}]
