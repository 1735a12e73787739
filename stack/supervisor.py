"""supervisord: its settings from the list of services, and the calls that start, watch and stop them."""

from __future__ import annotations

import configparser
import http.client
import os
import socket
import subprocess
import tempfile
import time
import xmlrpc.client
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from stack.errors import StackError
from stack.installation import CONFIG, VENVS, Installation, write_private
from stack.services import Service
from stack.services.process import as_service_user

_UNIX_PATH_LIMIT = 100
_STOP_SECONDS = 30
# What a service reads below `config/` where that is not the folder of its name; the key is its name, or its name's first word.
_SETTINGS = {
    "airflow": ["airflow", "spark", "connections.json.tmpl"],
    "log_collector": ["rsyslog"],
    "log_counter": [],
    "opensearch_exporter": [],
    "postgres_exporter": ["exporters"],
}
_ENDED = ("STOPPED", "EXITED", "FATAL")


class Supervisor:
    """The process manager of one installation, spoken to over its Unix socket."""

    def __init__(self, stack: Installation) -> None:
        self.stack = stack
        self.config = stack.etc / "supervisor" / "supervisord.conf"
        self.pid_file = stack.state / "supervisord.pid"
        self.socket = stack.state / "supervisord.sock"
        if len(str(self.socket)) > _UNIX_PATH_LIMIT:  # The kernel takes no longer socket paths.
            self.socket = Path(tempfile.gettempdir()) / f"lakehouse-{sha256(str(stack.state).encode()).hexdigest()[:12]}.sock"

    def configure(self, services: list[Service]) -> None:
        """Write supervisord's settings: one program per service, restarted when it crashes, none started by itself."""
        config = configparser.RawConfigParser()
        config.optionxform = str  # type: ignore[assignment,method-assign]  # environment names keep their case
        config["unix_http_server"] = {"file": str(self.socket), "chmod": "0700"}
        config["supervisorctl"] = {"serverurl": f"unix://{self.socket}"}
        config["supervisord"] = {
            "logfile": str(self.stack.logs / "supervisord.log"),
            "pidfile": str(self.pid_file),
            "directory": str(self.stack.state),
            "umask": "077",
            "minfds": "4096",
        }
        if os.geteuid() == 0:
            config["supervisord"]["user"] = "root"  # Said aloud, or it warns about itself.
        config["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface",
        }
        for service in services:
            environment = service.environment | {"STACK_SETTINGS": self._settings_digest(service)}
            command = [*(as_service_user(self.stack) if service.refuses_root else []), *service.command]
            config[f"program:{service.name}"] = {
                "command": " ".join(_quote(part) for part in command),
                "environment": ",".join(f"{name}={_quote(value)}" for name, value in environment.items()),
                "directory": str(service.directory or self.stack.state),
                "autostart": "false",
                "autorestart": "true",
                "startsecs": "2",
                "startretries": "3",
                "stopwaitsecs": str(_STOP_SECONDS),
                "stopasgroup": "true",
                "killasgroup": "true",
                "redirect_stderr": "true",
                "stdout_logfile": str(self.stack.logs / f"{service.name}.log"),
                "stdout_logfile_maxbytes": "20MB",
                "stdout_logfile_backups": "2",
            }
        self.stack.logs.mkdir(parents=True, exist_ok=True)
        with tempfile.SpooledTemporaryFile(mode="w+") as file:
            config.write(file)
            file.seek(0)
            write_private(self.config, file.read())

    def _settings_digest(self, service: Service) -> str:
        """Changes when the service's rendered settings do: supervisord then sees another program, and `up` restarts it."""
        folder = service.name if service.name in _SETTINGS else service.name.split("_")[0]
        names = _SETTINGS.get(folder, [folder])
        sources = sorted(path for name in names for path in [CONFIG / name, *(CONFIG / name).rglob("*")] if path.is_file())
        rendered = [
            self.stack.etc / path.relative_to(CONFIG).with_suffix("" if path.suffix == ".tmpl" else path.suffix) for path in sources
        ]
        return sha256(b"".join(path.read_bytes() for path in rendered)).hexdigest()[:16]

    @property
    def running(self) -> bool:
        """Whether this installation's supervisord answers."""
        try:
            self._call("getState")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def start_daemon(self) -> None:
        """Start supervisord, or let the one that runs read its settings again (changed programs are stopped for a restart)."""
        if self.running:
            added, changed, removed = self._call("reloadConfig")[0]
            for name in [*changed, *removed]:
                self._call("stopProcessGroup", name)
                self._call("removeProcessGroup", name)
            for name in [*added, *changed]:
                self._call("addProcessGroup", name)
            return
        self.socket.unlink(missing_ok=True)
        command = [VENVS / "stack" / "bin" / "supervisord", "--configuration", self.config]
        result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise StackError(f"supervisord did not start: {(result.stdout + result.stderr).strip()}")
        deadline = time.monotonic() + 20
        while not self.running:
            if time.monotonic() > deadline:
                raise StackError(f"supervisord does not answer; see {self.stack.logs / 'supervisord.log'}")
            time.sleep(0.1)

    def state(self, name: str) -> str:
        """RUNNING, STARTING, BACKOFF, STOPPED, EXITED or FATAL."""
        return str(self._call("getProcessInfo", name)["statename"])

    def states(self) -> dict[str, dict[str, Any]]:
        """Every service's process information; empty when nothing runs."""
        if not self.running:
            return {}
        return {info["name"]: info for info in self._call("getAllProcessInfo")}

    def start(self, name: str) -> None:
        """Start a service without waiting for it."""
        if self.state(name) not in ("RUNNING", "STARTING"):
            wait = False
            self._call("startProcess", name, wait)

    def stop(self, name: str) -> None:
        """Stop a service and wait until its processes are gone."""
        if self.state(name) not in _ENDED:
            self._call("stopProcess", name)

    def stop_together(self, names: list[str]) -> None:
        """Stop several services at once and wait for all of them."""
        running = [name for name in names if self.state(name) not in _ENDED]
        for name in running:
            wait = False
            self._call("stopProcess", name, wait)
        deadline = time.monotonic() + _STOP_SECONDS + 10
        while any(self.state(name) not in _ENDED for name in running) and time.monotonic() < deadline:
            time.sleep(0.2)

    def shut_down(self) -> None:
        """Stop every service and supervisord itself, and wait for the last process."""
        if not self.running:
            return
        process = psutil.Process(int(self.pid_file.read_text()))
        family = [process, *process.children(recursive=True)]
        self._call("shutdown")
        _, alive = psutil.wait_procs(family, timeout=_STOP_SECONDS + 10)
        for left in alive:
            left.kill()

    def _call(self, method: str, *arguments: Any) -> Any:
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=_UnixTransport(str(self.socket)))
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise StackError(f"supervisord refused {method}{arguments}: {fault.faultString}") from fault


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_STOP_SECONDS + 30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002  # there is one socket
        return _UnixConnection(self._path)


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
