"""Arrow data written as data files of a table, sorted as its sort order says, with memory bounded by one chunk.

PyIceberg's own writers need the whole table in memory where the target is partitioned (apache/iceberg-python#2152) and ignore the
sort order (#3848). The files belong to no snapshot until a commit names them, so a commit that met a conflict is made again with the
very same files.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from itertools import count
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from lakehouse.iceberg.schema import to_table_types

log = logging.getLogger(__name__)

CHUNK_BYTES = 128 << 20
_SMALL_BYTES = 1 << 16


def write_data_files(table: Table, pieces: Iterable[pa.Table | pa.RecordBatch], *, chunk_bytes: int = CHUNK_BYTES) -> list[DataFile]:
    """Write the pieces, in chunks of about `chunk_bytes` (of Arrow memory), and return the files for a commit to name.

    Raises:
        SchemaMismatchError: a piece does not fit the table.
    """
    write_id, numbers, started, rows = uuid4(), count(), time.monotonic(), 0
    files: list[DataFile] = []
    for chunk in _chunks(table, pieces, chunk_bytes):
        for file in _dataframe_to_data_files(table.metadata, chunk, table.io, write_uuid=write_id, counter=numbers):
            file.spec_id = table.spec().spec_id  # PyIceberg fills it in for files that it reads from a manifest alone
            files.append(file)
        rows += len(chunk)
        log.info("%s: %d rows written, %.0f rows/s", ".".join(table.name()), rows, rows / max(time.monotonic() - started, 1e-3))
    return files


def _chunks(table: Table, pieces: Iterable[pa.Table | pa.RecordBatch], chunk_bytes: int) -> Iterator[pa.Table]:
    """Small pieces together, large ones apart; each chunk in the table's order, types and sort order."""
    waiting: list[pa.Table] = []
    size = 0
    for piece in _joined(pieces):
        data = to_table_types(piece, table)
        rows_at_once = max(1, int(len(data) * chunk_bytes / max(data.nbytes, 1)))
        for start in range(0, len(data), rows_at_once):
            part = data.slice(start, rows_at_once)
            waiting.append(part)
            size += part.nbytes
            if size >= chunk_bytes:
                yield _sorted(table, pa.concat_tables(waiting))
                waiting, size = [], 0
    if waiting:
        yield _sorted(table, pa.concat_tables(waiting))


def _joined(pieces: Iterable[pa.Table | pa.RecordBatch]) -> Iterator[pa.Table]:
    """Small neighbours of one schema as one table: rows that come one by one would each be converted alone."""
    waiting: list[pa.Table] = []
    size = 0
    for piece in pieces:
        data = pa.Table.from_batches([piece]) if isinstance(piece, pa.RecordBatch) else piece
        if waiting and (size >= _SMALL_BYTES or data.schema != waiting[0].schema):
            yield _one(waiting)
            waiting, size = [], 0
        waiting.append(data)
        size += data.nbytes
    if waiting:
        yield _one(waiting)


def _one(pieces: list[pa.Table]) -> pa.Table:
    """Small pieces copied together, because each chunk of a column costs as much as a row; a large one as it is."""
    return pieces[0] if len(pieces) == 1 else pa.concat_tables(pieces).combine_chunks()


def _sorted(table: Table, data: pa.Table) -> pa.Table:
    columns = [table.schema().find_column_name(field.source_id) for field in table.sort_order().fields]
    # Nulls come first in an ascending order (table specification, "Sorting").
    keys = [(column, "ascending", "at_start") for column in columns if column]
    return data.take(pc.sort_indices(data, keys)) if keys else data  # type: ignore[arg-type]  # its types do not know of the third one
