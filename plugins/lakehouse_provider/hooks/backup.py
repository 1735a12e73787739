"""Where back-ups lie, on Airflow's connection types `fs` (a folder) and `aws` (a bucket), and the databases that they are of."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from lakehouse.exceptions import ConfigurationError
from lakehouse_provider.hooks.extras import read_extras

if TYPE_CHECKING:
    from lakehouse.backup.databases import Server
    from lakehouse.backup.vault import Vault


class BackupHook(BaseHook):
    """Opens the place of the back-ups.

    Args:
        conn_id: connection of type `fs` with the extra `path`, or of type `aws` with the extras `endpoint_url`, `bucket`, `prefix` and
            `region_name`. Both have `recipient`, a public key in the age format, and `snapshot_repository`, where OpenSearch puts its
            snapshots: `type` and `settings` as its API takes them.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "lakehouse_backup"
    conn_type = "fs"
    hook_name = "Back-ups"

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = conn_id

    def get_conn(self) -> Vault:
        """The vault."""
        return self.vault

    @cached_property
    def vault(self) -> Vault:
        """The vault, opened once.

        Raises:
            ConfigurationError: the connection lacks something.
        """
        from pyarrow import fs

        from lakehouse.backup.vault import Vault

        connection = self.get_connection(self.conn_id)
        if connection.conn_type == "fs":
            extras = self._extras(path=None)
            path = str(self._required(extras, "path"))
            files: Any = fs.LocalFileSystem()
            files.create_dir(path, recursive=True)
            shown = path
        elif connection.conn_type == "aws":
            extras = self._extras(endpoint_url=None, bucket=None, prefix="backups", region_name="us-east-1")
            scheme, _, endpoint = str(self._required(extras, "endpoint_url")).rpartition("://")
            path = f"{self._required(extras, 'bucket')}/{str(extras['prefix']).strip('/')}"
            files = fs.S3FileSystem(
                access_key=connection.login,
                secret_key=connection.password,
                endpoint_override=endpoint,
                scheme="http" if scheme == "http" else "https",
                region=extras["region_name"],
                connect_timeout=5,
                request_timeout=60,
            )
            shown = f"s3://{path}"
        else:
            raise ConfigurationError(f"connection {self.conn_id} has the type {connection.conn_type}: make it one of fs and aws")
        return Vault(fs.SubTreeFileSystem(path, files), shown, str(self._required(extras, "recipient")))

    @property
    def snapshot_repository(self) -> dict[str, Any]:
        """Where OpenSearch puts its snapshots; empty where the connection does not say."""
        return dict(self.get_connection(self.conn_id).extra_dejson.get("snapshot_repository") or {})

    def test_connection(self) -> tuple[bool, str]:
        """Lists the back-ups."""
        try:
            return True, f"{len(self.vault.backups())} whole back-ups in {self.vault.shown}"
        except Exception as error:  # noqa: BLE001  # the form shows whatever it was
            return False, str(error)

    def _extras(self, **defaults: Any) -> dict[str, Any]:
        return read_extras(self.get_connection(self.conn_id), recipient=None, snapshot_repository=None, **defaults)

    def _required(self, extras: dict[str, Any], name: str) -> Any:
        if not extras[name]:
            raise ConfigurationError(f"connection {self.conn_id} has no extra `{name}`: docs/backup.md says what to write")
        return extras[name]


def database_server(conn_id: str, user: str | None = None, password: str | None = None) -> Server:
    """The PostgreSQL server of a connection of type `postgres`, whose role may read all data; to restore, another role is given."""
    from lakehouse.backup.databases import Server

    connection = BaseHook.get_connection(conn_id)
    who = user or connection.login or "", password or connection.password or ""
    return Server(connection.host or "", connection.port or 5432, *who, options=connection.extra_dejson)
