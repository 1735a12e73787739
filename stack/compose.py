"""The installation of containers, and its `.env`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from stack.installation import REPO, Installation

COMPOSE = REPO / "docker-compose.yaml"
# Where the containers find what natively lies under the state folder and in the checkout.
ROOT = "/opt/lakehouse"
_PORT = re.compile(r"^\$\{PORT_(\w+)\}$")


@dataclass(frozen=True)
class ComposeInstallation(Installation):
    """An installation of containers: others reach a service by its name, and it listens on all its addresses."""

    @cached_property
    def hosts(self) -> dict[str, str]:
        """The service that exposes each port."""
        found = {}
        for name, service in yaml.safe_load(COMPOSE.read_text())["services"].items():
            for port in service.get("expose", []):
                if match := _PORT.match(port):
                    found[match.group(1).lower()] = name
        # Each container of these has its own; nobody calls them by name.
        return dict.fromkeys(self.ports, "localhost") | found

    @property
    def places(self) -> dict[str, str]:
        """The folders in the containers."""
        return {
            "STATE": ROOT,
            "REPO": f"{ROOT}/bundle",
            "DATA": f"{ROOT}/data",
            "LOGS": f"{ROOT}/logs",
            "ETC": f"{ROOT}/etc",
            "BACKUPS": f"{ROOT}/backups",
            "LINEAGE": f"{ROOT}/logs/lineage",
            "BIND": "0.0.0.0",  # within the containers' own network
            "AIRFLOW_EXECUTOR": "CeleryExecutor" if self.scale_out else "LocalExecutor",
            "SPARK_MASTER": f"spark://{self.hosts['spark_master']}:{self.ports['spark_master']}" if self.scale_out else "local[2]",
            # Their own names and addresses.
            "SPARK_DRIVER": "",
            "TRINO_WORKER": "",
        }


def environment(stack: ComposeInstallation) -> str:
    """The text of `.env`."""
    profiles = [name for name, wanted in (("hive", stack.catalog == "hive"), ("scale", stack.scale_out)) if wanted]
    lines = [
        "# Made by `make env`; passwords stay as they are. Keep a copy in your password store: back-ups need it.",
        f"COMPOSE_PROFILES={','.join(profiles)}",
        *(f"PORT_{name.upper()}={port}" for name, port in stack.ports.items()),
        *(f"{name}={value}" for name, value in stack.secrets.items()),
    ]
    return "\n".join(lines) + "\n"


def example() -> str:
    """The text of `.env.example`: the same names, ports with their defaults, passwords empty."""
    filled = environment(ComposeInstallation(Path("/nonexistent")))
    return "".join(line if line.startswith(("#", "PORT_", "COMPOSE_")) else line.partition("=")[0] + "=\n"
                   for line in filled.splitlines(keepends=True))  # fmt: skip
