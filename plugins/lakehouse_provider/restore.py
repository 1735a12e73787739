"""Restores a back-up of `back_up_services` and compares it object by object: `python -m lakehouse_provider.restore PART`.

Connections are found as Airflow's tasks find them; where its database is what is restored, from the file that `--connections` names.
By environment: `BACKUP_IDENTITY`, the private key; `PGUSER` and `PGPASSWORD`, a role of PostgreSQL that may create databases.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowNotFoundException

from lakehouse.exceptions import ConfigurationError, LakehouseError
from lakehouse_provider.hooks.backup import BackupHook, database_server
from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.grafana import GrafanaHook
from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook
from lakehouse_provider.hooks.superset import SupersetHook

if TYPE_CHECKING:
    from lakehouse.backup.compare import Compared


def main(arguments: list[str] | None = None) -> int:
    """Restore or compare one part; 1: something is not what was kept, or an error, which is one line."""
    parser = argparse.ArgumentParser(prog="python -m lakehouse_provider.restore", description=__doc__)
    parser.add_argument("part", choices=["list", *_PARTS])
    parser.add_argument("--backup", help="its name, such as 20261124T030000Z; default: the newest")
    parser.add_argument("--connections", type=Path, help="a file of connections, as `airflow connections export` writes it")
    parser.add_argument("--report", type=Path, help="a file that takes one line of JSON for each object")
    options = parser.parse_args(arguments)
    if options.connections:
        for conn_id, fields in json.loads(options.connections.read_text()).items():
            os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(fields)
    try:
        backups = BackupHook().vault.backups()
        if options.part == "list":
            print("\n".join(backups) or "there are no back-ups")  # noqa: T201  # a command's answer
            return 0
        if not backups:
            raise ConfigurationError(f"there is no whole back-up in {BackupHook().vault.shown}")
        compared = _PARTS[options.part](options.backup or backups[0])
    except AirflowNotFoundException as error:
        sys.exit(f"{error}: name a file with --connections, or set AIRFLOW_CONN_…")
    except LakehouseError as error:
        sys.exit(str(error))
    if options.report:
        with options.report.open("a") as report:
            report.writelines(json.dumps(asdict(one) | {"same": one.same}) + "\n" for one in compared)
    lost = [one for one in compared if not one.same]
    print(f"{options.part}: {len(compared) - len(lost)} of {len(compared)} objects as they were kept")  # noqa: T201
    for one in lost:
        print(f"  {one.name}: kept {one.kept}, now {one.restored or 'not there'}")  # noqa: T201
    return 1 if lost else 0


def _databases(backup: str) -> list[Compared]:
    from lakehouse.backup import databases

    server = database_server("lakehouse_postgres", os.environ.get("PGUSER"), os.environ.get("PGPASSWORD"))
    return databases.restore(server, BackupHook().vault, backup, os.environ.get("BACKUP_IDENTITY", ""))


def _logs(backup: str) -> list[Compared]:
    from lakehouse.backup import logs

    hook = BackupHook()
    return logs.restore(LakehouseOpenSearchHook("lakehouse_opensearch_admin").client, hook.snapshot_repository, hook.vault, backup)


def _superset(backup: str) -> list[Compared]:
    from lakehouse.backup import boards

    return boards.compare_superset(SupersetHook().client, BackupHook().vault, backup)


def _grafana(backup: str) -> list[Compared]:
    from lakehouse.backup import boards

    return boards.restore_grafana(GrafanaHook().client, BackupHook().vault, backup)


def _catalog(backup: str) -> list[Compared]:
    from lakehouse.backup import catalog

    return catalog.compare_catalog(LakehouseCatalogHook().catalog, BackupHook().vault, backup)


_PARTS: dict[str, Callable[[str], list[Compared]]] = {
    "databases": _databases,
    "logs": _logs,
    "superset": _superset,
    "grafana": _grafana,
    "catalog": _catalog,
}

if __name__ == "__main__":
    sys.exit(main())
