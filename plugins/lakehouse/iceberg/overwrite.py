"""Whole days of a table replaced in one commit, by Arrow data; what Spark's dynamic partition overwrite does, without Spark."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from uuid import uuid4

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from lakehouse.exceptions import ChangedMeanwhileError, VerificationError
from lakehouse.iceberg.commits import until_it_goes_through, without_library_retry
from lakehouse.iceberg.data_files import write_data_files
from lakehouse.iceberg.history import data_files_by_day, summary_of

# Iceberg's own mark of a dynamic partition overwrite: with it Spark's `cherrypick_snapshot` takes the snapshot over to another head.
_REPLACE_PARTITIONS = "replace-partitions"
_WRITE_ID = "lakehouse.write-id"


def overwrite_days(
    catalog: Catalog, table: Table, days: set[date], pieces: Iterable[pa.RecordBatch], *, branch: str, summary: dict[str, str]
) -> Snapshot:
    """Replace the days on a branch with the pieces' rows, in one snapshot on exactly the branch's head that `table` shows.

    Raises:
        VerificationError: the pieces have a row of another day.
        ChangedMeanwhileError: the branch has moved meanwhile; another run writes it.
        TransientError: no commit went through.
    """
    name = ".".join(table.name())
    head = table.snapshot_by_name(branch)
    files = write_data_files(table, pieces)
    if strange := sorted(str(day) for day in data_files_by_day(table, files).keys() - days):
        raise VerificationError(f"{name}: rows of {strange} came with the days {sorted(map(str, days))}")
    properties = summary | {_REPLACE_PARTITIONS: "true", _WRITE_ID: uuid4().hex}

    def commit() -> Snapshot:
        # Loaded anew each time, because commits to other branches count up the table's sequence number.
        table = catalog.load_table(name)
        now = table.snapshot_by_name(branch)
        if now is None or summary_of(now).get(_WRITE_ID) != properties[_WRITE_ID]:
            if now != head:
                raise ChangedMeanwhileError(
                    f"branch {branch} of {name} was written by another run meanwhile: clear this one from `plan` on"
                )
            _commit(table, days, files, branch, properties)
            now = table.snapshot_by_name(branch)
        if now is None:
            raise VerificationError(f"{name}: branch {branch} is gone right after a commit to it: clear the run")
        return now

    return until_it_goes_through(f"the commit to branch {branch}", name, commit)


def _commit(table: Table, days: set[date], files: list[DataFile], branch: str, properties: dict[str, str]) -> None:
    without_library_retry(table)
    with (
        table.transaction() as transaction,
        transaction.update_snapshot(snapshot_properties=properties, branch=branch).overwrite() as overwrite,
    ):
        for day, old in data_files_by_day(table, table.snapshot_by_name(branch)).items():
            for file in old if day in days else ():
                overwrite.delete_data_file(file)
        for file in files:
            overwrite.append_data_file(file)
