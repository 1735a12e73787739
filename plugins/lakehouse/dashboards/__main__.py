"""Dashboards as files, from a shell: `python -m lakehouse.dashboards lint FOLDER…` and `python -m lakehouse.dashboards pull FOLDER`.

The first needs no server and no settings, so that it can be someone's pre-commit hook.
"""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.exceptions import LakehouseError

if TYPE_CHECKING:
    from lakehouse.dashboards.findings import Finding

_PASSWORD = "SUPERSET_PASSWORD"  # noqa: S105  # a name, not a password


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lakehouse.dashboards", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="lint|pull")
    lint = commands.add_parser("lint", help="check files of Superset (YAML, zip) and Grafana (JSON), offline; exit code 1 on errors")
    lint.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a file, or a folder of files")
    lint.add_argument("--contracts", action="append", default=[], type=Path, metavar="FOLDER", help="check SQL against its *.odcs.yaml")
    lint.add_argument(
        "--metrics", type=Path, metavar="FILE", help="names of the metrics that are exported, one a line, for Grafana's PromQL"
    )
    lint.add_argument("--notes", action="store_true", help="show what was not checked as well")
    lint.set_defaults(run=_lint)
    pull = commands.add_parser("pull", help="take edits made in Superset's pages into the files, changing nothing else in them")
    pull.add_argument("folder", type=Path, metavar="FOLDER")
    pull.add_argument("--url", required=True)
    pull.add_argument("--user", required=True)
    pull.add_argument("--password", help=f"better left out: taken from ${_PASSWORD}, or asked for")
    pull.add_argument("--ca", help="certificate of the authority that signed the server's")
    pull.add_argument("--board", action="append", metavar="SLUG", help="only these boards and what is on them")
    pull.set_defaults(run=_pull)
    for command in (lint, pull):
        command.add_argument(
            "--variable",
            action="append",
            metavar="NAME[=VALUE]",
            help="of `${NAME}` in the files; to lint, it says that our sync reads them",
        )
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except LakehouseError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a command's output
        return 2


def _variables(options: argparse.Namespace) -> dict[str, str] | None:
    named = options.variable
    return None if named is None else {name: value or name for name, _, value in (one.partition("=") for one in named)}


def _lint(options: argparse.Namespace) -> int:
    findings = [finding for path in options.paths for finding in _findings(path, options)]
    for finding in findings:
        if options.notes or finding.severity != "note":
            print(finding)  # noqa: T201  # a command's output
    counts = Counter(finding.severity for finding in findings)
    print(f"boards: {counts['error']} errors, {counts['warning']} warnings, {counts['note']} notes of what was not checked")  # noqa: T201
    return 1 if counts["error"] else 0


def _findings(path: Path, options: argparse.Namespace) -> Iterator[Finding]:
    """JSON is Grafana's, YAML and zip files are Superset's; a folder may have both."""
    from lakehouse.contracts import load_folder
    from lakehouse.dashboards.grafana import json_files
    from lakehouse.dashboards.grafana import lint as grafana
    from lakehouse.dashboards.superset import bundle, lint

    is_grafana = path.exists() and json_files.has_files(path)
    if is_grafana:
        metrics = grafana.read_metrics(options.metrics.read_text()) if options.metrics else None
        yield from grafana.lint(path, metrics)
    if not is_grafana or (path.is_dir() and bundle.roots(path)):
        logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # what it says is in the findings
        contracts = {table: contract for folder in options.contracts for table, contract in load_folder(folder).items()}
        yield from lint.lint(path, contracts, _variables(options))


def _pull(options: argparse.Namespace) -> int:
    from lakehouse.dashboards.superset.client import SupersetClient
    from lakehouse.dashboards.superset.pull import pull

    password = options.password or os.environ.get(_PASSWORD) or getpass.getpass(f"password of {options.user}: ")
    client = SupersetClient(options.url, options.user, password, verify=options.ca or True)
    written = pull(client, options.folder, options.board, variables=_variables(options))
    for path in written:
        print(path)  # noqa: T201  # a command's output
    print(f"{len(written)} files written; `git diff` shows what changed")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
