"""Superset: the web server, and one Celery worker with beat."""

from __future__ import annotations

import os
import subprocess

from stack.installation import HOST, REPO, VENVS, Installation
from stack.services.process import check_call
from stack.services.service import Service, get


def superset(stack: Installation) -> list[Service]:
    """The web server and its worker."""
    binaries, home = VENVS / "superset" / "bin", stack.data / "superset"
    environment = {
        "SUPERSET_CONFIG_PATH": str(stack.etc / "superset" / "superset_config.py"),
        "SUPERSET_HOME": str(home),
        # The settings import `sql_guard` from beside them.
        "PYTHONPATH": str(stack.etc / "superset"),
        "FLASK_APP": "superset",
        "TZ": "UTC",
    }

    def prepare() -> None:
        home.mkdir(parents=True, exist_ok=True)
        passwords = {name: value for name, value in stack.secrets.items() if name.startswith("SUPERSET_") and name.endswith("_PASSWORD")}
        once = home / ".provisioned"
        provision = stack.etc / "superset" / "provision.py"
        wanted = (REPO / "requirements" / "superset.txt").read_text() + provision.read_text()
        if once.exists() and once.read_text() == wanted:
            return
        run = {**os.environ, **environment, **passwords}
        log = stack.logs / "superset-provision.log"
        check_call([binaries / "superset", "db", "upgrade"], env=run, log=log)
        check_call([binaries / "superset", "init"], env=run, log=log)
        check_call([binaries / "python", provision], env=run, log=log)
        once.write_text(wanted)

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
            ready=lambda: get(stack, "superset", "/health").text.strip() == "OK",
            ports=("superset",),
            environment=environment,
            directory=home,
            prepare=prepare,
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
