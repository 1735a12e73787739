"""Assets and tags of this lakehouse; the one file in `include/` that knows Airflow."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from airflow.sdk import Asset

CONTRACTS = Path(__file__).resolve().parent / "contracts"
REPOSITORY = Path(__file__).resolve().parent.parent
SUPERSET_FOLDER = Path(__file__).resolve().parent / "dashboards" / "superset"
GRAFANA_FOLDER = Path(__file__).resolve().parent / "dashboards" / "grafana"
# By name, because a DAG file reads no folder while it is parsed; a test holds this to the folder.
TABLES = ("bronze_option_ticks", "collected_option_ticks", "daily_option_summary", "raw_logs", "image_metadata")


class Tag(StrEnum):
    """Tags that a DAG may carry."""

    BRONZE = "bronze"
    TIER_1 = "tier-1 structured"
    TIER_2 = "tier-2 semi-structured"
    TIER_3 = "tier-3 unstructured"
    DASHBOARDS = "dashboards"
    QUALITY = "quality"
    OPERATIONS = "operations"


def contract(name: str) -> Path:
    """The file of a table's contract."""
    return CONTRACTS / f"{name}.odcs.yaml"


# Names without a URI: a URI's scheme would make Airflow import every provider's URI handlers, boto3 among them, at each parse.
BRONZE_OPTION_TICKS = Asset("bronze_option_ticks")
COLLECTED_OPTION_TICKS = Asset("collected_option_ticks")
DAILY_OPTION_SUMMARY = Asset("daily_option_summary")
RAW_LOGS = Asset("raw_logs")
OPENSEARCH_LOGS = Asset("opensearch_logs")
IMAGE_METADATA = Asset("image_metadata")
IMAGE_RECONCILIATION = Asset("image_reconciliation")
DASHBOARDS = Asset("dashboards")
# The asset of each table in TABLES.
OF_TABLE = {asset.name: asset for asset in (BRONZE_OPTION_TICKS, COLLECTED_OPTION_TICKS, DAILY_OPTION_SUMMARY, RAW_LOGS, IMAGE_METADATA)}

# How long objects are kept that are not needed any more, or not yet looked at; table_maintenance deletes them by their age.
KEPT_DAYS = {"archive/": 400, "refused/": 400, "quarantine/": 90}
SILENCES = Path(__file__).resolve().parent / "silences.yaml"
_TICK_BOARD = "Superset board Lakehouse Analytics"
# What people miss when an asset is not made, for the message of an incident; a test holds it to the DAGs' schedules and to the boards.
DOWNSTREAM = {
    "bronze_option_ticks": f"daily_option_summary, dashboards; {_TICK_BOARD}",
    "collected_option_ticks": f"daily_option_summary; {_TICK_BOARD}",
    "daily_option_summary": f"dashboards; {_TICK_BOARD}",
    "raw_logs": f"opensearch_logs; Grafana boards Logs, Data Quality and Lakehouse Overview; {_TICK_BOARD}",
    "opensearch_logs": "Grafana boards Logs, Data Quality and Lakehouse Overview",
    "image_metadata": "the image gallery",
    "image_reconciliation": "Superset board Lakehouse Operations",
    "dashboards": "quality_and_service_levels; every board of Superset and Grafana",
}
