"""Airflow provider of the lakehouse: hooks, operators, links and the runbook pages."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def get_provider_info() -> dict[str, Any]:
    """What Airflow's provider manager reads: the connection types with their form fields."""
    address = {
        "relabeling": {"host": "Server address"},
        "hidden-fields": ["schema", "port"],
    }
    fields = {
        "public_url": {
            "label": "Public URL",
            "description": "The address that people's browsers reach; links and signed URLs use it alone.",
            "schema": {"type": ["string", "null"], "format": "uri"},
        },
        "ca_certs": {
            "label": "CA certificate",
            "description": "Path of the certificate authority's file on the workers; empty for the system's own.",
            "schema": {"type": ["string", "null"]},
        },
    }
    addresses = {
        "alert_addresses": {
            "label": "Alert addresses",
            "description": "Who gets Grafana's alerts by mail: addresses, with `;` between them. Empty: no contact point for mail is made.",
            "schema": {"type": ["string", "null"]},
        },
    }
    return {
        "package-name": "airflow-lakehouse-bundle",
        "name": "Lakehouse",
        "description": "SeaweedFS, Iceberg, Spark, Trino, OpenSearch, Superset and Grafana as one lakehouse.",
        "versions": [__version__],
        "connection-types": [
            {
                "connection-type": "superset",
                "hook-class-name": "lakehouse_provider.hooks.superset.SupersetHook",
                "hook-name": "Superset",
                "ui-field-behaviour": address | {"placeholders": {"host": "https://superset.example.org", "login": "airflow"}},
                "conn-fields": fields,
            },
            {
                "connection-type": "grafana",
                "hook-class-name": "lakehouse_provider.hooks.grafana.GrafanaHook",
                "hook-name": "Grafana",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port"],
                    "relabeling": {"host": "Server address", "login": "User (empty for a token)", "password": "Service account token"},
                    "placeholders": {"host": "https://grafana.example.org", "password": "glsa_…"},
                },
                "conn-fields": fields | addresses,
            },
        ],
    }
