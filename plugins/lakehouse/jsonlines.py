"""JSON-lines files from a landing prefix into a table: every line loaded, already there, or refused with a reason."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
from pyiceberg.catalog import Catalog

from lakehouse.contracts import Contract
from lakehouse.exceptions import CountError
from lakehouse.iceberg.append import Input, append_once
from lakehouse.objects import ObjectStore
from lakehouse.ops.tables import RefusedRecord, mask, record_refusals

log = logging.getLogger(__name__)

_MAX_MESSAGE = 32_768
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Loaded:
    """Counts of a load: `read` comes from the files' line breaks alone."""

    files: int
    read: int
    loaded: int
    already_there: int
    refused: int
    snapshot_id: int | None


def load_landing(
    store: ObjectStore, catalog: Catalog, contract: Contract, *, landing: str, raw: str, files_per_commit: int = 500
) -> Loaded:
    """Load every closed `*.jsonl` file under `landing`, keep it raw under `raw/date=…/`, and take it out of the landing prefix.

    A file counts as closed when its name ends in `.jsonl`; writers that stream use another suffix until they are done. Memory is
    bounded by `files_per_commit` files.

    Raises:
        CountError: lines read differ from loaded + already there + refused.
    """
    totals = Loaded(0, 0, 0, 0, 0, None)
    keys = [entry.key for entry in store.list(landing) if entry.key.endswith(".jsonl")]
    for start in range(0, len(keys), files_per_commit):
        batch = _load_batch(store, catalog, contract, keys[start : start + files_per_commit], raw)
        totals = Loaded(
            totals.files + batch.files,
            totals.read + batch.read,
            totals.loaded + batch.loaded,
            totals.already_there + batch.already_there,
            totals.refused + batch.refused,
            batch.snapshot_id or totals.snapshot_id,
        )
        log.info("%d of %d files: %d lines loaded, %d refused", totals.files, len(keys), totals.loaded, totals.refused)
    return totals


def _load_batch(store: ObjectStore, catalog: Catalog, contract: Contract, keys: list[str], raw: str) -> Loaded:
    now = datetime.now(UTC)
    inputs: dict[str, Input] = {}
    bodies: dict[str, tuple[list[str], bytes, datetime]] = {}
    refusals: dict[str, list[RefusedRecord]] = {}
    lines: dict[str, int] = {}
    read = 0
    for key in keys:
        body = store.read(key)
        checksum = hashlib.sha256(body).hexdigest()
        read += _count_lines(body)
        if checksum in inputs:  # The same content twice under two names.
            bodies[checksum][0].append(key)
            continue
        rows, refusals[checksum] = parse_lines(contract, body, checksum=checksum, place=key, ingest_time=now)
        inputs[checksum] = Input(checksum, key, pa.Table.from_pylist(rows) if rows else pa.table({}))
        lines[checksum] = _count_lines(body)
        first_time = next((row["event_time"] for row in rows if row["event_time"]), now)
        bodies[checksum] = ([key], body, first_time)
    record_refusals(catalog, [refusal for entries in refusals.values() for refusal in entries])
    result = append_once(catalog, contract.table, list(inputs.values()))
    twice = sum(lines[checksum] * (len(names) - 1) for checksum, (names, _, _) in bodies.items())
    there = sum(lines[checksum] - len(refusals[checksum]) for checksum in result.already_there)
    refused = sum(len(entries) for entries in refusals.values())
    counts = Loaded(len(keys), read, result.rows, there + twice, refused, result.snapshot_id)
    if counts.read != counts.loaded + counts.already_there + counts.refused:
        raise CountError(f"{contract.table}: {counts} does not add up; the files are still in the landing prefix")
    for checksum, (names, body, day) in bodies.items():
        store.put_once(f"{raw}date={day:%Y-%m-%d}/{checksum}.jsonl", body, "application/x-ndjson")
        for name in names:
            store.delete(name)
    return counts


def parse_lines(
    contract: Contract, body: bytes, *, checksum: str, place: str, ingest_time: datetime
) -> tuple[list[dict[str, Any]], list[RefusedRecord]]:
    """Rows and refusals of one file; a line's `log_id` is the file's checksum and the line's number, from 1."""
    rows, refusals = [], []
    for number, line in enumerate(_lines(body), start=1):
        log_id = f"{checksum}-{number}"
        try:
            rows.append(_row(line, log_id, ingest_time))
        except RecursionError:
            refusals.append(_refusal(contract, log_id, f"{place}:{number}", "nested_too_deep", "values within values without end", line))
        except ValueError as error:
            reason, detail = error.args if len(error.args) == 2 else ("not_json", str(error))
            refusals.append(_refusal(contract, log_id, f"{place}:{number}", reason, detail, line))
    return rows, refusals


def _refusal(contract: Contract, log_id: str, place: str, reason: str, detail: str, line: bytes) -> RefusedRecord:
    return RefusedRecord(contract.table, log_id, place, reason, mask(detail)[:200], mask(line.decode(errors="replace")))


def _row(line: bytes, log_id: str, ingest_time: datetime) -> dict[str, Any]:
    """One line's row; a `ValueError` has the reason class and the detail."""
    document = orjson.loads(line)
    if not isinstance(document, dict):
        raise ValueError("not_an_object", f"the line is a {type(document).__name__}, a JSON object is wanted")
    event_time = None
    if document.get("event_time") is not None:
        try:
            # Python reads 1764010112 as a day of the year 1764.
            if not _DAY.match(str(document["event_time"])):
                raise ValueError("no date")
            event_time = datetime.fromisoformat(str(document["event_time"]))
            event_time = event_time.replace(tzinfo=event_time.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValueError("bad_event_time", f"event_time {document['event_time']!r} is not ISO 8601 in the years 1 to 9999") from error
    message = document.get("message")
    if message is not None and len(str(message)) > _MAX_MESSAGE:
        raise ValueError("message_too_long", f"{len(str(message))} characters, at most {_MAX_MESSAGE}")
    meta = document.get("meta")
    return {
        "log_id": log_id,
        "event_time": event_time,
        "level": None if document.get("level") is None else str(document["level"]).upper(),
        "message": None if message is None else str(message),
        "meta": meta if meta is None or isinstance(meta, str) else json.dumps(meta, ensure_ascii=False, sort_keys=True),
        "ingest_time": ingest_time,
    }


def _lines(body: bytes) -> list[bytes]:
    """Lines with something on them."""
    return [line for line in body.split(b"\n") if line.strip()]


def _count_lines(body: bytes) -> int:
    """Lines with something on them, counted without parsing."""
    return sum(1 for line in body.split(b"\n") if line.strip())
