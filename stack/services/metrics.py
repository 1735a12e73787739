"""Prometheus, its Pushgateway and the node exporter, where Debian's packages can be had."""

from __future__ import annotations

from stack import software
from stack.installation import HOST, Installation
from stack.services.service import Service, get


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
    """Scrapes the stack."""
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
        ready=lambda: get(stack, "prometheus", "/-/ready").ok,
        ports=("prometheus",),
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
