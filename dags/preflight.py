"""# preflight
Asks every service whether it is there: reachable, its version, whether our credentials work and reach no further than they should.
PyIceberg makes a small table, Trino and Spark count it: the three must see one catalog. Tables that are missing are made, empty.

**Inputs and outputs**: the table `preflight_db.probe`, the object `preflight/probe`; no data of the lakehouse is touched.

**On call**: the red task names the service, the reason and what to do. Clear it when the service is back. Old failures may be ignored.
Runbook: [preflight](/lakehouse/runbooks/preflight)
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG

from dags._policy import SPARK_POOL, START_DATE, default_args, on_call
from include.assets import TABLES, Tag, contract
from lakehouse_provider.operators.preflight import PROBE_ROWS, PROBE_TABLE, PreflightOperator
from lakehouse_provider.operators.tables import EnsureTablesOperator

JOB = Path(__file__).resolve().parent.parent / "include" / "spark" / "preflight.py"

with DAG(
    "preflight",
    doc_md=__doc__,
    schedule=None,
    start_date=START_DATE,
    tags=[Tag.OPERATIONS],
    max_active_runs=1,
    # What is down is to be named now, not after retries.
    **on_call("preflight"),
    default_args=default_args(retries=0, execution_timeout=timedelta(minutes=5)),
):
    object_store = PreflightOperator(task_id="object_store", service="object_store", conn_id="lakehouse_s3")
    catalog = PreflightOperator(task_id="catalog", service="catalog", conn_id="lakehouse_catalog")
    trino = PreflightOperator(task_id="trino", service="trino", conn_id="lakehouse_trino")
    spark = SparkSubmitOperator(
        task_id="spark",
        conn_id="lakehouse_spark",
        application=str(JOB),
        application_args=["--table", f"hive_prod.{PROBE_TABLE}", "--rows", str(PROBE_ROWS)],
        name="preflight",
        pool=SPARK_POOL,
    )
    PreflightOperator(task_id="opensearch", service="opensearch", conn_id="lakehouse_opensearch")
    PreflightOperator(task_id="superset", service="superset", conn_id="lakehouse_superset")
    PreflightOperator(task_id="grafana", service="grafana", conn_id="lakehouse_grafana", optional=True)
    PreflightOperator(task_id="prometheus", service="prometheus", conn_id="lakehouse_prometheus", optional=True)
    PreflightOperator(task_id="ops_database", service="ops_database", conn_id="lakehouse_ops")

    # One task makes what is missing, before DAGs that would do so at the same moment: on the Hive metastore two that create one database
    # at once may end in an empty folder, because the later one takes back what it began.
    tables = EnsureTablesOperator(task_id="tables", contracts=[contract(name) for name in TABLES])

    catalog >> [trino, spark]
    [object_store, catalog] >> tables
