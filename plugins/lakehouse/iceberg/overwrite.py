"""Whole days of a table replaced in one commit, by Arrow data; what Spark's dynamic partition overwrite does, without Spark."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import pyarrow as pa
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from lakehouse.exceptions import VerificationError
from lakehouse.iceberg.commits import without_library_retry
from lakehouse.iceberg.data_files import write_data_files
from lakehouse.iceberg.history import data_files_by_day

# Iceberg's own mark of a dynamic partition overwrite: with it Spark's `cherrypick_snapshot` takes the snapshot over to a main that has moved.
_REPLACE_PARTITIONS = "replace-partitions"


def overwrite_days(table: Table, days: set[date], pieces: Iterable[pa.RecordBatch], *, branch: str, summary: dict[str, str]) -> Snapshot:
    """Replace the days on a branch with the pieces' rows, in one snapshot on exactly the head that `table` shows.

    Raises:
        VerificationError: the pieces have a row of another day, or the branch has no such snapshot afterwards.
        CommitFailedException: the branch has moved meanwhile.
    """
    head = table.snapshot_by_name(branch)
    files = write_data_files(table, pieces)
    new = data_files_by_day(table, files)
    if strange := sorted(str(day) for day in new.keys() - days):
        raise VerificationError(f"{'.'.join(table.name())}: rows of {strange} came with the days {sorted(map(str, days))}")
    without_library_retry(table)
    properties = summary | {_REPLACE_PARTITIONS: "true"}
    with (
        table.transaction() as transaction,
        transaction.update_snapshot(snapshot_properties=properties, branch=branch).overwrite() as overwrite,
    ):
        for day, old in data_files_by_day(table, head).items():
            for file in old if day in days else ():
                overwrite.delete_data_file(file)
        for file in files:
            overwrite.append_data_file(file)
    made = table.snapshot_by_name(branch)
    if made is None or made.parent_snapshot_id != (head.snapshot_id if head else None):
        raise VerificationError(f"{'.'.join(table.name())}: branch {branch} does not show the commit that was just made")
    return made
