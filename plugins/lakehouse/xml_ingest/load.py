"""Files of a landing prefix into a table: each ends in `archive/` or `refused/`, each record in the table or in `ops_db.refused_records`.

A group of files is one commit. A file is known by its content: landed twice, under any name, it adds nothing. Memory is bounded by a
batch of records: files are read from a temporary folder, and rows wait there, memory-mapped, for the commit.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow

from lakehouse.contracts import Contract
from lakehouse.exceptions import ConfigurationError, CountError
from lakehouse.iceberg import schema as schemas
from lakehouse.iceberg.append import Input, append_once, loaded_checksums
from lakehouse.local_disk import room_in
from lakehouse.masking import mask
from lakehouse.objects import ObjectStore, StoredObject
from lakehouse.ops.tables import RefusedFile, RefusedRecord, record_refusals
from lakehouse.quality.rows import RowRules
from lakehouse.xml_ingest.parse import Feed, Record, RefusedFileError

log = logging.getLogger(__name__)

_BATCH_RECORDS = 20_000
_BATCH_CHARACTERS = 32 << 20
_SUFFIX = ".xml"
# A dataclass keeps its types as text here (PEP 563).
_REFUSALS = pa.schema([(field.name, pa.int64() if field.type == "int" else pa.string()) for field in fields(RefusedRecord)])


@dataclass(frozen=True)
class Loaded:
    """Counts of files and of their records; `records_read` comes from the parser, before anything is decided about a record.

    Files: read = loaded + already there + refused + left alone. Records of the files that were read: read = loaded + refused.
    """

    files_read: int = 0
    files_loaded: int = 0
    files_already_there: int = 0
    files_refused: int = 0
    files_left: int = 0
    records_read: int = 0
    records_loaded: int = 0
    records_refused: int = 0
    snapshot_id: int | None = None

    def __add__(self, other: Loaded) -> Loaded:
        mine, theirs = asdict(self), asdict(other)
        snapshot = mine.pop("snapshot_id") or theirs["snapshot_id"]
        return Loaded(**{name: count + theirs[name] for name, count in mine.items()}, snapshot_id=snapshot)

    def check(self, table: str) -> None:
        """Raises `CountError` when the counts do not add up."""
        files = self.files_loaded + self.files_already_there + self.files_refused + self.files_left
        if self.files_read != files or self.records_read != self.records_loaded + self.records_refused:
            raise CountError(f"{table}: {self} does not add up; what was not taken is still in the landing prefix")


@dataclass(eq=False)
class _File:
    """A landed file on its way: its content's checksum, its copy here, and what was found in it."""

    entry: StoredObject
    checksum: str
    path: Path
    read: int = 0
    rows: pa.Table | None = None
    refusals: pa.Table | None = None
    refused: RefusedFileError | None = None


def closed_files(
    store: ObjectStore, landing: str, *, quiet: timedelta, now: datetime | None = None
) -> tuple[list[StoredObject], list[StoredObject]]:
    """The files that are to be taken, and those that may still be written: of another suffix, or changed within `quiet`."""
    now = now or datetime.now(UTC)
    closed: list[StoredObject] = []
    left: list[StoredObject] = []
    for entry in store.list(landing):
        (closed if entry.key.endswith(_SUFFIX) and now - entry.modified >= quiet else left).append(entry)
    return closed, left


def load_group(
    store: ObjectStore,
    catalog: Catalog,
    contract: Contract,
    feed: Feed,
    entries: Sequence[StoredObject],
    *,
    name: str,
    known_values: dict[str, frozenset[str]] | None = None,
) -> Loaded:
    """Load the files in one commit, then move them to `archive/<name>/` or `refused/<name>/`.

    Refusals are noted first, then the rows are committed, then the files are moved: a kill at any point leaves the files in the landing
    prefix, and the next run notes and loads what is missing.

    Raises:
        ConfigurationError: the feed's schema has an attribute that the contract has no column for: its values would be lost.
        CountError: the counts do not add up; the files stay where they are.
        StorageFullError: the temporary folder has no room for a file; the files stay where they are.
    """
    if unknown := sorted(set(feed.names) - set(contract.column_names)):
        raise ConfigurationError(f"{feed.path}: the records have {unknown}, {contract.table} does not: add the columns to its contract")
    rules = RowRules(contract, known_values)
    table = catalog.load_table(contract.table)
    left = 0
    files: list[_File] = []
    with TemporaryDirectory(prefix="xml-") as folder:
        with room_in(Path(folder)):
            for number, entry in enumerate(entries):
                path = Path(folder) / str(number)
                checksum = store.download(entry, path)
                if checksum is None:  # Changed or taken since it was listed.
                    left += 1
                else:
                    files.append(_File(entry, checksum, path))
            known = loaded_checksums(catalog, table, [file.checksum for file in files])
            first: dict[str, _File] = {}
            for file in files:
                twin = first.setdefault(file.checksum, file)
                if twin is file and file.checksum not in known:
                    _read(file, contract, feed, rules)
                file.refused = twin.refused
                file.path.unlink()
        for file in first.values():
            _note_refusals(store, catalog, contract, file, name)
        inputs = [Input(file.checksum, file.entry.key, file.rows) for file in files if file.rows is not None]
        appended = append_once(catalog, contract.table, inputs)
    fresh = [file for file in files if file.checksum in appended.loaded and file.rows is not None]
    # A rival may have loaded a file between our look and our commit: its records were read here, and count for nothing.
    counts = Loaded(
        files_read=len(entries),
        files_loaded=len(fresh),
        files_already_there=sum(file.refused is None and file not in fresh for file in files),
        files_refused=sum(file.refused is not None for file in files),
        files_left=left,
        records_read=sum(file.read for file in fresh),
        records_loaded=appended.rows,
        records_refused=sum(len(file.refusals) for file in fresh if file.refusals is not None),
        snapshot_id=appended.snapshot_id,
    )
    counts.check(contract.table)
    today = datetime.now(UTC)
    for file in files:
        target = f"refused/{name}/" if file.refused else f"archive/{name}/date={today:%Y-%m-%d}/"
        if not store.move_unchanged(file.entry, f"{target}{file.checksum}{_SUFFIX}"):
            log.warning("%r has another content now; it stays for the next run", file.entry.key)
    return counts


def _read(file: _File, contract: Contract, feed: Feed, rules: RowRules) -> None:
    """Read the file's records into memory-mapped tables of rows and refusals beside it."""
    started = time.monotonic()
    # Whether a required value is missing is for the rules to say, one row at a time.
    fields_of_table = schema_to_pyarrow(schemas.schema(contract), include_field_ids=False)
    target = pa.schema([field.with_nullable(True) for field in fields_of_table])  # noqa: FBT003  # pyarrow's own way
    rows_path, refusals_path = file.path.with_suffix(".rows"), file.path.with_suffix(".refusals")
    now = datetime.now(UTC)
    try:
        with pa.ipc.new_file(str(rows_path), target) as rows, pa.ipc.new_file(str(refusals_path), _REFUSALS) as refusals:
            for records in _batches(feed.records(file.path)):
                file.read += len(records)
                data, problems = _typed(records, target, {"source_file": file.entry.key, "ingest_time": now})
                broken = rules.broken(data)
                verdicts = [("schema", problem) if problem else (rule, rule) for problem, rule in zip(problems, broken, strict=True)]
                rows.write_table(data.filter(pa.array([reason is None for reason, _ in verdicts])))
                bad = zip(records, verdicts, strict=True)
                refused = [_refusal(contract, file, record, reason, text) for record, (reason, text) in bad if reason is not None]
                refusals.write_table(pa.Table.from_pylist([asdict(one) for one in refused], schema=_REFUSALS))
                rate = file.read / max(time.monotonic() - started, 1e-3)
                log.info("%s: %d records read, %.0f records/s", file.entry.key, file.read, rate)
    except RefusedFileError as error:
        file.refused = error
        return
    file.rows = pa.ipc.open_file(pa.memory_map(str(rows_path))).read_all()
    file.refusals = pa.ipc.open_file(pa.memory_map(str(refusals_path))).read_all()


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    """Records in lists that are bounded in number and in characters."""
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += sum(map(len, record.values.values()))
        if len(batch) >= _BATCH_RECORDS or size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _typed(records: list[Record], target: pa.Schema, constants: dict[str, object]) -> tuple[pa.Table, list[str | None]]:
    """The records as the contract's types, null where they have nothing, and what is wrong with each, if anything."""
    problems = [record.problem for record in records]
    columns = []
    for field in target:
        if field.name in constants:
            columns.append(pa.array([constants[field.name]] * len(records), field.type))
            continue
        texts = [record.values.get(field.name) if problem is None else None for record, problem in zip(records, problems, strict=True)]
        try:
            columns.append(pa.array(texts, pa.string()).cast(field.type))
        except pa.ArrowInvalid:  # The schema lets something pass that the type does not hold.
            values = [_cast(text, field.type) for text in texts]
            for number, (text, value) in enumerate(zip(texts, values, strict=True)):
                if text is not None and value is None:
                    problems[number] = f"{field.name} {text[:100]!r} is no {field.type}"
            columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=target), problems


def _cast(text: str | None, kind: pa.DataType) -> object:
    try:
        return pa.scalar(text, pa.string()).cast(kind).as_py()
    except pa.ArrowInvalid:
        return None


def _refusal(contract: Contract, file: _File, record: Record, reason: str, detail: str | None) -> RefusedRecord:
    text = " ".join(f"{name}={value!r}" for name, value in record.values.items())
    place = f"{file.entry.key}:{record.line} (record {record.number})"
    return RefusedRecord(contract.table, f"{file.checksum}-{record.number}", place, reason, mask(detail or reason)[:200], mask(text))


def _note_refusals(store: ObjectStore, catalog: Catalog, contract: Contract, file: _File, name: str) -> None:
    if file.refused is not None:
        kept = f"s3://{store.bucket}/refused/{name}/{file.checksum}{_SUFFIX}"
        source, detail = file.entry.key[:500], mask(str(file.refused))[:200]
        log.warning("refused %r: %s, %s; kept as %s", source, file.refused.reason, detail, kept)
        record_refusals(catalog, [RefusedFile(contract.table, file.checksum, source, file.refused.reason, detail, kept)])
    elif file.refusals is not None:
        for batch in file.refusals.to_batches(max_chunksize=_BATCH_RECORDS):
            record_refusals(catalog, [RefusedRecord(**row) for row in batch.to_pylist()])
            log.warning("refused %d records of %r", batch.num_rows, file.entry.key)
