"""Airflow: API server, scheduler, DAG processor, triggerer."""

from __future__ import annotations

import os
from collections.abc import Callable

from stack import software
from stack.installation import VENVS, Installation, postgres_binaries
from stack.services.log_collector import SPOOL
from stack.services.process import check_call
from stack.services.service import Service, get


def airflow_environment(stack: Installation) -> dict[str, str]:
    """What every process of Airflow's has, and those of Spark."""
    binaries = VENVS / "airflow" / "bin"
    return {
        "AIRFLOW_HOME": str(stack.state / "airflow"),
        "AIRFLOW_CONFIG": str(stack.etc / "airflow" / "airflow.cfg"),
        "JAVA_HOME": str(software.spark_java_home()),
        "SPARK_CONF_DIR": str(stack.etc / "spark"),
        "AWS_REGION": "us-east-1",
        "LAKEHOUSE_STATE": str(stack.state),
        "LAKEHOUSE_LOG_SPOOL": str(stack.data / SPOOL),
        # spark-submit, pg_dump, and the same interpreter for Spark's Python workers.
        "PATH": f"{binaries}:{postgres_binaries()}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "PYSPARK_PYTHON": str(binaries / "python"),
    }


def airflow(stack: Installation) -> list[Service]:
    """The four processes, with LocalExecutor."""
    binaries, home = VENVS / "airflow" / "bin", stack.state / "airflow"
    environment = airflow_environment(stack)

    def prepare() -> None:
        (home / "plugins").mkdir(parents=True, exist_ok=True)
        run = {**os.environ, **environment, "AIRFLOW_ADMIN_PASSWORD": stack.secrets["AIRFLOW_ADMIN_PASSWORD"]}
        absent = [f"lakehouse_{name}" for name in ("prometheus", "pushgateway") if not (software.SOFTWARE / name).exists()]
        run |= {"WITHOUT_CONNECTIONS": " ".join(absent)}
        check_call([binaries / "python", stack.etc / "airflow" / "provision.py"], env=run, log=stack.logs / "airflow-provision.log")

    def healthy(component: str) -> Callable[[], bool]:
        return lambda: get(stack, "airflow", "/api/v2/monitor/health").json()[component]["status"] == "healthy"

    def service(name: str, title: str, command: str, component: str, ports: tuple[str, ...] = (), **more: object) -> Service:
        return Service(
            name,
            title,
            [str(binaries / "airflow"), command],
            ready=healthy(component),
            ports=ports,
            environment=environment,
            directory=home,
            **more,  # type: ignore[arg-type]  # only `prepare`
        )

    return [
        service("airflow_api", "Airflow's API server", "api-server", "metadatabase", ("airflow",), prepare=prepare),
        service("airflow_scheduler", "Airflow's scheduler", "scheduler", "scheduler", ("airflow_worker_logs",)),
        service("airflow_dag_processor", "Airflow's DAG processor", "dag-processor", "dag_processor"),
        service("airflow_triggerer", "Airflow's triggerer", "triggerer", "triggerer", ("airflow_triggerer_logs",)),
    ]
