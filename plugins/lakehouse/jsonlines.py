"""JSON-lines files from a landing prefix into a table: every line loaded, already there, or refused with a reason."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
from pyiceberg.catalog import Catalog

from lakehouse.contracts import Contract
from lakehouse.exceptions import CountError, ServiceError
from lakehouse.iceberg.append import Input, append_once
from lakehouse.masking import hide_secrets_in, mask
from lakehouse.objects import ObjectStore, StoredObject
from lakehouse.ops.tables import RefusedRecord, record_refusals

log = logging.getLogger(__name__)

# A line's JSON object and the time of the load, to the row without its key; a `ValueError` has the reason class and the detail.
ToRow = Callable[[dict[str, Any], datetime], dict[str, Any]]


@dataclass(frozen=True)
class Loaded:
    """Counts of a load: `read` comes from the files' line breaks alone."""

    files: int
    read: int
    loaded: int
    already_there: int
    refused: int
    snapshot_ids: tuple[int, ...] = ()


def load_landing(
    store: ObjectStore, catalog: Catalog, contract: Contract, *, landing: str, raw: str, to_row: ToRow, files_per_commit: int = 500
) -> Loaded:
    """Load every closed `*.jsonl` file under `landing`, keep it under `raw/date=…/`, and take it out of the landing prefix.

    A file counts as closed when its name ends in `.jsonl`; writers that stream use another suffix until they are done. Secrets are hidden
    before anything is stored. Checksums are of the bytes as they came, so a file that lands twice is known again. Memory is bounded by
    `files_per_commit` files.

    Raises:
        CountError: lines read differ from loaded + already there + refused.
    """
    totals = Loaded(0, 0, 0, 0, 0)
    entries = [entry for entry in store.list(landing) if entry.key.endswith(".jsonl")]
    for start in range(0, len(entries), files_per_commit):
        batch = _load_batch(store, catalog, contract, entries[start : start + files_per_commit], raw, to_row)
        totals = Loaded(
            totals.files + batch.files,
            totals.read + batch.read,
            totals.loaded + batch.loaded,
            totals.already_there + batch.already_there,
            totals.refused + batch.refused,
            totals.snapshot_ids + batch.snapshot_ids,
        )
        log.info("%d of %d files: %d lines loaded, %d refused", totals.files, len(entries), totals.loaded, totals.refused)
    return totals


def _load_batch(store: ObjectStore, catalog: Catalog, contract: Contract, entries: list[StoredObject], raw: str, to_row: ToRow) -> Loaded:
    now = datetime.now(UTC)
    inputs: dict[str, Input] = {}
    bodies: dict[str, tuple[list[StoredObject], bytes, datetime]] = {}
    refusals: dict[str, list[RefusedRecord]] = {}
    lines: dict[str, int] = {}
    read = 0
    for entry in entries:
        key = entry.key
        try:
            body = store.read(key)
        except ServiceError as error:
            if error.status == 404:  # Another run has taken it.
                continue
            raise
        checksum = hashlib.sha256(body).hexdigest()
        count = _count_lines(body)
        read += count
        if checksum in inputs:  # The same content twice under two names.
            bodies[checksum][0].append(entry)
            continue
        lines[checksum] = count
        body = hide_secrets_in(body)
        rows, refusals[checksum] = parse_lines(contract, body, checksum=checksum, place=key, ingest_time=now, to_row=to_row)
        inputs[checksum] = Input(checksum, key, pa.Table.from_pylist(rows) if rows else pa.table({}))
        times = (row.get(contract.freshness_column or "") for row in rows)
        bodies[checksum] = ([entry], body, next((time for time in times if time), now))
    record_refusals(catalog, [refusal for entries in refusals.values() for refusal in entries])
    result = append_once(catalog, contract.table, list(inputs.values()))
    twice = sum(lines[checksum] * (len(names) - 1) for checksum, (names, _, _) in bodies.items())
    there = sum(lines[checksum] - len(refusals[checksum]) for checksum in result.already_there)
    refused = sum(len(entries) for entries in refusals.values())
    counts = Loaded(
        sum(len(names) for names, _, _ in bodies.values()),
        read,
        result.rows,
        there + twice,
        refused,
        (result.snapshot_id,) if result.snapshot_id else (),
    )
    if counts.read != counts.loaded + counts.already_there + counts.refused:
        raise CountError(f"{contract.table}: {counts} does not add up; the files are still in the landing prefix")
    for checksum, (names, body, day) in bodies.items():
        digest = hashlib.sha256(body).hexdigest()
        # An object is named by its content, and what is hidden may differ from one version of us to the next.
        kept = checksum if digest == checksum else f"{checksum}.masked-{digest[:12]}"
        store.put_once(f"{raw}date={day:%Y-%m-%d}/{kept}.jsonl", body, "application/x-ndjson")
        for landed in names:
            if not store.delete_unchanged(landed):
                log.warning("%r has another content now; it stays for the next run", landed.key)
    return counts


def parse_lines(
    contract: Contract, body: bytes, *, checksum: str, place: str, ingest_time: datetime, to_row: ToRow
) -> tuple[list[dict[str, Any]], list[RefusedRecord]]:
    """Rows and refusals of one file; a line's key is the file's checksum and the line's number, from 1."""
    rows, refusals = [], []
    key_column = contract.primary_key[0]
    for number, line in enumerate(_lines(body), start=1):
        key = f"{checksum}-{number}"
        try:
            document = orjson.loads(line)
            if not isinstance(document, dict):
                raise ValueError("not_an_object", f"the line is a {type(document).__name__}, a JSON object is wanted")
            rows.append({key_column: key, **to_row(document, ingest_time)})
        except RecursionError:
            refusals.append(_refusal(contract, key, f"{place}:{number}", "nested_too_deep", "values within values without end", line))
        except ValueError as error:
            reason, detail = error.args if len(error.args) == 2 else ("not_json", str(error))
            refusals.append(_refusal(contract, key, f"{place}:{number}", reason, detail, line))
    return rows, refusals


def _refusal(contract: Contract, key: str, place: str, reason: str, detail: str, line: bytes) -> RefusedRecord:
    return RefusedRecord(contract.table, key, place, reason, mask(detail)[:200], mask(line.decode(errors="replace")))


def _lines(body: bytes) -> list[bytes]:
    """Lines with something on them."""
    return [line for line in body.split(b"\n") if line.strip()]


def _count_lines(body: bytes) -> int:
    """Lines with something on them, counted without parsing."""
    return sum(1 for line in body.split(b"\n") if line.strip())
