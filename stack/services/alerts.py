"""Alertmanager, which groups Prometheus's alerts and sends them, where Debian's package can be had."""

from __future__ import annotations

import json

from stack import software
from stack.installation import HOST, Installation
from stack.services.service import Service, get

# Where people put an address, each a file of one line below `<state>/alerting`; without it nothing is sent there.
SLACK, HEARTBEAT = "slack_webhook_url", "heartbeat_url"


def alertmanager(stack: Installation) -> Service:
    """One instance, no cluster."""
    root = software.SOFTWARE / "alertmanager"
    return Service(
        "alertmanager",
        "Prometheus Alertmanager",
        [
            str(root / "usr/bin/prometheus-alertmanager"),
            f"--config.file={stack.etc / 'alertmanager' / 'alertmanager.yml'}",
            f"--storage.path={stack.data / 'alertmanager'}",
            f"--web.listen-address={HOST}:{stack.ports['alertmanager']}",
            f"--web.external-url=http://localhost:{stack.ports['alertmanager']}",
            # Without this it listens for other instances on every interface.
            "--cluster.listen-address=",
        ],
        ready=lambda: get(stack, "alertmanager", "/-/ready").ok,
        ports=("alertmanager",),
        directory=root,
    )


def receivers(stack: Installation) -> dict[str, str]:
    """What Alertmanager's settings need besides: the receivers that have an address, as JSON, which YAML reads."""
    folder = stack.state / "alerting"
    slack, heartbeat = folder / SLACK, folder / HEARTBEAT
    messages = {"title": '{{ template "lakehouse.title" . }}', "text": '{{ template "lakehouse.slack" . }}', "fallback": ""}
    colour = {"color": '{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}', "title_link": '{{ template "lakehouse.link" . }}'}
    with_slack = [{"api_url_file": str(slack), "send_resolved": True} | messages | colour] if slack.exists() else []
    with_heartbeat = [{"url": heartbeat.read_text().strip(), "send_resolved": False}] if heartbeat.exists() else []
    return {"ALERTS_SLACK": json.dumps(with_slack), "ALERTS_HEARTBEAT": json.dumps(with_heartbeat)}
