"""`make restore`: a back-up of `back_up_services`, brought back and compared object by object."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from rich.table import Table

from stack.errors import StackError
from stack.installation import VENVS, Installation, postgres_binaries
from stack.lifecycle import console, failing, step, up
from stack.services.postgres import connection
from stack.supervisor import Supervisor

# Who writes to the databases that are replaced.
_USERS_OF_DATABASES = ("airflow", "superset", "metastore")
REPORT = "restore-report.jsonl"


def restore(stack: Installation, backup: str | None, *, replace: bool) -> int:
    """Bring a back-up back; returns 0 when every object is as it was kept.

    Args:
        backup: its name, None for the newest.
        replace: also over an installation in which the pipeline has run.

    Raises:
        StackError: something does not answer, there is no such back-up, or the installation is in use.
    """
    if problems := failing(stack):
        raise StackError("these services do not answer:\n  " + "\n  ".join(problems))
    known = sorted((path.parent.name for path in stack.backups.glob("*/manifest.json")), reverse=True)
    if not known or (backup and backup not in known):
        raise StackError(f"there is no back-up {backup or ''} in {stack.backups}; there are: {', '.join(known) or 'none'}")
    backup = backup or known[0]
    if not replace and (runs := _runs(stack)):
        raise StackError(
            f"this installation has {runs} DAG runs, which the restore would replace by those of {backup}: "
            f"`make restore BACKUP={backup} REPLACE=yes`"
        )
    console.rule(f"Restore {backup}", align="left")
    report = stack.state / REPORT
    report.unlink(missing_ok=True)
    supervisor = Supervisor(stack)
    stopped = [name for name in supervisor.states() if name.startswith(_USERS_OF_DATABASES)]
    try:
        with step("stopping what uses the databases"):
            supervisor.stop_together(stopped)
        # Before Airflow goes on with what it did when it was backed up.
        whole = [_part(stack, part, backup, report) for part in ("databases", "logs")]
    finally:
        # Also brings what was restored to this version: migrations, passwords, connections.
        (stack.data / "superset" / ".provisioned").unlink(missing_ok=True)
        up(stack)
    whole += [_part(stack, part, backup, report) for part in ("superset", "catalog")]
    _print(report)
    return 0 if all(whole) else 1


def _runs(stack: Installation) -> int:
    with connection(stack, "airflow") as cursor:
        cursor.execute("SELECT count(*) FROM dag_run WHERE state = 'success'")
        row = cursor.fetchone()
        return int(row[0]) if row else 0


def _part(stack: Installation, part: str, backup: str, report: Path) -> bool:
    """One part, in Airflow's environment; its lines go to the terminal."""
    python = VENVS / "airflow" / "bin" / "python"
    command = [python, "-m", "lakehouse_provider.restore", part, f"--backup={backup}", f"--report={report}"]
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(stack.state / "airflow"),
        "AIRFLOW_CONFIG": str(stack.etc / "airflow" / "airflow.cfg"),
        "PATH": f"{postgres_binaries()}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "BACKUP_IDENTITY": stack.secrets["BACKUP_IDENTITY"],
        "PGUSER": "postgres",
        "PGPASSWORD": stack.secrets["POSTGRES_PASSWORD"],
    }
    command.append(f"--connections={stack.etc / 'connections.json'}")
    with step(f"restoring {part}"):
        result = subprocess.run([str(word) for word in command], env=environment, text=True, capture_output=True, check=False)
        said = result.stdout.strip() or result.stderr.strip()[-2000:]
        console.print("    " + said.replace("\n", "\n    "), markup=False)
    return result.returncode == 0


def _print(report: Path) -> None:
    """One line for each part, and one for each object that is not as it was kept."""
    objects = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
    table = Table("part", "objects", "as they were kept", title="Restored", title_justify="left")
    for part in dict.fromkeys(one["part"] for one in objects):
        its = [one for one in objects if one["part"] == part]
        table.add_row(part, f"{len(its)}", f"{sum(one['same'] for one in its)}")
    console.print(table)
    console.print(f"each object: {report}")
