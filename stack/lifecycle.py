"""Bringing the stack up, asking how it is, taking it down."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg2
import requests
from rich.console import Console

from stack import services, software
from stack.errors import StackError
from stack.installation import CACHE, Installation
from stack.ports import check_free
from stack.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

# In a file or a CI log there is no width to adapt to.
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 150)

_FATAL = re.compile(r"^F\d{4} |FATAL|ERROR|Error:|Traceback")

# What "not yet" looks like, over all the services.
NOT_READY = (OSError, requests.RequestException, psycopg2.Error, KeyError, ValueError, TimeoutError)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what is being done and, when it is done, how long it took."""
    started = time.monotonic()
    console.print(f"  {text} …")
    yield
    console.print(f"  {text} [green]done[/green] in {time.monotonic() - started:.0f} s")


def start(stack: Installation) -> None:
    """Install and start; the catalog is settled before anything is fetched for it."""
    stack.keep_choices()
    install(stack)
    up(stack)


def install(stack: Installation) -> None:
    """Everything that is fetched from outside; quick when it is there already."""
    console.rule("Install", align="left")
    for name, locks in software.ENVIRONMENTS.items():
        with step(f"Python environment for {name.title()}"):
            software.install_environment(name, locks, editable=name in software.WITH_PROJECT)
    with step("Java servers and Spark's Iceberg jars"):
        software.install_java_servers()
    with step("Java for Spark"):
        software.install_java()
    if stack.catalog == "hive":
        with step("Hive metastore"):
            software.install_metastore()
    with step("Prometheus and node exporter from Debian"):
        reason = software.install_prometheus()
    if reason:
        console.print(f"  [yellow]metrics are off: {reason}[/yellow]")
    with step("Prometheus Pushgateway from Debian"):
        reason = software.install_pushgateway()
    if reason:
        console.print(f"  [yellow]the tasks' own figures are not kept: {reason}[/yellow]")
    with step("Prometheus Alertmanager from Debian"):
        reason = software.install_alertmanager()
    if reason:
        console.print(f"  [yellow]alerts are sent to nobody: {reason}[/yellow]")
    with step("exporters for OpenSearch and PostgreSQL from Debian"):
        reason = software.install_exporters()
    if reason:
        console.print(f"  [yellow]there are no metrics of OpenSearch, PostgreSQL and Airflow: {reason}[/yellow]")
    with step("rsyslog from Debian"):
        reason = software.install_log_collector()
    if reason:
        console.print(f"  [yellow]the services' own logs are not collected: {reason}[/yellow]")


def up(stack: Installation) -> None:
    """Start what does not run, in order, and wait until each service really answers; Ctrl-C leaves nothing half-started."""
    supervisor = Supervisor(stack)
    console.rule("Start", align="left")
    for folder in (stack.state, stack.etc, stack.data, stack.logs, stack.backups):
        folder.mkdir(parents=True, exist_ok=True)
        # Started by root, servers with a user of their own must be able to pass through.
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    stack.render({"SPARK_JARS": ",".join(map(str, software.spark_jars()))} | services.password_hashes(stack) | services.alerting(stack))
    services.create_certificates(stack)
    waves = services.waves(stack)
    every = [service for wave in waves for service in wave]
    running = {name for name, info in supervisor.states().items() if info["statename"] in ("RUNNING", "STARTING")}
    check_free(stack, [port for service in every if service.name not in running for port in service.ports])
    fresh_daemon = not supervisor.running
    try:
        supervisor.configure(every)
        supervisor.start_daemon()
        for wave in waves:
            _start_wave(stack, supervisor, wave)
    except BaseException:
        if fresh_daemon:
            console.print("  stopping what was started")
            down(stack)
        raise


def _start_wave(stack: Installation, supervisor: Supervisor, wave: list[services.Service]) -> None:
    """Prepare what is stopped (migrations, users) side by side, then start all of it, then wait for each."""
    started = time.monotonic()
    stopped = [service for service in wave if supervisor.state(service.name) not in ("RUNNING", "STARTING")]
    for service in stopped:
        console.print(f"  starting {service.title}")
    with ThreadPoolExecutor() as pool:
        list(pool.map(_prepare, stopped))
    for service in stopped:
        supervisor.start(service.name)
    for service in wave:
        wait_ready(stack, supervisor, service)
        took = f"ready after {time.monotonic() - started:.0f} s" if service in stopped else "already running"
        console.print(f"  [green]✓[/green] {service.title}: {took}")
    for service in wave:
        if service.setup is not None:
            service.setup()


def _prepare(service: services.Service) -> None:
    if service.directory is not None:
        service.directory.mkdir(parents=True, exist_ok=True)
    if service.prepare is not None:
        service.prepare()


def wait_ready(stack: Installation, supervisor: Supervisor, service: services.Service) -> None:
    """Wait until the service answers.

    Raises:
        StackError: it died, or did not answer in its time; the end of its log is shown.
    """
    started = time.monotonic()
    problem: object = "it does not answer"
    while time.monotonic() < started + service.timeout:
        if supervisor.state(service.name) in ("FATAL", "EXITED"):
            problem = "its process ended"
            break
        try:
            if service.ready():
                return
        except NOT_READY as error:
            problem = error
        time.sleep(0.3)
    log = stack.logs / f"{service.name}.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else ["(no log)"]
    # The cause stands before the stack trace that ends the log.
    cause = [line for line in lines[-400:] if _FATAL.search(line)][:1]
    tail = "\n    ".join([*cause, *lines[-12:]])
    took = time.monotonic() - started
    raise StackError(f"{service.title} did not become ready ({problem}, given up after {took:.0f} s)\n  from {log}:\n    {tail}")


def failing(stack: Installation) -> list[str]:
    """One line for each service that does not run or does not answer, with what to do."""
    supervisor = Supervisor(stack)
    states = supervisor.states()
    if not states:
        return ["nothing runs: `make up`"]
    lines = []
    for service in (service for wave in services.waves(stack) for service in wave):
        state = states.get(service.name, {}).get("statename", "STOPPED")
        problem: object = None
        if state != "RUNNING":
            problem = f"its process is {state.lower()}"
        else:
            try:
                problem = None if service.ready() else "it answers, but is not ready"
            except NOT_READY as error:
                problem = error
        if problem:
            lines.append(f"{service.name} ({service.title}): {problem} - `make up` starts it, `make logs SERVICE={service.name}` says why")
    return lines


def down(stack: Installation) -> None:
    """Stop every process of the stack, those that need the others first."""
    supervisor = Supervisor(stack)
    if not supervisor.running:
        console.print("  nothing runs")
        return
    with step("stopping the stack"):
        known = supervisor.states()
        for wave in reversed(services.waves(stack)):
            supervisor.stop_together([service.name for service in wave if service.name in known])
        supervisor.shut_down()


def clean(stack: Installation) -> None:
    """Remove the installation's state: data, settings, passwords, logs. Installed software and downloads stay."""
    if not stack.secrets_file.exists() and not stack.catalog_file.exists():
        console.print(f"  there is no installation in {stack.state}: nothing is removed")
        return
    down(stack)
    for name in ("etc", "data", "logs", "airflow", "screenshots"):
        shutil.rmtree(stack.state / name, ignore_errors=True)
    for path in (stack.catalog_file, stack.scale_out_file, stack.state / "run-report.json"):
        path.unlink(missing_ok=True)
    if any(stack.backups.glob("*/manifest.json")):
        # Without the keys the back-ups can be read by nobody.
        console.print(f"  kept: the back-ups in {stack.backups}, and {stack.secrets_file}, whose keys they need; remove both by hand")
    else:
        shutil.rmtree(stack.backups, ignore_errors=True)
        stack.secrets_file.unlink(missing_ok=True)
    console.print(f"  removed the state in {stack.state}; software is kept in {software.SOFTWARE.parent}, downloads in {CACHE}")


def service_names(stack: Installation) -> list[str]:
    """What `SERVICE=` may be."""
    return [service.name for wave in services.waves(stack) for service in wave]


def print_passwords(stack: Installation) -> None:
    """Where people sign in, and as whom; plain lines, so that nothing is cut."""
    if not stack.secrets_file.exists():
        raise StackError(f"there is no installation in {stack.state} yet: `make up`")
    for title, user, secret, port in (
        ("Airflow", "admin", "AIRFLOW_ADMIN_PASSWORD", "airflow"),
        ("Superset", "admin", "SUPERSET_ADMIN_PASSWORD", "superset"),
        *(("Superset", user, f"SUPERSET_{user.upper()}_PASSWORD", "superset") for user in ("analyst", "viewer", "developer", "ops")),
        ("OpenSearch", "admin", "OPENSEARCH_ADMIN_PASSWORD", "opensearch"),
        ("OpenSearch", "log_reader", "OPENSEARCH_READER_PASSWORD", "opensearch"),
        ("SeaweedFS", "admin", "SEAWEEDFS_ADMIN_PASSWORD", "seaweedfs_admin"),
    ):
        scheme = "https" if port == "opensearch" else "http"
        address = f"{scheme}://localhost:{stack.ports[port]}"
        console.print(f"{title:11} {user:11} {stack.secrets[secret]:33} {address}", markup=False)
    console.print(f"all of them: {stack.secrets_file}; Trino's page takes any user name and no password")
