"""Rows as the lines of a bulk request, made column by column: Arrow in, Arrow out, no Python object per row.

DuckDB writes ids, days and documents as SQL over the batch; only columns that hold JSON or nested values pass through Python. The rules
for values an index cannot take: numbers that are not finite become null, bytes base64, times ISO 8601 in UTC with
microseconds, those outside of the years 1 to 9999 null.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.exceptions import ConfigurationError
from lakehouse.opensearch.json_objects import MAX_CHARACTERS, dump, open_object
from lakehouse.opensearch.target import SNAPSHOT_FIELD, Target
from lakehouse.sql import literal

NO_TIME, OUTSIDE, NO_KEY, NOT_UNICODE = "no_event_time", "outside_retention", "no_key", "cannot_be_encoded"
DETAILS = {
    NO_TIME: "the row has no event time",
    OUTSIDE: "the event time is outside of the days that are kept, or more than a day ahead",
    NO_KEY: "the row's key is missing or empty",
    NOT_UNICODE: "a text of the row is no UTF-8",
}
UNKEYED = "(no key, snapshot "  # begins what stands for the key of a row that has none
HASHED = "sha256:"  # begins the id of a key that is too long to be one
_MAX_ID_BYTES = 512  # OpenSearch's own limit
_YEAR_1, _YEAR_10000 = -62_135_596_800_000_000, 253_402_300_800_000_000
_ISO = """'"%Y-%m-%dT%H:%M:%S.%fZ"'"""


@dataclass(frozen=True, eq=False)
class Documents:
    """Documents with their ids and days (`YYYY.MM.DD`); a line is a bulk's action and its source."""

    ids: pa.StringArray
    days: pa.StringArray
    lines: pa.StringArray

    def __len__(self) -> int:
        return len(self.ids)

    def slice(self, start: int, stop: int) -> Documents:
        """Some that follow one another; nothing is copied."""
        return Documents(*(column.slice(start, stop - start) for column in (self.ids, self.days, self.lines)))

    def take(self, numbers: Sequence[int]) -> Documents:
        """Some of them."""
        return Documents(*(column.take(pa.array(numbers, pa.int64())) for column in (self.ids, self.days, self.lines)))

    def body(self) -> memoryview:
        """All lines as one body, straight from Arrow's memory."""
        ends, content = self._memory()
        return content[int(ends[0]) : int(ends[-1])] if len(self) else content[:0]

    def source(self, number: int) -> str:
        """One document's JSON."""
        return str(self.lines[number].as_py()).split("\n")[1]

    def ids_by_day(self) -> dict[str, list[str]]:
        """The ids of each day, each once: an id is one document in its day's index."""
        days: dict[str, set[str]] = {}
        for day, key in zip(self.days.to_pylist(), self.ids.to_pylist(), strict=True):
            days.setdefault(str(day), set()).add(str(key))
        return {day: sorted(ids) for day, ids in days.items()}

    def bulks(self, max_bytes: int) -> Iterator[Documents]:
        """In parts of at most so many bytes, or of one document that alone is larger."""
        ends, start = self._memory()[0], 0
        while start < len(self):
            stop = int(np.searchsorted(ends, ends[start] + max_bytes, side="right")) - 1
            stop = min(max(stop, start + 1), len(self))
            yield self.slice(start, stop)
            start = stop

    def _memory(self) -> tuple[np.ndarray[Any, np.dtype[np.int32]], memoryview]:
        """Where each line ends, and the lines' bytes (Arrow columnar format, "Variable-size Binary Layout")."""
        _, ends, content = self.lines.buffers()
        of_all = np.frombuffer(memoryview(ends or b""), np.int32)
        return of_all[self.lines.offset : self.lines.offset + len(self) + 1], memoryview(content or b"")


@dataclass(frozen=True, eq=False)
class Built:
    """What became of a batch's rows: every row is in exactly one of the two; `reasons` has a class for each refused one.

    `id_hashes` are 64 bits of each document's id, to see ids that come twice.
    """

    documents: Documents
    id_hashes: np.ndarray[Any, np.dtype[np.uint64]]
    refused: Documents
    reasons: list[str]


class Builder:
    """Builds the documents of one shipment.

    Args:
        key_columns: their values are the ids; without any the row's own values are hashed, so that identical rows are one document.
        leaves: fields that the index maps to plain types, by JSON column.
        snapshot_id: what brought the rows; it is a field of every document.
        oldest, newest: event times outside of these are refused.
    """

    def __init__(
        self,
        target: Target,
        key_columns: Sequence[str],
        *,
        snapshot_id: int,
        oldest: datetime,
        newest: datetime,
        leaves: dict[str, frozenset[str]] | None = None,
    ) -> None:
        self.target, self.key_columns, self.leaves = target, key_columns, leaves or {}
        self.snapshot_id = snapshot_id
        self._action = '{"create":{"_index":' + dump(target.prefix)[:-1]
        self.oldest, self.newest = (round(moment.timestamp() * 1_000_000) for moment in (oldest, newest))
        self._duckdb = duckdb.connect(config={"threads": 1})
        self._duckdb.execute("SET TimeZone = 'UTC'")

    def build(self, batch: pa.RecordBatch) -> Built:
        """Documents of the rows, and the rows that cannot be one."""
        bad = _not_unicode(batch)
        if not bad:
            return self._build(batch, {})
        # Bytes that are no text would fail the whole batch: those rows go on with what can be read of them, only to be refused.
        return self._build(_repaired(batch, set(bad)), dict.fromkeys(bad, NOT_UNICODE))

    def _build(self, batch: pa.RecordBatch, known: dict[int, str]) -> Built:
        for name in (self.target.event_time, *self.key_columns):
            if name not in batch.schema.names:
                raise ConfigurationError(f"{self.target.pattern} needs the column {name!r}, which the table does not have")
        columns, fields, row_values = self._columns(batch)
        columns["moment"] = _microseconds(batch.column(self.target.event_time))
        keys = [f"c{batch.schema.get_field_index(name)}" for name in self.key_columns]
        document = f"'{{' || {fields[0]} || " + " || ".join(f"coalesce(',' || {field}, '')" for field in fields[1:]) + " || '}'"
        self._duckdb.register("batch", pa.table(columns))
        made = self._duckdb.sql(
            f"""
            WITH keyed AS (SELECT *, {_id(keys, row_values)} AS key FROM batch),
            judged AS (SELECT *, CASE WHEN key IS NULL THEN '{NO_KEY}' WHEN moment IS NULL THEN '{NO_TIME}'
                              WHEN moment NOT BETWEEN {self.oldest} AND {self.newest} THEN '{OUTSIDE}' END AS reason,
                              CASE WHEN key IS NULL THEN '{UNKEYED}{self.snapshot_id}) ' || {_hash(row_values)} ELSE key END AS id,
                              CASE WHEN reason IS NULL THEN strftime(make_timestamp(moment), '%Y.%m.%d') ELSE '' END AS day FROM keyed)
            SELECT id, hash(id) AS id_hash, day, reason,
                   {literal(self._action)} || day || '","_id":' || to_json(id) || '}}}}' || chr(10) || {document} || chr(10) AS line
            FROM judged
            """  # noqa: S608  # names are c0, c1, ...; texts pass `literal`
        ).to_arrow_table()
        self._duckdb.unregister("batch")
        ids, days, reasons, lines = (_whole(made[name]) for name in ("id", "day", "reason", "line"))
        if known:
            reasons = pa.array([known.get(number, reason) for number, reason in enumerate(reasons.to_pylist())], pa.string())
        # A copy: a view would keep all of DuckDB's result for as long as somebody holds the hashes.
        every, hashes = Documents(ids, days, lines), made["id_hash"].to_numpy().copy()
        if reasons.null_count == len(reasons):
            return Built(every, hashes, every.slice(0, 0), [])
        good = pc.is_null(reasons)
        refused = np.flatnonzero(~good.to_numpy(zero_copy_only=False))
        taken = np.flatnonzero(good.to_numpy(zero_copy_only=False))
        return Built(
            every.take(taken.tolist()),
            hashes[taken],
            every.take(refused.tolist()),
            [str(reason) for reason in reasons.drop_null().to_pylist()],
        )

    def _columns(self, batch: pa.RecordBatch) -> tuple[dict[str, pa.Array[Any]], list[str], list[str]]:
        """Columns for SQL under plain names; SQL of the document's fields, the event time first; SQL of what hashes to a row."""
        columns: dict[str, pa.Array[Any]] = {}
        fields: dict[str, str] = {self.target.event_time: ""}
        row_values = {}
        alone = self.key_columns[0] if len(self.key_columns) == 1 else None
        for number, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
            place = f"c{number}"
            columns[place] = _with_known_years(column) if pa.types.is_timestamp(column.type) else column
            if name in self.target.json_columns:
                for extra, (field, texts) in enumerate(self._opened(name, column).items()):
                    columns[f"{place}_{extra}"] = pa.array(texts, pa.string())
                    fields[field] = f"{place}_{extra}" if field == name else f"to_json({place}_{extra})"
            elif pa.types.is_nested(column.type):
                columns[place] = pa.array([None if value is None else dump(value) for value in column.to_pylist()], pa.string())
                fields[name] = place
            elif name != alone:  # A key of one column is the document's id.
                fields[name] = _value(place, column.type)
            row_values[name] = f"to_json({place})::VARCHAR"
        if SNAPSHOT_FIELD not in batch.schema.names:
            fields[SNAPSHOT_FIELD] = f"""'"{self.snapshot_id}"'"""
        of_time = fields.pop(self.target.event_time)
        pieces = [f"{literal(dump(name) + ':')} || {value}" for name, value in fields.items()]
        first = f"{literal(dump(self.target.event_time) + ':')} || coalesce({of_time}, 'null')"
        return columns, [first, *pieces], [f"{literal(name + '=')} || {value}" for name, value in sorted(row_values.items())]

    def _opened(self, name: str, column: pa.Array[Any]) -> dict[str, list[str | None]]:
        """A column of JSON as fields of the document: the object, the text that is none, and what is lifted out of it."""
        leaves = self.leaves.get(name, frozenset())
        lifted = {
            field: key
            for field, source in self.target.lifted.items()
            for table_column, _, key in [source.partition(".")]
            if table_column == name
        }
        objects: list[str | None] = []
        texts: list[str | None] = []
        fields: dict[str, list[str | None]] = {name: objects, f"{name}_text": texts} | {field: [] for field in lifted}
        for text in column.to_pylist():
            found = open_object(text, leaves)
            objects.append(None if found is None else dump(found))
            texts.append(text[:MAX_CHARACTERS] if found is None and text is not None else None)
            for field, key in lifted.items():
                value = found.get(key) if found else None
                fields[field].append(value if type(value) is str else None)
        return fields


def _id(keys: list[str], row_values: list[str]) -> str:
    """SQL of the id: the key's text, or the JSON list of a key of several columns; hashed where it is too long; null without a key."""
    if not keys:
        return _hash(row_values)
    text = f"{keys[0]}::VARCHAR" if len(keys) == 1 else _list(keys)
    return f"CASE WHEN strlen({text}) > {_MAX_ID_BYTES} THEN '{HASHED}' || sha256({text}) WHEN {text} <> '' THEN {text} END"


def _hash(row_values: list[str]) -> str:
    return f"sha256(concat_ws(chr(31), {', '.join(row_values)}))"


def _list(keys: list[str]) -> str:
    some_missing = " OR ".join(f"{key} IS NULL" for key in keys)
    return f"CASE WHEN NOT ({some_missing}) THEN to_json([{', '.join(f'{key}::VARCHAR' for key in keys)}])::VARCHAR END"


def _value(place: str, kind: pa.DataType) -> str:
    """SQL of a plain column's value as JSON that an index takes."""
    if pa.types.is_timestamp(kind):
        return f"strftime({place}, {_ISO})"
    if pa.types.is_floating(kind):
        return f"CASE WHEN isfinite({place}) THEN to_json({place}) END"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return f"to_json(base64({place}::BLOB))"
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return f"to_json({place}::VARCHAR)"
    return f"to_json({place})"


def _microseconds(column: pa.Array[Any]) -> pa.Array[Any]:
    """Times as microseconds since 1970, which any time has; a day is its beginning."""
    kind = pa.timestamp("us", getattr(column.type, "tz", None))
    return pc.cast(pc.cast(column, kind, safe=False) if column.type != kind else column, pa.int64())


def _with_known_years(column: pa.Array[Any]) -> pa.Array[Any]:
    """Times that a four-digit year can say; DuckDB takes the very highest and lowest for infinity."""
    moments = _microseconds(column)
    ends: Any = pc.min_max(moments)  # its types do not know that it is a struct
    if (ends["min"].as_py() or 0) >= _YEAR_1 and (ends["max"].as_py() or 0) < _YEAR_10000:
        return column
    kept = [None if moment is None or not _YEAR_1 <= moment < _YEAR_10000 else moment for moment in moments.to_pylist()]
    return pa.array(kept, pa.int64()).cast(pa.timestamp("us", getattr(column.type, "tz", None)))


def _not_unicode(batch: pa.RecordBatch) -> list[int]:
    """Rows with text that is no UTF-8; Parquet files of other writers may have it, and Arrow does not look."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        return sorted(
            {row for column in batch.columns if _has_text(column.type) for row in range(len(column)) if not _is_unicode(column[row])}
        )
    return []


def _is_unicode(value: pa.Scalar[Any]) -> bool:
    try:
        value.as_py()
    except UnicodeDecodeError:
        return False
    return True


def _repaired(batch: pa.RecordBatch, bad: set[int]) -> pa.RecordBatch:
    """The batch with what can be read of its texts; nested values of the bad rows are left out."""
    columns: list[pa.Array[Any]] = []
    for column in batch.columns:
        if pa.types.is_nested(column.type):
            values = [None if row in bad else column[row].as_py() for row in range(len(column))]
            columns.append(pa.array(values, column.type))
        elif _has_text(column.type):
            values = [None if value is None else value.decode(errors="replace") for value in column.cast(pa.large_binary()).to_pylist()]
            columns.append(pa.array(values, pa.string()))
        else:
            columns.append(column)
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _has_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_nested(kind))


def _whole(column: pa.ChunkedArray[Any]) -> pa.StringArray:
    return pc.cast(column.combine_chunks(), pa.string())  # type: ignore[return-value]
