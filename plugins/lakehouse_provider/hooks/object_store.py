"""The object store, on Airflow's own `aws` connection type."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from lakehouse_provider.hooks.extras import read_extras

if TYPE_CHECKING:
    from lakehouse.objects import ObjectStore


class ObjectStoreHook(BaseHook):
    """One bucket of an S3-compatible store; the extra `endpoint_url` is mandatory.

    Args:
        conn_id: connection of type `aws` with the extras `endpoint_url`, `bucket` and `region_name`.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "lakehouse_s3"
    conn_type = "aws"
    hook_name = "Amazon Web Services"

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = conn_id

    def get_conn(self) -> ObjectStore:
        """The bucket."""
        return self.store

    @cached_property
    def store(self) -> ObjectStore:
        """The bucket, opened once."""
        from lakehouse.objects import ObjectStore

        connection = self.get_connection(self.conn_id)
        extras = read_extras(connection, endpoint_url=None, region_name="us-east-1", bucket="lakehouse")
        return ObjectStore(
            endpoint_url=extras["endpoint_url"],
            access_key=connection.login or "",
            secret_key=connection.password or "",
            region=extras["region_name"],
            bucket=extras["bucket"],
        )
