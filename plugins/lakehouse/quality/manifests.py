"""What the manifests of a snapshot know of its rows, without a data file being opened (Iceberg specification, "Manifests").

Exact only where no row is deleted by a delete file, and for a column only where every data file has its counts or bounds. Bounds of
floating-point columns know nothing of NaN, and those of text may be cut: neither is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.table import Table
from pyiceberg.types import DateType, DecimalType, IntegerType, LongType, TimestampType, TimestamptzType

_EXACT_BOUNDS = (IntegerType, LongType, DecimalType, DateType, TimestampType, TimestamptzType)


@dataclass(frozen=True)
class Figures:
    """Rows, data files and bytes of a partition."""

    rows: int = 0
    files: int = 0
    bytes: int = 0

    def plus(self, rows: int, files: int, size: int) -> Figures:
        """The figures with some more."""
        return replace(self, rows=self.rows + rows, files=self.files + files, bytes=self.bytes + size)


@dataclass
class ColumnFacts:
    """A column's nulls and bounds, in Iceberg's own units (days, microseconds); None where a file does not say.

    Attributes:
        first_null: the smallest partition with a null.
        bounded: whether every file with a value says its bounds.
    """

    nulls: int | None = 0
    first_null: str | None = None
    lowest: Any = None
    highest: Any = None
    bounded: bool = True


@dataclass
class ManifestFacts:
    """What the manifests of one snapshot say.

    Attributes:
        exact: no delete file: the counts are those a scan would give.
        partitions: figures by the value of the first partition field, as Trino would write it; None where files have no such value.
    """

    snapshot_id: int | None
    rows: int = 0
    exact: bool = True
    columns: dict[str, ColumnFacts] = field(default_factory=dict)
    partitions: dict[str, Figures] | None = field(default_factory=dict)


def read_facts(table: Table) -> ManifestFacts:
    """Read the manifests of the current snapshot; a table without one has no rows, and that is exact.

    A snapshot written under an older schema says nothing of newer columns: they count as unknown.
    """
    snapshot = table.current_snapshot()
    names = {column.field_id: column for column in table.schema().fields}
    facts = ManifestFacts(snapshot.snapshot_id if snapshot else None, columns={column.name: ColumnFacts() for column in names.values()})
    for manifest in snapshot.manifests(table.io) if snapshot else ():
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            file = entry.data_file
            partition = _partition(table, manifest.partition_spec_id, file)
            _count_partition(facts, partition, file)
            if file.content != DataFileContent.DATA:
                facts.exact = False
            elif file.record_count:
                facts.rows += file.record_count
                for column in names.values():
                    _add(facts.columns[column.name], column.field_id, column.field_type, file, partition)
    return facts


def _add(known: ColumnFacts, field_id: int, column_type: Any, file: DataFile, partition: str | None) -> None:
    nulls = (file.null_value_counts or {}).get(field_id)
    known.nulls = None if nulls is None or known.nulls is None else known.nulls + nulls
    if nulls and partition is not None:
        known.first_null = min(partition, known.first_null or partition)
    if nulls == file.record_count:  # Without a value there is no bound to know.
        return
    lower, upper = (bounds.get(field_id) if bounds else None for bounds in (file.lower_bounds, file.upper_bounds))
    if not isinstance(column_type, _EXACT_BOUNDS) or lower is None or upper is None:
        known.bounded = False
        return
    low, high = from_bytes(column_type, lower), from_bytes(column_type, upper)
    known.lowest = low if known.lowest is None else min(low, known.lowest)
    known.highest = high if known.highest is None else max(high, known.highest)


def _partition(table: Table, spec_id: int, file: DataFile) -> str | None:
    """The file's value of the first partition field, as Trino would write it; None where it was written under another one."""
    fields = table.spec().fields[:1]
    written_under = [(field.source_id, field.transform) for field in table.specs()[spec_id].fields]
    for first in fields:
        if (first.source_id, first.transform) in written_under:
            value = file.partition[written_under.index((first.source_id, first.transform))]
            return str(first.transform.to_human_string(table.schema().find_field(first.source_id).field_type, value))
    return None


def _count_partition(facts: ManifestFacts, partition: str | None, file: DataFile) -> None:
    """Count a file to its partition; a position delete takes one row away each."""
    if facts.partitions is None or partition is None or file.content == DataFileContent.EQUALITY_DELETES:
        facts.partitions = None
        return
    before = facts.partitions.get(partition, Figures())
    is_data = file.content == DataFileContent.DATA
    change = (file.record_count, 1, file.file_size_in_bytes) if is_data else (-file.record_count, 0, 0)
    facts.partitions[partition] = before.plus(*change)
