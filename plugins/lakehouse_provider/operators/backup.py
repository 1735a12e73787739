"""Back-ups: an operator for each part, and one that makes the whole of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSkipException

from lakehouse_provider.hooks.backup import BackupHook, database_server
from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.grafana import GrafanaHook
from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook
from lakehouse_provider.hooks.superset import SupersetHook
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from lakehouse.backup.vault import Kept, Vault


class _BackUpOperator(LakehouseOperator):
    """Backs up one part into the run's back-up, which has the name of the run's time, such as `20261124T030000Z`.

    A back-up that is whole is left as it is, whoever runs its tasks again: a restored Airflow goes on with the run that backed it up.
    """

    part: str

    def __init__(self, *, backup_conn_id: str = "lakehouse_backup", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backup_conn_id = backup_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the part's name, and how many objects and bytes it has."""
        vault, backup = BackupHook(self.backup_conn_id).vault, name_of(context)
        if backup in vault.backups():
            self.log.info("back-up %s is whole, and is left as it is; trigger the DAG for a new one", backup)
            if self.part not in vault.manifest(backup)["parts"]:
                raise AirflowSkipException(f"back-up {backup} is whole without {self.part}")
            kept = vault.part(backup, self.part)
        else:
            kept = self.back_up(vault, backup)
            vault.keep_part(backup, kept)
        size = sum(file.size for file in kept.files)
        self.log.info("%s: %d objects, %.1f MB in %s/%s", kept.part, len(kept.objects), size / 1e6, vault.shown, backup)
        return {"part": kept.part, "objects": len(kept.objects), "bytes": size}

    @abstractmethod
    def back_up(self, vault: Vault, backup: str) -> Kept:
        """Copy the part and say what it has."""


class BackUpDatabasesOperator(_BackUpOperator):
    """Every database of a PostgreSQL server, dumped and encrypted; see `lakehouse.backup.databases`.

    Args:
        postgres_conn_id: a role that may read all data.
    """

    part = "databases"

    def __init__(self, *, postgres_conn_id: str = "lakehouse_postgres", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.postgres_conn_id = postgres_conn_id

    def back_up(self, vault: Vault, backup: str) -> Kept:
        """The databases."""
        from lakehouse.backup import databases

        return databases.back_up(database_server(self.postgres_conn_id), vault, backup)


class BackUpSupersetOperator(_BackUpOperator):
    """Superset's boards as files."""

    part = "superset"

    def __init__(self, *, superset_conn_id: str = "lakehouse_superset", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.superset_conn_id = superset_conn_id

    def back_up(self, vault: Vault, backup: str) -> Kept:
        """The boards."""
        from lakehouse.backup import boards

        return boards.back_up_superset(SupersetHook(self.superset_conn_id).client, vault, backup)


class BackUpGrafanaOperator(_BackUpOperator):
    """Grafana's folders and dashboards as files; skipped where there is no such connection."""

    part = "grafana"

    def __init__(self, *, grafana_conn_id: str = "lakehouse_grafana", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.grafana_conn_id = grafana_conn_id

    def back_up(self, vault: Vault, backup: str) -> Kept:
        """The dashboards."""
        from lakehouse.backup import boards

        try:
            client = GrafanaHook(self.grafana_conn_id).client
        except AirflowNotFoundException as error:
            raise AirflowSkipException(f"there is no connection {self.grafana_conn_id}, so no Grafana to back up") from error
        return boards.back_up_grafana(client, vault, backup)


class BackUpLogsOperator(_BackUpOperator):
    """OpenSearch's indices as a snapshot; see `lakehouse.backup.logs`.

    Args:
        pattern: the indices.
        opensearch_conn_id: an identity that may take snapshots.
    """

    part = "logs"

    def __init__(self, *, pattern: str, opensearch_conn_id: str = "lakehouse_opensearch_admin", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pattern, self.opensearch_conn_id = pattern, opensearch_conn_id

    def back_up(self, vault: Vault, backup: str) -> Kept:  # noqa: ARG002  # the snapshot lies where OpenSearch can write
        """The indices."""
        from lakehouse.backup import logs

        client = LakehouseOpenSearchHook(self.opensearch_conn_id).client
        return logs.back_up(client, BackupHook(self.backup_conn_id).snapshot_repository, backup, self.pattern)


class BackUpCatalogOperator(_BackUpOperator):
    """The catalog's metadata; see `lakehouse.backup.catalog`."""

    part = "catalog"

    def __init__(self, *, catalog_conn_id: str = "lakehouse_catalog", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.catalog_conn_id = catalog_conn_id

    def back_up(self, vault: Vault, backup: str) -> Kept:
        """The tables' metadata."""
        from lakehouse.backup import catalog

        return catalog.back_up(LakehouseCatalogHook(self.catalog_conn_id).catalog, vault, backup)


class CloseBackupOperator(LakehouseOperator):
    """Writes the manifest, without which a back-up counts as none, and removes the oldest ones.

    Args:
        kept: what the parts' tasks returned; one that was skipped gave nothing.
        keep: how many whole back-ups stay.
    """

    template_fields: Sequence[str] = ("kept", "keep")

    def __init__(
        self,
        *,
        kept: Sequence[Any],
        keep: int | str = 14,
        backup_conn_id: str = "lakehouse_backup",
        opensearch_conn_id: str = "lakehouse_opensearch_admin",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kept, self.keep = kept, keep
        self.backup_conn_id, self.opensearch_conn_id = backup_conn_id, opensearch_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the back-up's name, its objects by part, and the names of those that were removed."""
        from lakehouse.backup import logs

        hook, backup = BackupHook(self.backup_conn_id), name_of(context)
        parts = [kept["part"] for kept in self.kept if kept]
        found = hook.vault.close(backup, parts, run_id=context["run_id"])
        self.log.info("back-up %s is whole: %s/%s", backup, hook.vault.shown, backup)
        gone = hook.vault.prune(int(self.keep), backup)
        if gone:
            logs.forget(LakehouseOpenSearchHook(self.opensearch_conn_id).client, hook.snapshot_repository, gone)
        return {"backup": backup, "objects": {part: len(kept.objects) for part, kept in found.items()}, "removed": gone}


def name_of(context: Context) -> str:
    """The run's back-up; a task that is cleared goes on in the same."""
    return f"{context['dag_run'].run_after:%Y%m%dT%H%M%SZ}"
