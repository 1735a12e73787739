"""Ships the rows that a table gained since the last shipment, and accounts for every one of them.

`rows read = indexed + already there + refused`, where `rows read` comes from the manifests' counts. The cursor is the newest row of
`ops_db.shipments` and moves only when everything is accounted for and read back.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation

from lakehouse.exceptions import CountError, HistoryError, VerificationError
from lakehouse.iceberg.filters import equal
from lakehouse.masking import mask
from lakehouse.opensearch.client import Document, OpenSearchClient
from lakehouse.ops.tables import RefusedRecord, append_run_rows, record_refusals

log = logging.getLogger(__name__)

SHIPMENTS = "ops_db.shipments"
TOO_OLD = "outside_retention"
_BULK_BYTES = 5_000_000


@dataclass(frozen=True)
class Shipment:
    """What one run shipped; `from_snapshot_id` is None for a first, full shipment, `to_snapshot_id` None when nothing was new."""

    rows_read: int
    indexed: int
    already_there: int
    refused: int
    from_snapshot_id: int | None
    to_snapshot_id: int | None
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def unexpected(self) -> int:
        """Refused rows, without those that are merely too old to be kept."""
        return self.refused - self.reasons.get(TOO_OLD, 0)


def ship(
    catalog: Catalog,
    client: OpenSearchClient,
    table_name: str,
    *,
    key_column: str,
    retention_days: int,
    to_document: Callable[[dict[str, Any]], tuple[datetime | None, dict[str, Any]]],
    index_prefix: str = "logs-",
    full: bool = False,
    now: datetime | None = None,
) -> Shipment:
    """Ship what is new in the table to daily indices `<index_prefix>YYYY.MM.DD`, by the row's event day.

    Args:
        key_column: its values are the documents' ids, the same for ever.
        retention_days: rows older than that, or more than a day ahead, are refused.
        to_document: a row's event time and document.
        full: ship the whole current snapshot whatever was shipped before; documents that are there stay as they are.

    Raises:
        HistoryError: the snapshot of the last shipment is gone, or the table was replaced or overwritten.
        CountError, VerificationError: the cursor has not moved.
    """
    table = catalog.load_table(table_name)
    head = table.current_snapshot()
    start = None if full else _cursor(catalog, table, table_name)
    if head is None or start == head.snapshot_id:
        return Shipment(0, 0, 0, 0, start, None)
    rows_read = _rows_between(table, start, head.snapshot_id)
    now = now or datetime.now(UTC)
    oldest, newest = now - timedelta(days=retention_days), now + timedelta(days=1)
    indexed = there = 0
    refusals: list[RefusedRecord] = []
    documents: list[Document] = []
    shipped_ids: list[str] = []

    def send() -> None:
        nonlocal indexed, there
        result = client.create_all(documents)
        indexed, there = indexed + result.indexed, there + result.already_there
        rejected = {refusal.document.doc_id for refusal in result.refused}
        for refusal in result.refused:
            masked = mask(refusal.document.body.decode())
            refusals.append(_refusal(table_name, refusal.document.doc_id, head.snapshot_id, refusal.reason, refusal.detail, masked))
        shipped_ids.extend(document.doc_id for document in documents if document.doc_id not in rejected)
        documents.clear()
        log.info(
            "%d of %d rows: %d indexed, %d already there, %d refused",
            indexed + there + len(refusals),
            rows_read,
            indexed,
            there,
            len(refusals),
        )

    size = 0
    for row in _new_rows(table, start, head.snapshot_id):
        key = str(row[key_column])
        try:
            event_time, body = to_document(row)
            encoded = orjson.dumps(body)
        except (TypeError, ValueError, RecursionError) as error:
            refusals.append(_refusal(table_name, key, head.snapshot_id, "cannot_be_encoded", str(error), mask(str(row))))
            continue
        if event_time is None:
            refusals.append(_refusal(table_name, key, head.snapshot_id, "no_event_time", "the row has no event time", mask(str(body))))
            continue
        if not oldest <= event_time <= newest:
            detail = f"{event_time.isoformat()} is outside the {retention_days} days that are kept"
            refusals.append(_refusal(table_name, key, head.snapshot_id, TOO_OLD, detail, mask(str(body))))
            continue
        documents.append(Document(f"{index_prefix}{event_time:%Y.%m.%d}", key, encoded))
        size += len(encoded)
        if size >= _BULK_BYTES:
            send()
            size = 0
    if documents:
        send()
    if rows_read != indexed + there + len(refusals):
        raise CountError(
            f"{table_name}: read {rows_read} rows, but indexed {indexed} + already there {there} + refused {len(refusals)}; "
            "the cursor has not moved, clear the task to ship again"
        )
    found = client.count_ids(f"{index_prefix}*", shipped_ids) if shipped_ids else 0
    if found != len(shipped_ids):
        raise VerificationError(f"{index_prefix}* has {found} of the {len(shipped_ids)} documents just sent; the cursor has not moved")
    record_refusals(catalog, refusals)
    reasons = dict(Counter(refusal.reason for refusal in refusals))
    shipment = Shipment(rows_read, indexed, there, len(refusals), start, head.snapshot_id, reasons)
    _save(catalog, table, table_name, f"{index_prefix}*", shipment, now)
    return shipment


def _cursor(catalog: Catalog, table: Table, table_name: str) -> int | None:
    """The snapshot up to which the table was shipped; None before the first shipment."""
    found = catalog.load_table(SHIPMENTS).scan(equal("source_table", table_name)).to_arrow().to_pylist()
    if not found:
        return None
    last = max(found, key=lambda row: row["shipped_at"])
    if last["table_uuid"] != str(table.metadata.table_uuid):
        raise HistoryError(f"{table_name} was replaced by another table since the last shipment; ship it anew with the param `full`")
    return int(last["to_snapshot_id"])


def _chain(table: Table, start: int | None, end: int) -> list[Any]:
    """Snapshots after `start` up to `end`, newest first.

    Raises:
        HistoryError: `start` is not among the ancestors of `end`.
    """
    chain, current = [], table.snapshot_by_id(end)
    while current is not None and current.snapshot_id != start:
        chain.append(current)
        parent = current.parent_snapshot_id
        current = table.snapshot_by_id(parent) if parent is not None else None
    if start is not None and current is None:
        raise HistoryError(
            f"{'.'.join(table.name())}: snapshot {start} of the last shipment is no ancestor of {end} (rolled back or expired); "
            "ship the table anew with the param `full`: documents that are there stay as they are"
        )
    return chain


def _rows_between(table: Table, start: int | None, end: int) -> int:
    """Rows to ship, from snapshot summaries alone."""
    if start is None:
        return _live_rows(table, end)
    rows = 0
    for snapshot in _chain(table, start, end):
        operation = snapshot.summary.operation if snapshot.summary else None
        if operation == Operation.REPLACE:  # Compaction: the same rows in other files.
            continue
        if operation != Operation.APPEND:
            raise HistoryError(
                f"{'.'.join(table.name())}: snapshot {snapshot.snapshot_id} is an {operation}, so rows that were shipped may be gone; "
                "ship the table anew with the param `full`"
            )
        rows += int(snapshot.summary["added-records"] or 0)
    return rows


def _live_rows(table: Table, snapshot_id: int) -> int:
    """Rows of a snapshot, by its summary: records less position deletes.

    Raises:
        HistoryError: there are equality deletes, whose rows no summary counts.
    """
    snapshot = table.snapshot_by_id(snapshot_id)
    summary = snapshot.summary if snapshot else None
    if summary is None:
        return 0
    if int(summary["total-equality-deletes"] or 0):
        raise HistoryError(f"{'.'.join(table.name())} has equality deletes, so its rows cannot be counted: compact it, then ship again")
    return int(summary["total-records"] or 0) - int(summary["total-position-deletes"] or 0)


def _new_rows(table: Table, start: int | None, end: int) -> Iterator[dict[str, Any]]:
    """Rows to ship, batch by batch."""
    if start is None:
        batches: pa.RecordBatchReader = table.scan(snapshot_id=end).to_arrow_batch_reader()
    else:
        batches = table.incremental_append_scan(from_snapshot_id_exclusive=start, to_snapshot_id_inclusive=end).to_arrow_batch_reader()
    for batch in batches:
        yield from batch.to_pylist()


def _refusal(table: str, key: str, snapshot_id: int, reason: str, detail: str, masked: str) -> RefusedRecord:
    return RefusedRecord(table, key, f"snapshot {snapshot_id}", reason, mask(detail)[:200], masked)


def _save(catalog: Catalog, table: Table, table_name: str, target: str, shipment: Shipment, now: datetime) -> None:
    uuid = str(table.metadata.table_uuid)
    row = {
        "source_table": table_name,
        "target": target,
        "table_uuid": uuid,
        "from_snapshot_id": shipment.from_snapshot_id,
        "to_snapshot_id": shipment.to_snapshot_id,
        "rows_read": shipment.rows_read,
        "indexed": shipment.indexed,
        "already_there": shipment.already_there,
        "refused": shipment.refused,
        "shipped_at": now,
    }
    window = f"{uuid}:{shipment.from_snapshot_id}:{shipment.to_snapshot_id}"
    # A window is shipped once; the whole table may be shipped again at the same snapshot, and the cursor must then move there.
    key = window if shipment.from_snapshot_id is not None else f"{window}:{now.isoformat()}"
    append_run_rows(catalog, SHIPMENTS, key, [row])
