"""`back_up_services` through the real scheduler: what it keeps, of what it keeps nothing in clear, and how it fails."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lakehouse.backup import databases, logs
from lakehouse.exceptions import ConfigurationError, ServiceError, TransientError
from lakehouse_provider.hooks.backup import BackupHook, database_server
from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook
from stack.airflow_api import AirflowApi, polling
from stack.installation import Installation, postgres_binaries

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("connections")]


def run(api: AirflowApi, dag_id: str = "back_up_services", **conf: Any) -> str:
    """One run to its end; its id."""
    api.unpause(dag_id)
    run_id = api.trigger(dag_id, conf)
    with polling(120, dag_id) as ticks:
        for _ in ticks:
            if api.run(dag_id, run_id)["state"] in ("success", "failed"):
                break
    assert api.run(dag_id, run_id)["state"] == "success", api.failures(dag_id, run_id)
    return run_id


@pytest.fixture(scope="module")
def backup(stack: Installation, api: AirflowApi) -> Path:
    """The folder of one back-up."""
    run_id = run(api)
    return stack.backups / str(api.xcom("back_up_services", run_id, "close")["backup"])


def test_it_has_every_part_and_says_what_is_in_it(backup: Path) -> None:
    parts = json.loads((backup / "manifest.json").read_text())["parts"]

    assert sorted(parts) == ["catalog", "databases", "logs", "superset"]
    assert {name.partition("/")[0] for name in parts["databases"]["objects"]} == {"airflow", "superset", "lakehouse_ops"}
    assert parts["databases"]["objects"]["airflow/public.connection"].split(" rows")[0] != "0"
    assert "ops_db.incidents" in parts["catalog"]["objects"]


def test_no_password_of_the_installation_lies_there_in_clear(backup: Path, stack: Installation) -> None:
    secrets = {name: value.encode() for name, value in stack.secrets.items()}
    content = {path: path.read_bytes() for path in backup.iterdir()}

    assert len(content) > 5
    assert [(name, path.name) for name, value in secrets.items() for path, data in content.items() if value in data] == []
    assert all(data.startswith(b"age-encryption.org/v1\n") for path, data in content.items() if ".dump" in path.name)


def test_a_whole_back_up_is_left_as_it_is(backup: Path, api: AirflowApi) -> None:
    # A restored Airflow goes on with the run that backed it up: it must not write over it what an empty installation has.
    before = {path.name: path.read_bytes() for path in backup.iterdir()}
    run_id = next(
        entry["dag_run_id"] for entry in api.runs("back_up_services")
        if entry["state"] == "success" and api.xcom("back_up_services", entry["dag_run_id"], "close")["backup"] == backup.name
    )  # fmt: skip
    api.call("POST", "/dags/back_up_services/clearTaskInstances", json={"dag_run_id": run_id, "dry_run": False, "only_failed": False})
    with polling(120, "the run after it was cleared") as ticks:
        for _ in ticks:
            if api.run("back_up_services", run_id)["state"] in ("success", "failed"):
                break

    assert api.run("back_up_services", run_id)["state"] == "success"
    assert {path.name: path.read_bytes() for path in backup.iterdir() if path.name != "manifest.json"} == {
        name: data for name, data in before.items() if name != "manifest.json"
    }


def test_the_newest_stay_and_so_do_their_snapshots(backup: Path, api: AirflowApi, stack: Installation) -> None:
    run_id = run(api, keep=1)

    newest = api.xcom("back_up_services", run_id, "close")["backup"]
    assert BackupHook().vault.backups() == [newest]
    assert not backup.exists()
    client = LakehouseOpenSearchHook("lakehouse_opensearch_admin").client
    snapshots = client.request("GET", f"/_snapshot/{logs.REPOSITORY}/_all").json()["snapshots"]
    assert [snapshot["snapshot"] for snapshot in snapshots] == [newest.lower()]


def test_its_role_reads_all_databases_and_writes_none() -> None:
    server = database_server("lakehouse_postgres")

    with server.connect("airflow") as connection:
        assert connection.execute("SELECT count(*) FROM connection").fetchone() != (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM connection")


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's programs on the PATH."""
    monkeypatch.setenv("PATH", f"{postgres_binaries()}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"password": "wrong"}, ServiceError, r"refuses backup: .*mend connection lakehouse_postgres"),
        ({"port": 1}, TransientError, r"PostgreSQL 127.0.0.1:1, database postgres: .*is it running\?"),
    ],
)
@pytest.mark.usefixtures("programs")
def test_a_server_that_refuses_or_is_not_there_is_named(change: dict[str, Any], error: type[Exception], says: str) -> None:
    server = database_server("lakehouse_postgres")

    with pytest.raises(error, match=says):
        databases.back_up(databases.Server(**{**vars(server), **change}), BackupHook().vault, "20200101T000000Z")


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ConfigurationError, match="there is no pg_dump on the PATH: install PostgreSQL's client"):
        databases.back_up(database_server("lakehouse_postgres"), BackupHook().vault, "20200101T000000Z")


def test_an_older_program_than_the_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    debians = Path("/usr/bin/pg_dump")
    if not debians.exists() or " 16." in subprocess.check_output([debians, "--version"], text=True):
        pytest.skip("this machine has no older pg_dump, as Debian 12 has with its PostgreSQL client")
    monkeypatch.setenv("PATH", str(debians.parent))

    with pytest.raises(ConfigurationError, match=r"/usr/bin/pg_dump is older than PostgreSQL .*server's major version first on the PATH"):
        databases.back_up(database_server("lakehouse_postgres"), BackupHook().vault, "20200101T000000Z")


def test_a_folder_that_opensearch_may_not_use_is_named(tmp_path: Path) -> None:
    client = LakehouseOpenSearchHook("lakehouse_opensearch_admin").client
    elsewhere = {"type": "fs", "settings": {"location": str(tmp_path)}}

    with pytest.raises(ConfigurationError, match=r"cannot use the snapshot repository .* has to stand in `path.repo`"):
        logs.back_up(client, elsewhere, "20200101T000000Z", "logs-*")
    with pytest.raises(ConfigurationError, match=r"has no extra `snapshot_repository`: docs/backup.md"):
        logs.back_up(client, {}, "20200101T000000Z", "logs-*")
