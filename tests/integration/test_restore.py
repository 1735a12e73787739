"""`make restore` into an empty stack, which has of the old one its secrets, its back-ups, and its storage's own copy.

It stops the tests' stack, so it comes last.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stack.airflow_api import AirflowApi
from stack.errors import StackError
from stack.installation import Installation
from stack.report import query
from tests.conftest import PORT_OFFSET, run_stack
from tests.integration.test_backup import run

pytestmark = pytest.mark.restore


@dataclass
class Moved:
    """The stack after its restore, and what was seen of the old one."""

    stack: Installation
    run_id: str
    logs: int
    printed: str
    code: int

    def objects(self) -> list[dict[str, Any]]:
        """What the restore compared."""
        return [json.loads(line) for line in (self.stack.state / "restore-report.jsonl").read_text().splitlines()]


def stack_of(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The stack tool on another installation."""
    return run_stack(*arguments, check=False, state=state)


@pytest.fixture(scope="module")
def moved(stack: Installation, api: AirflowApi) -> Iterator[Moved]:
    """The tests' stack, backed up, stopped, and restored in another folder."""
    api.call("PATCH", "/dags/upload_images", json={"is_paused": True})
    sql = "SELECT count(*) FROM hive_prod.logs_db.raw_logs"
    run_id, logs = run(api), int(query(stack, sql)[0][0])
    run_stack("down")
    state = stack.state.parent / "test-restore"
    stack_of(state, "down")
    shutil.rmtree(state, ignore_errors=True)
    (state / "data").mkdir(parents=True)
    for name in ("secrets.env", "catalog"):
        shutil.copy2(stack.state / name, state / name)
    shutil.copytree(stack.backups, state / "backups")
    shutil.copytree(stack.data / "seaweedfs", state / "data" / "seaweedfs", ignore=shutil.ignore_patterns("*.sock"))
    try:
        up = stack_of(state, "up")
        assert up.returncode == 0, up.stdout[-3000:]
        done = stack_of(state, "restore")
        yield Moved(Installation(state, PORT_OFFSET), run_id, logs, done.stdout, done.returncode)
    finally:
        stack_of(state, "down")
        shutil.rmtree(state, ignore_errors=True)


@pytest.mark.timeout(900)
def test_every_object_is_as_it_was_kept(moved: Moved) -> None:
    objects = moved.objects()

    assert moved.code == 0, moved.printed
    assert [one for one in objects if not one["same"]] == []
    assert Counter(one["part"] for one in objects).keys() == {"databases", "logs", "superset", "catalog"}
    assert any(one["kept"] != "0" for one in objects if one["part"] == "logs")


def test_airflow_knows_its_runs_and_goes_on(moved: Moved) -> None:
    api = AirflowApi(moved.stack)

    assert api.run("back_up_services", moved.run_id)["state"] in ("running", "success")
    assert api.dags()["upload_images"]["is_paused"]
    assert run(api) != moved.run_id


def test_trino_reads_the_tables(moved: Moved) -> None:
    assert int(query(moved.stack, "SELECT count(*) FROM hive_prod.logs_db.raw_logs")[0][0]) == moved.logs


@pytest.mark.timeout(900)
def test_passwords_keys_and_certificate_are_rotated_and_everything_goes_on(moved: Moved) -> None:
    old = dict(moved.stack.secrets)
    certificate = (moved.stack.etc / "opensearch" / "ca.pem").read_text()
    names = [
        "S3_SECRET_KEY",
        "VALKEY_PASSWORD",
        "POSTGRES_AIRFLOW_PASSWORD",
        "POSTGRES_BACKUP_PASSWORD",
        "OPENSEARCH_METRICS_PASSWORD",
        "SUPERSET_ADMIN_PASSWORD",
        "AIRFLOW_ADMIN_PASSWORD",
        "AIRFLOW_JWT_SECRET",
        "AIRFLOW_FERNET_KEY",
        "OPENSEARCH_CERTIFICATE",
    ]
    done = stack_of(moved.stack.state, "rotate", *names)
    assert done.returncode == 0, done.stdout[-3000:]

    fresh = Installation(moved.stack.state, PORT_OFFSET)
    assert {name for name in old if fresh.secrets[name] != old[name]} == set(names) - {"OPENSEARCH_CERTIFICATE"}
    assert (moved.stack.etc / "opensearch" / "ca.pem").read_text() != certificate
    api = AirflowApi(fresh)
    assert run(api)
    assert run(api, "preflight")
    with pytest.raises(StackError):
        AirflowApi(moved.stack)


def test_what_cannot_be_rotated_says_what_to_do(moved: Moved) -> None:
    refused = stack_of(moved.stack.state, "rotate", "BACKUP_IDENTITY")

    assert refused.returncode == 1
    assert "older back-ups can be read with this one alone" in refused.stdout


def test_an_installation_in_use_is_not_written_over(moved: Moved) -> None:
    again = stack_of(moved.stack.state, "restore")

    assert again.returncode == 1
    assert "DAG runs, which the restore would replace" in again.stdout
    assert "REPLACE=yes" in again.stdout


def test_what_is_no_back_up_is_named(moved: Moved) -> None:
    wrong = stack_of(moved.stack.state, "restore", "--backup", "20200101T000000Z")

    assert wrong.returncode == 1
    assert "there is no back-up 20200101T000000Z in" in wrong.stdout
