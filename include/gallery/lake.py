"""The table of images, at the snapshot that is shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pyiceberg.exceptions import ForbiddenError, NoSuchNamespaceError, NoSuchTableError, UnauthorizedError
from pyiceberg.table import Table

from include.gallery.settings import Settings
from include.gallery.waiting import within
from lakehouse.exceptions import LakehouseError, ServiceError, TransientError
from lakehouse.iceberg.catalog import open_catalog

SECONDS = 15


class MissingTableError(LakehouseError):
    """The catalog answers, and has no such table."""


@dataclass(frozen=True)
class Shown:
    """One snapshot of the table; None where it never had a row."""

    table: Table
    snapshot_id: int | None
    made_at: datetime | None

    @property
    def version(self) -> str:
        """Names what is shown; whatever was read of it holds for ever."""
        return f"{self.table.metadata.table_uuid}:{self.snapshot_id}"


def open_table(settings: Settings) -> Shown:
    """The table at its present snapshot.

    Raises:
        MissingTableError: there is no such table.
        ServiceError: the catalog refuses the gallery's key.
        TransientError: it does not answer in time.
    """
    where = f"the catalog at {settings.catalog.get('uri', '?')}"
    table = within(SECONDS, f"{where}, or the store behind it,", lambda: _load(settings, where))
    head = table.current_snapshot()
    made_at = datetime.fromtimestamp(head.timestamp_ms / 1000, UTC) if head else None
    return Shown(table, head.snapshot_id if head else None, made_at)


def _load(settings: Settings, where: str) -> Table:
    store = settings.store
    files = {
        "s3.endpoint": store.endpoint_url,
        "s3.region": store.region,
        "s3.access-key-id": store.access_key,
        "s3.secret-access-key": store.secret_key,
        "s3.path-style-access": "true",
        "s3.connect-timeout": "3",
        "s3.request-timeout": "10",
    }
    try:
        return open_catalog(settings.catalog_name, **settings.catalog, **files).load_table(settings.table)
    except (NoSuchTableError, NoSuchNamespaceError) as error:
        raise MissingTableError(f"{where} has no table {settings.table}") from error
    except (ForbiddenError, UnauthorizedError) as error:
        raise ServiceError(f"{where} refuses the gallery's key", status=403) from error
    # The clients of a dead catalog raise whatever their transport does.
    except Exception as error:
        raise TransientError(f"{where} does not answer ({type(error).__name__})") from error
