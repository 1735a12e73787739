"""Prometheus, its Pushgateway and the exporters, where Debian's packages can be had."""

from __future__ import annotations

import json
from hashlib import sha256

from stack import software
from stack.installation import HOST, VENVS, Installation
from stack.services.service import Service, get

# The optional targets, by the name of their port, and the folder under `var/software` that they come in.
_OPTIONAL = {
    "alertmanager": "alertmanager",
    "pushgateway": "pushgateway",
    "opensearch_exporter": "exporters",
    "postgres_exporter": "exporters",
}


def scrape_targets(stack: Installation) -> dict[str, str]:
    """`TARGETS_<PORT>` for Prometheus's settings: a list that is empty where the target could not be had, or it would be down for ever."""
    return {
        f"TARGETS_{port.upper()}": json.dumps([f"{HOST}:{stack.ports[port]}"] if (software.SOFTWARE / folder).exists() else [])
        for port, folder in _OPTIONAL.items()
    }


def node_exporter(stack: Installation) -> Service:
    """The machine's CPU, memory and disk."""
    return Service(
        "node_exporter",
        "Prometheus node exporter",
        [
            str(software.SOFTWARE / "prometheus/usr/bin/prometheus-node-exporter"),
            f"--web.listen-address={HOST}:{stack.ports['node_exporter']}",
        ],
        ready=lambda: get(stack, "node_exporter", "/metrics").ok,
        ports=("node_exporter",),
    )


def prometheus(stack: Installation) -> Service:
    """Scrapes the stack, and evaluates the rules of `include/prometheus`."""
    root = software.SOFTWARE / "prometheus"
    rules = b"".join(path.read_bytes() for path in sorted((stack.repo / "include" / "prometheus").glob("*.yml")))
    return Service(
        "prometheus",
        "Prometheus",
        [
            str(root / "usr/bin/prometheus"),
            f"--config.file={stack.etc / 'prometheus' / 'prometheus.yml'}",
            f"--storage.tsdb.path={stack.data / 'prometheus'}",
            f"--web.listen-address={HOST}:{stack.ports['prometheus']}",
            f"--web.external-url=http://localhost:{stack.ports['prometheus']}",
            "--storage.tsdb.retention.time=30d",
        ],
        ready=lambda: get(stack, "prometheus", "/-/ready").ok,
        ports=("prometheus",),
        # Rules lie outside `config/`; by this a start sees that they have changed.
        environment={"RULES": sha256(rules).hexdigest()[:16]},
    )


def pushgateway(stack: Installation) -> Service:
    """Keeps the last figures of tasks, which end before anyone could scrape them."""
    root, folder = software.SOFTWARE / "pushgateway", stack.data / "pushgateway"
    return Service(
        "pushgateway",
        "Prometheus Pushgateway",
        [
            str(root / "usr/bin/prometheus-pushgateway"),
            f"--web.listen-address={HOST}:{stack.ports['pushgateway']}",
            f"--web.local-assets={root / 'usr/share/prometheus/pushgateway'}",
            f"--persistence.file={folder / 'figures'}",
            # It also writes when it is stopped; a crash loses no more than this.
            "--persistence.interval=10s",
        ],
        ready=lambda: get(stack, "pushgateway", "/-/ready").ok,
        ports=("pushgateway",),
        directory=folder,
    )


def opensearch_exporter(stack: Installation) -> Service:
    """OpenSearch's health and figures; it signs in as `metrics`, who reads no document."""
    return Service(
        "opensearch_exporter",
        "Prometheus exporter for OpenSearch",
        [
            str(software.SOFTWARE / "exporters/usr/bin/prometheus-elasticsearch-exporter"),
            f"--es.uri=https://{HOST}:{stack.ports['opensearch']}",
            f"--es.ca={stack.etc / 'opensearch' / 'ca.pem'}",
            f"--web.listen-address={HOST}:{stack.ports['opensearch_exporter']}",
        ],
        ready=lambda: get(stack, "opensearch_exporter", "/").ok,
        ports=("opensearch_exporter",),
        environment={"ES_USERNAME": "metrics", "ES_PASSWORD": stack.secrets["OPENSEARCH_METRICS_PASSWORD"]},
    )


def postgres_exporter(stack: Installation) -> Service:
    """PostgreSQL's figures, and Airflow's out of its metadata database (`config/exporters/airflow.yaml`)."""
    return Service(
        "postgres_exporter",
        "Prometheus exporter for PostgreSQL and Airflow",
        [
            str(software.SOFTWARE / "exporters/usr/bin/prometheus-postgres-exporter"),
            f"--extend.query-path={stack.etc / 'exporters' / 'airflow.yaml'}",
            "--disable-settings-metrics",
            f"--web.listen-address={HOST}:{stack.ports['postgres_exporter']}",
        ],
        ready=lambda: get(stack, "postgres_exporter", "/").ok,
        ports=("postgres_exporter",),
        environment={
            "DATA_SOURCE_URI": f"{HOST}:{stack.ports['postgres']}/airflow?sslmode=disable",
            "DATA_SOURCE_USER": "metrics",
            "DATA_SOURCE_PASS": stack.secrets["POSTGRES_METRICS_PASSWORD"],
        },
    )


def log_counter(stack: Installation) -> Service:
    """Error lines in OpenSearch, counted for Prometheus."""
    url = f"https://{HOST}:{stack.ports['opensearch']}"
    return Service(
        "log_counter",
        "Counter of log lines",
        [str(VENVS / "airflow/bin/python"), "-m", "lakehouse.opensearch.log_counter", url, str(stack.ports["log_counter"])],
        ready=lambda: get(stack, "log_counter", "/metrics").ok,
        ports=("log_counter",),
        environment={
            "OPENSEARCH_USER": "metrics",
            "OPENSEARCH_PASSWORD": stack.secrets["OPENSEARCH_METRICS_PASSWORD"],
            "OPENSEARCH_CA": str(stack.etc / "opensearch" / "ca.pem"),
        },
    )
