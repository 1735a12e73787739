"""Ships the rows that a table gained since the last shipment, and accounts for every one of them.

`rows read = indexed + already there + refused`, where `rows read` comes from the manifests' counts. A shipment is planned once, its parts
are shipped by as many workers as there are, and one end adds them up, reads the indices back and only then moves the cursor, which is
the row with the highest number in `ops_db.shipments`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Literal

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from lakehouse.contracts import Contract
from lakehouse.exceptions import ConfigurationError, CountError, HistoryError, VerificationError
from lakehouse.iceberg import window
from lakehouse.iceberg.filters import within_days
from lakehouse.opensearch.build import Builder, Documents
from lakehouse.opensearch.client import OpenSearchClient
from lakehouse.opensearch.cursor import Cursor, last_shipment, record_shipment
from lakehouse.opensearch.mapping import refuse_conflicts
from lakehouse.opensearch.send import Outcome
from lakehouse.opensearch.shipment import Counts, Kind, Part, Shipment
from lakehouse.opensearch.tally import Tally
from lakehouse.opensearch.target import SNAPSHOT_FIELD, Target
from lakehouse.ops.tables import record_refusals

log = logging.getLogger(__name__)

_DEFAULT_RETENTION_DAYS = 30
_BATCH_ROWS = 20_000
BULK_BYTES = 5_000_000
_MAX_PARTS = 500
_RESYNC = "ship it again by id with the param `resync`, first as a dry run: documents that are there stay as they are"


def plan(
    catalog: Catalog,
    client: OpenSearchClient,
    contract: Contract,
    target: Target,
    *,
    resync: Literal["dry run", "send"] | None = None,
    from_day: date | None = None,
    to_day: date | None = None,
    now: datetime | None = None,
    max_rows: int = 1_000_000,
    max_bytes: int = 256 << 20,
) -> list[Part]:
    """What is to be shipped, in parts of about that size; nothing when nothing is new.

    Args:
        resync: all rows of the present snapshot (of some event days) whatever was shipped before, or only look what is missing.

    Raises:
        HistoryError: the table was replaced, overwritten or rolled back since the last shipment, or its snapshot expired.
        ConfigurationError: contract, index template and live indices do not fit together, or the node's clock and ours do not.
    """
    table = catalog.load_table(contract.table)
    head, uuid = table.current_snapshot(), str(table.metadata.table_uuid)
    last = last_shipment(catalog, contract.table, target.pattern)
    if (from_day or to_day) and not resync:
        raise ConfigurationError("days can only be given for a resync")
    if from_day and to_day and from_day > to_day:
        raise ConfigurationError(f"from_day {from_day} is after to_day {to_day}")
    if head is None:
        return []
    kind: Kind = "new" if last else "first"
    if resync:
        kind = "dry run" if resync == "dry run" else "resync"
    elif last is not None:
        if last.table_uuid != uuid:
            raise HistoryError(f"{contract.table} was replaced by another table since the last shipment; {_RESYNC}")
        if last.to_snapshot_id == head.snapshot_id:
            return []
    refuse_conflicts(client, target.pattern, target.fields(contract), target.mapping(), own=target.daily)
    client.refresh(target.pattern)
    whole = Part(
        source_table=contract.table,
        table_uuid=uuid,
        kind=kind,
        number=last.number + 1 if last else 1,
        from_snapshot_id=last.to_snapshot_id if last and kind == "new" else None,
        to_snapshot_id=head.snapshot_id,
        rows=0,
        files=0,
        now=(now or client.now()).isoformat(),
        documents_before=_documents(client, target),
        shipped_before=_documents(client, target, _shipped(contract, head.snapshot_id)),
        from_day=from_day.isoformat() if from_day else None,
        to_day=to_day.isoformat() if to_day else None,
    )
    rows = _window(table, whole, target)
    whole = replace(whole, rows=rows.rows, files=len(rows.files))
    # A window without rows, after compaction, still moves the cursor.
    groups = list(rows.groups(max_rows=max_rows, max_bytes=max_bytes)) or [(0, 0)]
    while len(groups) > _MAX_PARTS:  # Airflow maps over 1,024 at most (core.max_map_length).
        max_rows, max_bytes = 2 * max_rows, 2 * max_bytes
        groups = list(rows.groups(max_rows=max_rows, max_bytes=max_bytes))
    log.info("%s: %d rows in %d files since snapshot %s, in %d parts", contract.table, rows.rows, len(rows.files), rows.start, len(groups))
    return [replace(whole, first_file=first, file_count=count) for first, count in groups]


def ship_part(catalog: Catalog, client: OpenSearchClient, contract: Contract, target: Target, part: Part) -> Counts:
    """Ship a part's rows and note its refusals; a part that is shipped again finds its documents there.

    Raises:
        HistoryError: the table is not what it was when the shipment was planned.
        ConfigurationError: the rows would make more new indices than the target allows.
    """
    table = catalog.load_table(contract.table)
    if str(table.metadata.table_uuid) != part.table_uuid:
        raise HistoryError(
            f"{contract.table} was replaced by another table since this run planned its shipment: clear the run from `plan` on"
        )
    rows = _window(table, part, target)
    if len(rows.files) != part.files:
        raise HistoryError(f"{contract.table}: the files of this run's window changed since it was planned: clear the run from `plan` on")
    builder = builder_of(contract, target, snapshot_id=part.to_snapshot_id, now=datetime.fromisoformat(part.now))
    tally = Tally(client, target, part, rows=rows.records(part.first_file, part.file_count))
    ship_batches(rows.batches(part.first_file, part.file_count, max_rows=_BATCH_ROWS), builder, tally)
    if part.kind != "dry run":
        record_refusals(catalog, tally.refusals())
    return tally.counts()


def finish(
    catalog: Catalog, client: OpenSearchClient, contract: Contract, target: Target, parts: Sequence[Part], counts: Sequence[Counts]
) -> Shipment:
    """Add the parts up, read the indices back, and move the cursor (unless only some days, or nothing, was sent).

    Raises:
        CountError: rows are missing from the sum, or a part from the list.
        VerificationError: an index has fewer documents than it had and was sent.
        ChangedMeanwhileError: another run moved the cursor meanwhile.
    """
    if not parts:
        return _nothing_new(contract, target, last_shipment(catalog, contract.table, target.pattern))
    # Of a run that was cleared there may be counts of an older plan: they are not asked for.
    by_name = {one.part: one for one in counts}
    found = [by_name[part.name] for part in parts if part.name in by_name]
    whole, total = parts[0], sum(found, start=Counts())
    files = sorted(number for part in parts for number in range(part.first_file, part.first_file + part.file_count))
    if len(found) != len(parts) or files != list(range(whole.files)) or total.accounted != whole.rows:
        raise CountError(
            f"{contract.table}: read {whole.rows} rows in {whole.files} files, but indexed {total.indexed} + already there "
            f"{total.already_there} + missing {total.missing} + refused {total.refused} in {len(files)} files and {len(found)} of "
            f"{len(parts)} parts; the cursor has not moved, clear the run to ship again"
        )
    client.refresh(target.pattern)
    shipped = _documents(client, target, _shipped(contract, whole.to_snapshot_id))
    for day, indexed in sorted(total.indexed_by_day.items()):
        index = target.index_of(day)
        before, after = whole.shipped_before.get(index, 0), shipped.get(index, 0)
        if after < before + indexed:
            raise VerificationError(
                f"{index} has {after} documents of snapshot {whole.to_snapshot_id}; it had {before}, and {indexed} were indexed: "
                "some are gone, the cursor has not moved, clear the run to ship again"
            )
    without_row = None
    if whole.kind in ("resync", "dry run"):
        first, last = date.fromisoformat(whole.from_day or "0001-01-01"), date.fromisoformat(whole.to_day or "9999-12-31")
        there = _documents(client, target)
        documents = sum(there[index] for index, day in target.daily(there).items() if first <= day <= last)
        without_row = max(0, documents - (total.indexed + total.already_there - total.same_id))
    shipment = Shipment(
        contract.table,
        target.pattern,
        whole.kind,
        whole.rows,
        total,
        whole.from_snapshot_id,
        whole.to_snapshot_id,
        rows_per_second=round(whole.rows / total.seconds, 1) if total.seconds else 0.0,
        without_row=without_row,
        number=whole.number,
        table_uuid=whole.table_uuid,
    )
    if whole.kind == "dry run" or whole.from_day or whole.to_day:
        return shipment
    record_shipment(catalog, whole, shipment)
    return _with_lag(catalog, shipment)


def _nothing_new(contract: Contract, target: Target, last: Cursor | None) -> Shipment:
    shipment = Shipment(contract.table, target.pattern, lag_rows=0, lag_seconds=0.0)
    if last is None:  # The table has no rows yet.
        return shipment
    return replace(shipment, to_snapshot_id=last.to_snapshot_id, number=last.number, table_uuid=last.table_uuid)


def ship(catalog: Catalog, client: OpenSearchClient, contract: Contract, target: Target, **options: Any) -> Shipment:
    """Plan, ship and finish in one go; `options` are those of `plan`."""
    parts = plan(catalog, client, contract, target, **options)
    return finish(catalog, client, contract, target, parts, [ship_part(catalog, client, contract, target, part) for part in parts])


def _documents(client: OpenSearchClient, target: Target, query: dict[str, Any] | None = None) -> dict[str, int]:
    """Documents (that match) of each of the target's indices."""
    found = client.documents_by_index(target.pattern, query)
    return {index: found[index] for index in target.daily(found)}


def _shipped(contract: Contract, snapshot_id: int) -> dict[str, Any] | None:
    """What finds a snapshot's documents, so that those of other runs hide no loss; where a column has the field's name, they all count."""
    own = any(column.name == SNAPSHOT_FIELD for column in contract.columns)
    return None if own else {"term": {SNAPSHOT_FIELD: str(snapshot_id)}}


def builder_of(contract: Contract, target: Target, *, snapshot_id: int, now: datetime) -> Builder:
    """What builds the documents of a table's rows; it takes event times of the days that the contract keeps, and a day ahead."""
    oldest, newest = now - timedelta(days=contract.retention_days or _DEFAULT_RETENTION_DAYS), now + timedelta(days=1)
    leaves = target.plain_fields()
    return Builder(target, contract.primary_key, snapshot_id=snapshot_id, oldest=oldest, newest=newest, leaves=leaves)


def ship_batches(batches: Iterable[pa.RecordBatch], builder: Builder, tally: Tally) -> None:
    """Build and deliver all rows; memory is bounded by a few batches: while one bulk is on its way the next is built."""
    with ThreadPoolExecutor(1) as sender:
        waiting: tuple[Documents, Future[Outcome]] | None = None
        for batch in batches:
            built = builder.build(batch)
            tally.take(built)
            for bulk in built.documents.bulks(BULK_BYTES):
                if waiting is not None:
                    tally.add(waiting[0], waiting[1].result())
                waiting = bulk, sender.submit(tally.deliver, bulk)
        if waiting is not None:
            tally.add(waiting[0], waiting[1].result())


def _window(table: Table, part: Part, target: Target) -> window.Window:
    try:
        if part.from_snapshot_id is not None:
            return window.appended(table, part.from_snapshot_id, part.to_snapshot_id)
        first, last = (date.fromisoformat(day) if day else None for day in (part.from_day, part.to_day))
        return window.live(table, part.to_snapshot_id, within_days(table, target.event_time, first, last))
    except HistoryError as error:
        raise HistoryError(f"{error}; {_RESYNC}") from error


def _with_lag(catalog: Catalog, shipment: Shipment) -> Shipment:
    """How many rows, and for how long, the table is ahead of what was just shipped."""
    table = catalog.load_table(shipment.source_table)
    head = table.current_snapshot()
    if head is None or shipment.to_snapshot_id is None:
        return shipment
    try:
        newer = window.appended(table, shipment.to_snapshot_id, head.snapshot_id)
    except HistoryError:  # The next run says so.
        return shipment
    behind = time.time() - newer.since.timestamp() if newer.since else 0.0
    return replace(shipment, lag_rows=newer.rows, lag_seconds=round(max(0.0, behind), 3))
