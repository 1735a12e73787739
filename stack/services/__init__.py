"""The services of the stack, one module each: how it is prepared, started, and asked whether it really answers."""

from __future__ import annotations

from stack import software
from stack.installation import Installation
from stack.services.airflow import airflow
from stack.services.alerts import alertmanager, receivers
from stack.services.gallery import gallery
from stack.services.log_collector import log_collector
from stack.services.mailbox import mailbox
from stack.services.metastore import metastore
from stack.services.metrics import (
    log_counter,
    node_exporter,
    opensearch_exporter,
    postgres_exporter,
    prometheus,
    pushgateway,
    scrape_targets,
)
from stack.services.opensearch import create_certificates, opensearch, password_hashes
from stack.services.postgres import postgres
from stack.services.scale_out import airflow_workers, spark_cluster, trino_worker
from stack.services.seaweedfs import seaweedfs
from stack.services.service import Service
from stack.services.superset import superset
from stack.services.trino import trino
from stack.services.valkey import valkey

__all__ = ["Service", "alerting", "create_certificates", "password_hashes", "waves"]


def alerting(stack: Installation) -> dict[str, str]:
    """Variables of the templates of Prometheus and Alertmanager that depend on what is there."""
    return scrape_targets(stack) | receivers(stack)


def waves(stack: Installation) -> list[list[Service]]:
    """The services in the order of their start; those of one wave do not need one another."""
    storage_and_engines = [seaweedfs(stack), postgres(stack), valkey(stack), opensearch(stack), trino(stack), mailbox(stack)]
    if (software.SOFTWARE / "prometheus").exists():
        storage_and_engines += [node_exporter(stack), log_counter(stack), prometheus(stack)]
    if (software.SOFTWARE / "alertmanager").exists():
        storage_and_engines.append(alertmanager(stack))
    if (software.SOFTWARE / "exporters").exists():
        storage_and_engines += [opensearch_exporter(stack), postgres_exporter(stack)]
    if (software.SOFTWARE / "pushgateway").exists():
        storage_and_engines.append(pushgateway(stack))
    if (software.SOFTWARE / "rsyslog").exists():
        storage_and_engines.append(log_collector(stack))
    more = airflow_workers(stack) if stack.scale_out else []
    storage_and_engines += [*spark_cluster(stack), trino_worker(stack)] if stack.scale_out else []
    metastores = [metastore(stack)] if stack.catalog == "hive" else []
    return [storage_and_engines, [*metastores, *superset(stack), *airflow(stack), *more, gallery(stack)]]
