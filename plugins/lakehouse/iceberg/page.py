"""A page of a table's rows in a given order, their number and their totals, without reading the table.

Manifests say for each data file which values its columns can have (table specification, "Manifests": `lower_bounds`, `upper_bounds`). So
files are visited in the order of their best possible row, and no more of them once none can change the page; files that lie wholly
before the page are passed over by their row counts. Of a visited file only the sort column and the key are read, whole rows for the page
alone. Memory holds one batch for each reader, and offset + limit keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, reduce
from itertools import islice
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.conversions import from_bytes
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression
from pyiceberg.expressions.visitors import _StrictMetricsEvaluator, bind, extract_field_ids
from pyiceberg.io.pyarrow import ArrowScan, _read_all_delete_files
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Table
from pyiceberg.types import DateType, IcebergType, IntegerType, LongType, StringType, TimestampType, TimestamptzType

from lakehouse.exceptions import ConfigurationError
from lakehouse.iceberg.filters import one_of
from lakehouse.iceberg.window import live

Item = TypeVar("Item")
Part = TypeVar("Part")

# Files read side by side: a small file costs a round trip to the store and little else.
_READERS = 8
# Types whose bounds order as their values do; NaN is in no bound, so floats are left out.
_BOUNDED = (IntegerType, LongType, StringType, DateType, TimestampType, TimestamptzType)


@dataclass(frozen=True)
class Selection:
    """Rows of one snapshot that match.

    Attributes:
        snapshot_id: the current one by default; columns that were added since are null.
        condition: what manifests and Parquet statistics can decide.
        containing: text by column, which the column's text must have in it (any case); it is looked for in every row.
        key: a column that names a row; it decides between equal sort values, ascending.
    """

    table: Table
    condition: BooleanExpression = field(default_factory=AlwaysTrue)
    snapshot_id: int | None = None
    containing: Mapping[str, str] = field(default_factory=dict)
    key: str = "image_id"

    @cached_property
    def files(self) -> tuple[FileScanTask, ...]:
        """The files that may have such rows, by their paths.

        Raises:
            HistoryError: the snapshot is gone, or has deletes that PyIceberg cannot apply.
        """
        head = self.table.current_snapshot()
        wanted = self.snapshot_id if self.snapshot_id is not None or head is None else head.snapshot_id
        return live(self.table, wanted, self.condition).files if wanted is not None else ()

    def count(self) -> int:
        """How many rows there are; only files that match in part, or have deletes, are read for it."""
        known = sum(task.file.record_count for task in self.files if self._is_whole(task))
        partial = [task for task in self.files if not self._is_whole(task)]
        schema = self.table.schema()
        looked_at = extract_field_ids(bind(schema, self.condition, case_sensitive=True))
        column = schema.find_column_name(min(looked_at)) if looked_at else None
        return known + sum(_side_by_side(lambda task: sum(map(len, self._batches(task, {column or self.key}))), partial))

    def page(
        self, *, sort_by: str, fields: Sequence[str], descending: bool = False, offset: int = 0, limit: int = 20
    ) -> list[dict[str, Any]]:
        """Rows `offset` to `offset + limit` of the order, nulls last, with those of the fields that the table has.

        Raises:
            ConfigurationError: the table has no such sort column or key.
        """
        if missing := {sort_by, self.key}.difference(self.table.schema().column_names):
            raise ConfigurationError(f"{'.'.join(self.table.name())} has no column {', '.join(sorted(missing))} to sort by")
        ordered = self._in_order(sort_by, descending=descending)
        if offset >= sum(file.rows for file in ordered):
            return []
        before = _wholly_before(ordered, offset, descending=descending)
        first = offset - sum(file.rows for file in before)
        best: pa.Table | None = None
        rest = iter([file for file in ordered if file not in before])
        while wave := list(islice(rest, _READERS)):
            if best is not None and len(best) == first + limit:
                worst = best["sort"][-1].as_py()
                wave = [file for file in wave if file.can_beat(worst, descending=descending)]
            found = _side_by_side(lambda file: self._best(file, sort_by, first + limit, descending=descending), wave)
            if parts := [part for part in (best, *found) if part is not None]:
                best = _first(pa.concat_tables(parts), first + limit, descending=descending)
            if not wave:
                break
        return self._rows(best.slice(first), fields) if best is not None else []

    def fold(
        self,
        columns: Sequence[str],
        of_batch: Callable[[pa.RecordBatch], Part],
        merge: Callable[[Part, Part], Part],
        start: Part,
        *,
        cache: MutableMapping[str, Part] | None = None,
    ) -> Part:
        """All rows' columns, batch by batch, made into one value.

        Args:
            cache: the values of whole files by their paths. A data file never changes, so the next snapshot reads only new ones.
        """

        def of_file(task: FileScanTask) -> Part:
            path, whole = task.file.file_path, self._is_whole(task)
            if cache is not None and whole and (known := cache.get(path)) is not None:
                return known
            part = reduce(merge, map(of_batch, self._batches(task, columns)), start)
            if cache is not None and whole:
                cache[path] = part
            return part

        return reduce(merge, _side_by_side(of_file, self.files), start)

    def batches(self, columns: Sequence[str], *, skip: int = 0) -> Iterator[pa.RecordBatch]:
        """All rows' columns but the first `skip`, in an order that is always the same for a snapshot: by file, then as they lie in it."""
        for task in self.files:
            if self._is_whole(task) and task.file.record_count <= skip:
                skip -= task.file.record_count
                continue
            for batch in self._batches(task, columns):
                if len(batch) > skip:
                    yield batch.slice(skip)
                skip = max(0, skip - len(batch))

    def edge_values(self, column: str) -> set[str]:
        """Values of a text column that the manifests name as a file's first or last one; others may be between them."""
        field_id = self.table.schema().find_field(column).field_id
        edges = {value for task in self.files for value in _bounds(task.file, field_id, StringType())}
        # Longer ones may be cut off.
        return {value for value in edges if value is not None and len(value) < 16}

    def _is_whole(self, task: FileScanTask) -> bool:
        """Whether each row of the file matches, by its partition or its bounds."""
        if self.containing or task.delete_files:
            return False
        return task.residual == AlwaysTrue() or self._strict.eval(task.file)

    @cached_property
    def _strict(self) -> _StrictMetricsEvaluator:
        return _StrictMetricsEvaluator(self.table.schema(), self.condition)

    def _in_order(self, sort_by: str, *, descending: bool) -> list[_File]:
        """The files by their best possible row; those of which nothing is known come first, those that have only nulls last."""
        column = self.table.schema().find_field(sort_by)
        files = []
        for number, task in enumerate(self.files):
            bounds = _bounds(task.file, column.field_id, column.field_type)
            nulls = (task.file.null_value_counts or {}).get(column.field_id)
            best, worst = reversed(bounds) if descending else bounds
            files.append(_File(task, number, best, worst, nulls, self._is_whole(task)))
        known = sorted((file for file in files if file.best is not None), key=lambda file: file.best, reverse=descending)
        unknown = [file for file in files if file.best is None and not file.has_only_nulls]
        return [*unknown, *known, *(file for file in files if file.has_only_nulls)]

    def _best(self, file: _File, sort_by: str, wanted: int, *, descending: bool) -> pa.Table | None:
        """The file's first rows: sort value, key, and the file's number."""
        best: pa.Table | None = None
        for batch in self._batches(file.task, {sort_by, self.key}):
            numbers = pa.repeat(pa.scalar(file.number, pa.int32()), len(batch))
            rows = pa.table({"sort": _comparable(batch[sort_by]), "key": batch[self.key], "file": numbers})
            best = _first(pa.concat_tables([best, rows]) if best is not None else rows, wanted, descending=descending)
        return best

    def _rows(self, chosen: pa.Table, fields: Sequence[str]) -> list[dict[str, Any]]:
        """Whole rows, in the order of the chosen ones, read from their own files alone."""
        places: list[tuple[int, Any]] = [(row["file"], row["key"]) for row in chosen.to_pylist()]
        columns = {self.key, *(name for name in fields if name in self.table.schema().column_names)}

        def read(number: int) -> list[tuple[tuple[int, Any], dict[str, Any]]]:
            condition = And(self.condition, one_of(self.key, [key for file, key in places if file == number]))
            batches = self._batches(self.files[number], columns, condition)
            return [((number, row[self.key]), row) for batch in batches for row in batch.to_pylist()]

        found: dict[tuple[int, Any], list[dict[str, Any]]] = {}
        for part in _side_by_side(read, sorted({number for number, _ in places})):
            for place, row in part:
                found.setdefault(place, []).append(row)
        return [found[place].pop() for place in places]

    def _batches(self, task: FileScanTask, columns: Iterable[str], condition: BooleanExpression | None = None) -> Iterator[pa.RecordBatch]:
        """The file's matching rows, as it is read."""
        schema = self.table.schema()
        wanted = [name for name in schema.column_names if name in {*columns, *self.containing}]
        scan = ArrowScan(self.table.metadata, self.table.io, schema.select(*wanted), condition or self.condition)
        # The public way (`to_record_batches`) reads whole files into memory, several at once.
        for batch in scan._record_batches_from_scan_tasks_and_deletes([task], _read_all_delete_files(self.table.io, [task])):
            for column, text in self.containing.items():
                # Null is not true, so it drops out.
                batch = batch.filter(pc.match_substring(batch[column], text, ignore_case=True))
            if len(batch):
                yield batch


@dataclass(frozen=True, eq=False)
class _File:
    """A data file, with the bounds of its values in the order that is asked for (None: unknown, or there are only nulls)."""

    task: FileScanTask
    number: int
    best: Any
    worst: Any
    nulls: int | None
    whole: bool

    @property
    def rows(self) -> int:
        """Its rows; no more of them match."""
        return int(self.task.file.record_count)

    @property
    def has_only_nulls(self) -> bool:
        """Whether the sort column has no value in it."""
        return self.nulls == self.rows

    def can_beat(self, value: Any, *, descending: bool) -> bool:
        """Whether it may have a row that comes before one of this value, or equals it: the key then decides."""
        if value is None:
            return True
        if self.has_only_nulls:
            return False
        return self.best is None or not _is_after(self.best, value, descending=descending)


def _wholly_before(ordered: list[_File], offset: int, *, descending: bool) -> set[_File]:
    """Files whose rows all come before row `offset`.

    In the order of their best rows, files that together have no more than `offset` rows cannot fill the place of row `offset`; all that
    is better than the best of the next file therefore lies before it.
    """
    reach = 0
    for file in ordered:
        reach += file.rows
        if reach > offset:
            break
    if file.best is None and not file.has_only_nulls:
        return set()
    sure = (other for other in ordered if other.whole and other.nulls == 0 and other.worst is not None)
    return {other for other in sure if file.has_only_nulls or _is_after(file.best, other.worst, descending=descending)}


def _is_after(one: Any, other: Any, *, descending: bool) -> bool:
    return bool(one < other if descending else one > other)


def _bounds(file: DataFile, field_id: int, kind: IcebergType) -> tuple[Any, Any]:
    """The least and the greatest value that the column may have in the file; None where it is not known."""
    if not isinstance(kind, _BOUNDED):
        return None, None
    low, high = (file.lower_bounds or {}).get(field_id), (file.upper_bounds or {}).get(field_id)
    if low is None or high is None:
        return None, None
    return from_bytes(kind, low), from_bytes(kind, high)


def _comparable(values: pa.Array[Any]) -> pa.Array[Any]:
    """Dates and times as the numbers that bounds have."""
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.int64())
    return values.cast(pa.int32()) if pa.types.is_date32(values.type) else values


def _first(rows: pa.Table, count: int, *, descending: bool) -> pa.Table:
    order = "descending" if descending else "ascending"
    keys = [("sort", order, "at_end"), ("key", "ascending", "at_end"), ("file", "ascending", "at_end")]
    return rows.take(pc.sort_indices(rows, keys)[:count])  # type: ignore[arg-type]  # its types do not know of the third one


def _side_by_side(work: Callable[[Item], Part], items: Sequence[Item]) -> list[Part]:
    with ThreadPoolExecutor(_READERS, thread_name_prefix="reader") as pool:
        return list(pool.map(work, items))
