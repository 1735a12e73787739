"""More than one process for each engine, `SCALE=yes`: what runs on several machines elsewhere, on one."""

from __future__ import annotations

import subprocess

from stack.installation import HOST, VENVS, Installation
from stack.services.airflow import airflow_environment
from stack.services.service import Service, get
from stack.services.trino import trino_node

_WORKERS = (1, 2)


def trino_worker(stack: Installation) -> Service:
    """A second node; it is ready when the coordinator has it."""

    def ready() -> bool:
        headers = {"X-Trino-User": "stack"}
        return len(get(stack, "trino", "/v1/node", headers=headers).json()) >= 1

    return trino_node(stack, "trino_worker", "Trino's second node", config="worker.properties", node_id="lakehouse-2", ready=ready)


def spark_cluster(stack: Installation) -> list[Service]:
    """A standalone master and two workers with a core each; jobs come by the Spark connection."""
    binaries, environment = VENVS / "airflow" / "bin", airflow_environment(stack) | {"SPARK_LOCAL_IP": HOST}
    port, page = stack.ports["spark_master"], stack.ports["spark_master_ui"]
    java = "org.apache.spark.deploy"

    def workers_answer() -> bool:
        return int(get(stack, "spark_master_ui", "/json/").json()["aliveworkers"]) == len(_WORKERS)

    master = Service(
        "spark_master",
        "Spark's standalone master",
        [str(binaries / "spark-class"), f"{java}.master.Master", "--host", HOST, "--port", str(port), "--webui-port", str(page)],
        ready=lambda: get(stack, "spark_master_ui", "/json/").ok,
        ports=("spark_master", "spark_master_ui"),
        environment=environment,
        directory=stack.data / "spark",
    )
    workers = [
        Service(
            f"spark_worker_{number}",
            f"Spark's worker {number}",
            # Any free port for itself and its page: the master knows them.
            [
                str(binaries / "spark-class"), f"{java}.worker.Worker", "--host", HOST, "--port", "0", "--webui-port", "0",
                "--cores", "1", "--memory", "2g", "--work-dir", str(stack.data / "spark" / f"worker-{number}"), f"spark://{HOST}:{port}",
            ],
            ready=workers_answer,
            environment=environment,
            directory=stack.data / "spark",
        )
        for number in _WORKERS
    ]  # fmt: skip
    return [master, *workers]


def airflow_workers(stack: Installation) -> list[Service]:
    """Two Celery workers; the broker is Valkey."""
    binaries, environment = VENVS / "airflow" / "bin", airflow_environment(stack)

    def answers(number: int) -> bool:
        app = "airflow.providers.celery.executors.celery_executor.app"
        ping = [str(binaries / "celery"), "--app", app, "inspect", "ping", "--timeout=5", "--destination", f"lakehouse-{number}@localhost"]
        done = subprocess.run(ping, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return "pong" in done.stdout

    return [
        Service(
            f"airflow_worker_{number}",
            f"Airflow's Celery worker {number}",
            # Their logs lie where the API server reads them.
            [
                str(binaries / "airflow"), "celery", "worker", "--concurrency", "2", "--skip-serve-logs",
                "--celery-hostname", f"lakehouse-{number}@localhost", "--pid", str(stack.state / "airflow" / f"worker-{number}.pid"),
            ],
            ready=lambda number=number: answers(number),  # type: ignore[misc]
            environment=environment,
            directory=stack.state / "airflow",
            timeout=180,
        )
        for number in _WORKERS
    ]  # fmt: skip
