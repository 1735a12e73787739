"""The stack's command line; `make help` lists the ways to call it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import requests

from stack import lifecycle, software
from stack.errors import StackError
from stack.installation import CATALOGS, REPO, Installation
from stack.supervisor import Supervisor


def main(arguments: list[str] | None = None) -> int:
    """Run one command of the stack; returns the exit code."""
    parser = argparse.ArgumentParser(prog="stack", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(os.environ.get("STATE") or REPO / "var"))
    parser.add_argument("--port-offset", type=int, default=os.environ.get("PORT_OFFSET") or "0")
    catalogs = "rest or hive, default the installation's own, rest for a new one"
    parser.add_argument("--catalog", type=_catalog, default=os.environ.get("CATALOG") or None, help=catalogs)
    scale = "yes: a Spark cluster, a second Trino node, and Airflow's Celery workers; default: as it was"
    parser.add_argument("--scale-out", choices=("yes", "no"), default=os.environ.get("SCALE") or None, help=scale)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="install what the services need")
    commands.add_parser("dev-environment", help="make the development environment")
    commands.add_parser("browser", help="install Chromium and its driver for the browser tests")
    commands.add_parser("up", help="install and start the services")
    commands.add_parser("down", help="stop the services")
    commands.add_parser("clean", help="stop the services and remove their state")
    commands.add_parser("status", help="which services run and answer")
    commands.add_parser("passwords", help="users and passwords of this installation")
    for name in ("start", "stop", "logs"):
        commands.add_parser(name).add_argument("service")
    commands.add_parser("drill", help="break the running stack in a known way, show what on-call gets, heal it").add_argument("fault")
    commands.add_parser("rotate", help="make new passwords, keys or certificates").add_argument("names", nargs="+")
    env = commands.add_parser("env", help="write .env and the settings for docker compose")
    env.add_argument("--env-file", type=Path, default=REPO / ".env")
    restore = commands.add_parser("restore", help="bring a back-up back and compare it")
    restore.add_argument("--backup")
    restore.add_argument("--replace", action="store_true", help="also where the pipeline has run")
    run = commands.add_parser("run", help="start everything, run the pipeline, report")
    run.add_argument("--date", default=os.environ.get("DATE") or None, help="the day to write, default yesterday (UTC)")
    run.add_argument("--rows", type=_positive, default=os.environ.get("ROWS") or "1000000", help="ticks of that day")
    options = parser.parse_args(arguments)
    _isolate()
    wanted = None if options.scale_out is None else options.scale_out == "yes"
    stack = Installation(options.state.resolve(), options.port_offset, wanted_catalog=options.catalog, wanted_scale_out=wanted)
    try:
        return _run(options, stack)
    except StackError as error:
        lifecycle.console.print(f"error: {error}", style="red", markup=False)
        return 1
    except requests.RequestException as error:
        lifecycle.console.print(f"error: no answer: {error}\nask every service with `make status`", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        lifecycle.console.print("interrupted")
        return 130


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _catalog(text: str) -> str:
    if text not in CATALOGS:
        raise argparse.ArgumentTypeError(f"there is no catalog {text}; there are: {', '.join(CATALOGS)}")
    return text


def _isolate() -> None:
    """Keep the caller's own Airflow settings out of ours, and calls to this machine out of a proxy."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"]))


def _run(options: argparse.Namespace, stack: Installation) -> int:
    if options.command == "install":
        lifecycle.install(stack)
    elif options.command == "dev-environment":
        with lifecycle.step("development environment"):
            software.install_environment("dev", (REPO / "requirements" / "dev.txt",), editable=True)
    elif options.command == "browser":
        with lifecycle.step("Chromium and its driver"):
            software.install_browser()
    elif options.command == "up":
        lifecycle.start(stack)
    elif options.command == "down":
        lifecycle.down(stack)
    elif options.command == "clean":
        lifecycle.clean(stack)
    elif options.command == "status":
        problems = lifecycle.failing(stack)
        lifecycle.console.print("\n".join(problems) or f"every service answers: {', '.join(lifecycle.service_names(stack))}", markup=False)
        return 1 if problems else 0
    elif options.command == "passwords":
        lifecycle.print_passwords(stack)
    elif options.command in ("start", "stop"):
        names = lifecycle.service_names(stack)
        if options.service not in names:
            raise StackError(f"there is no service {options.service}; there are: {', '.join(names)}")
        getattr(Supervisor(stack), options.command)(options.service)
        lifecycle.console.print(f"  {options.service}: {Supervisor(stack).state(options.service).lower()}")
    elif options.command == "logs":
        log = stack.logs / f"{options.service}.log"
        if not log.exists():
            logs = ", ".join(sorted(path.stem for path in stack.logs.glob("*.log")))
            raise StackError(f"no log of {options.service}; there are: {logs}")
        try:
            return subprocess.call(["tail", "-n", "100", "-F", str(log)])
        except KeyboardInterrupt:  # The usual way out.
            return 0
    elif options.command == "drill":
        from stack.drill import drill, listed

        if options.fault == "?":
            lifecycle.console.print(listed(), markup=False)
            return 0
        problems = drill(stack, options.fault).problems
        lifecycle.console.print(f"{options.fault}: " + ("as it has to be" if not problems else "NOT: " + "; ".join(problems)), markup=False)
        return 1 if problems else 0
    elif options.command == "env":
        from stack.compose import ComposeInstallation
        from stack.environment import write_environment

        containers = ComposeInstallation(
            stack.state / "compose", wanted_catalog=stack.wanted_catalog, wanted_scale_out=stack.wanted_scale_out
        )
        write_environment(containers, options.env_file)
    elif options.command == "rotate":
        from stack.rotate import rotate

        rotate(stack, options.names)
    elif options.command == "restore":
        from stack.restore import restore

        return restore(stack, options.backup, replace=options.replace)
    elif options.command == "run":
        from stack.run import parse_day, run_pipeline

        day = parse_day(options.date)
        lifecycle.start(stack)
        return run_pipeline(stack, day, rows=options.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
