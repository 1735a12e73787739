"""XML files from a landing prefix into a table, in groups that are mapped over workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.object_store import ObjectStoreHook
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ListFilesOperator(LakehouseOperator):
    """Lists the closed files of a landing prefix, in groups for `LoadXmlFilesOperator.expand(files=…)`.

    Args:
        landing: prefix where files arrive.
        quiet_seconds: a file that changed within this time may still be written and is left for the next run.
        max_groups: how many groups a run takes; what is beyond waits for the next one.
    """

    template_fields: Sequence[str] = ("landing", "quiet_seconds")

    def __init__(
        self,
        *,
        landing: str,
        quiet_seconds: int | str,
        max_files: int = 200,
        max_bytes: int = 256 << 20,
        max_groups: int = 64,
        s3_conn_id: str = "lakehouse_s3",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.landing, self.quiet_seconds = landing, quiet_seconds
        self.max_files, self.max_bytes, self.max_groups, self.s3_conn_id = max_files, max_bytes, max_groups, s3_conn_id

    def execute(self, context: Context) -> list[list[dict[str, Any]]]:  # noqa: ARG002
        """Returns the groups, each a list of objects."""
        from itertools import islice

        from lakehouse.groups import groups
        from lakehouse.xml_ingest.load import closed_files

        store = ObjectStoreHook(self.s3_conn_id).store
        closed, left = closed_files(store, self.landing, quiet=timedelta(seconds=int(self.quiet_seconds)))
        taken = list(islice(groups(closed, max_files=self.max_files, max_bytes=self.max_bytes), self.max_groups))
        waiting = len(closed) - sum(map(len, taken))
        self.log.info(
            "%s: %d files in %d groups; %d may still be written, %d wait for the next run",
            self.landing,
            len(closed) - waiting,
            len(taken),
            len(left),
            waiting,
        )
        for entry in left:
            self.log.info("left alone: %r, changed %s", entry.key, entry.modified)
        return [[asdict(entry) | {"modified": entry.modified.isoformat()} for entry in group] for group in taken]


class LoadXmlFilesOperator(LakehouseOperator):
    """Loads a group of XML files in one commit; every file ends in `archive/` or `refused/`.

    Args:
        contract: file of the table's contract.
        xsd: schema of the files; its first global element is the root, its second one the record.
        name: folder under `archive/` and `refused/`.
        files: objects from `ListFilesOperator`.
        known_values: returns the values that a column may have, by column.
    """

    template_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        contract: Path,
        xsd: Path,
        name: str,
        files: Sequence[dict[str, Any]],
        known_values: Callable[[], dict[str, frozenset[str]]] | None = None,
        catalog_conn_id: str = "lakehouse_catalog",
        s3_conn_id: str = "lakehouse_s3",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contract, self.xsd, self.name, self.files, self.known_values = contract, xsd, name, files, known_values
        self.catalog_conn_id, self.s3_conn_id = catalog_conn_id, s3_conn_id

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """Returns the counts."""
        from lakehouse.contracts import load
        from lakehouse.objects import StoredObject
        from lakehouse.xml_ingest.load import load_group
        from lakehouse.xml_ingest.parse import Feed

        entries = [StoredObject(**file | {"modified": datetime.fromisoformat(file["modified"])}) for file in self.files]
        counts = load_group(
            ObjectStoreHook(self.s3_conn_id).store,
            LakehouseCatalogHook(self.catalog_conn_id, self.s3_conn_id).catalog,
            load(Path(self.contract)),
            Feed(Path(self.xsd)),
            entries,
            name=self.name,
            known_values=self.known_values() if self.known_values else None,
        )
        self.log.info("loaded: %s", counts)
        return asdict(counts)


class ReconcileFilesOperator(LakehouseOperator):
    """Adds up what the groups did, tells the asset, and fails when more was refused than the contract allows; the rest is safe then.

    Args:
        contract: file of the table's contract.
        listed: the groups from `ListFilesOperator`.
        counts: what `LoadXmlFilesOperator` returned for each.
    """

    template_fields: Sequence[str] = ("listed", "counts")

    def __init__(self, *, contract: Path, listed: Any, counts: Any, catalog_conn_id: str = "lakehouse_catalog", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.contract, self.listed, self.counts, self.catalog_conn_id = contract, listed, counts, catalog_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the sums, and what the commits added."""
        from lakehouse.contracts import load
        from lakehouse.exceptions import CountError, RefusedThresholdError
        from lakehouse.iceberg.history import facts_of
        from lakehouse.xml_ingest.load import Loaded

        contract = load(Path(self.contract))
        parts = [Loaded(**part) for part in self.counts or ()]
        total = sum(parts, start=Loaded())
        total.check(contract.table)
        listed = sum(map(len, self.listed))
        if listed != total.files_read:
            raise CountError(f"{contract.table}: {listed} files were listed, the groups account for {total.files_read}")
        table = LakehouseCatalogHook(self.catalog_conn_id).catalog.load_table(contract.table)
        facts = asdict(total) | facts_of(table, [part.snapshot_id for part in parts if part.snapshot_id])
        self.log.info("collected: %s", facts)
        self.describe_outlets(context, facts)
        if total.files_refused == total.files_read - total.files_left > 0:
            raise RefusedThresholdError(f"every one of {total.files_refused} files was refused; the reasons are in ops_db.refused_files")
        if total.records_refused > contract.refused_threshold * total.records_read:
            raise RefusedThresholdError(
                f"{total.records_refused} of {total.records_read} records were refused, {contract.refused_threshold:.0%} are allowed; the "
                "good ones are loaded. The reasons, with file, line and a masked copy, are in ops_db.refused_records"
            )
        return facts
