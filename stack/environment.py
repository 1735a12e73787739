"""`make env`: writes what `docker-compose.yaml` needs, `.env` and the settings of `config/` rendered for containers."""

from __future__ import annotations

import json
from pathlib import Path

from stack import software
from stack.compose import ROOT, ComposeInstallation, environment
from stack.installation import write_private
from stack.lifecycle import console
from stack.opensearch_security import first_roles
from stack.services.opensearch import create_certificates, password_hashes

# Of these Prometheus has lists, because natively some may be missing.
_TARGETS = ("alertmanager", "pushgateway", "opensearch_exporter", "postgres_exporter")


def write_environment(stack: ComposeInstallation, env: Path) -> None:
    """Write `.env` and render the settings; passwords that are there stay.

    Raises:
        StackError: the catalog is another than the installation's.
    """
    stack.keep_choices()
    # The folder is closed to others, and what is in it is open: a container's user is not the one who renders.
    stack.state.chmod(0o700)
    jars = ",".join(f"{ROOT}/jars/{jar.name}" for jar in software.spark_jars())
    targets = {f"TARGETS_{port.upper()}": json.dumps([f"{stack.hosts[port]}:{stack.ports[port]}"]) for port in _TARGETS}
    stack.render({"SPARK_JARS": jars, "ALERTS_SLACK": "[]", "ALERTS_HEARTBEAT": "[]"} | targets | password_hashes(stack))
    _overlay(stack)
    create_certificates(stack)
    for name, text in first_roles(stack.repo).items():
        write_private(stack.etc / "opensearch" / "opensearch-security" / name, text)
    for path in [stack.etc, *stack.etc.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    write_private(env, environment(stack))
    console.print(f"  wrote {env} and {stack.etc}; now: docker compose up -d --build")


def _overlay(stack: ComposeInstallation) -> None:
    """Add what only containers have to the connections."""
    connections = json.loads((stack.etc / "connections.json").read_text())
    for conn_id, fields in json.loads((stack.etc / "compose" / "connections.json").read_text()).items():
        known = connections.setdefault(conn_id, {})
        known |= fields | {"extra": known.get("extra", {}) | fields["extra"]}
    write_private(stack.etc / "connections.json", json.dumps(connections, indent=2) + "\n")
