"""Airflow provider of the lakehouse: hooks, operators, links and the runbook pages."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def get_provider_info() -> dict[str, Any]:
    """What Airflow's provider manager reads: connection types with their form fields, and extra links."""
    return {
        "package-name": "airflow-lakehouse-bundle",
        "name": "Lakehouse",
        "description": "SeaweedFS, Iceberg, Spark, Trino, OpenSearch and Superset as one lakehouse.",
        "versions": [__version__],
    }
