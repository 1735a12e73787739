"""Sends refused rows again: each is read from its source table by its key, as it is now, and ends in exactly one outcome.

A row that was refused for its mapping goes through once template or source are cured; one that is gone from the source is said to be gone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import And, BooleanExpression
from pyiceberg.table import Table

from lakehouse.contracts import Contract
from lakehouse.exceptions import ConfigurationError, VerificationError
from lakehouse.iceberg import window
from lakehouse.iceberg.append import Input, append_once
from lakehouse.iceberg.filters import equal, not_after, one_of
from lakehouse.masking import mask
from lakehouse.opensearch.build import DETAILS, HASHED, OUTSIDE, UNKEYED, Built, Documents
from lakehouse.opensearch.client import OpenSearchClient
from lakehouse.opensearch.mapping import refuse_conflicts
from lakehouse.opensearch.send import create
from lakehouse.opensearch.ship import BULK_BYTES, builder_of
from lakehouse.opensearch.tally import REST
from lakehouse.opensearch.target import Target
from lakehouse.ops.tables import RefusedRecord, record_refusals

log = logging.getLogger(__name__)

REFUSED_RECORDS, REDRIVES = "ops_db.refused_records", "ops_db.redrives"
MAX_ROWS = 20_000
_BATCH_ROWS = 5_000
# Lines that are no single row, and ids that are no longer the row's key.
_NO_KEY = (REST, UNKEYED, HASHED)
_CLOSED = ("indexed", "already_there", "gone")


@dataclass(frozen=True)
class Refusal:
    """An open line of `ops_db.refused_records`."""

    refusal_id: str
    record_key: str
    reason: str
    place: str


@dataclass(frozen=True)
class Open:
    """Open refusals, as many as one run takes.

    `left` are beyond that; `not_listed` have no key or were refused beyond the list, so that only a resync reaches them.
    """

    refusals: tuple[Refusal, ...]
    left: int
    not_listed: int


def open_refusals(
    catalog: Catalog,
    contract: Contract,
    target: Target,
    *,
    reason: str | None = None,
    shipment: int | None = None,
    until: datetime | None = None,
    limit: int = MAX_ROWS,
) -> Open:
    """What is still refused, for one reason or by one shipment (its number), noted `until` then."""
    condition: BooleanExpression = And(equal("table_name", contract.table), equal("target", target.pattern))
    if reason:
        condition = And(condition, equal("reason", reason))
    if shipment is not None:
        condition = And(condition, equal("place", f"shipment {shipment}"))
    if until is not None:
        condition = And(condition, not_after("refused_at", until))
    columns = ("refusal_id", "record_key", "reason", "place", "records")
    lines = catalog.load_table(REFUSED_RECORDS).scan(condition, selected_fields=columns).to_arrow().to_pylist()
    earlier = catalog.load_table(REDRIVES).scan(equal("table_name", contract.table), selected_fields=("refusal_id", "outcome")).to_arrow()
    closed = {row["refusal_id"] for row in earlier.to_pylist() if row["outcome"] in _CLOSED}
    tries = Counter(earlier["refusal_id"].to_pylist())
    not_listed = sum(line["records"] or 1 for line in lines if line["record_key"].startswith(_NO_KEY))
    candidates = [
        Refusal(*(line[name] for name in columns[:4]))
        for line in lines
        if not line["record_key"].startswith(_NO_KEY)
        and line["refusal_id"] not in closed
        # Age does not heal: such rows are taken only when they are asked for.
        and (line["reason"] != OUTSIDE or reason == OUTSIDE)
    ]
    # What was tried in vain comes last, so that it keeps nothing else from being sent.
    candidates.sort(key=lambda refusal: (tries[refusal.refusal_id], refusal.record_key, refusal.refusal_id))
    return Open(tuple(candidates[:limit]), max(0, len(candidates) - limit), not_listed)


def prospects(catalog: Catalog, contract: Contract, target: Target, refusals: Sequence[Refusal]) -> dict[str, dict[str, int]]:
    """The dry run: by reason how many rows are `ready`, would be `refused_again` by our own rules, or are `gone` from the source.

    Raises:
        ConfigurationError: the table has no key of one column by which a row could be read again.
    """
    there: set[str] = set()
    unfit: set[str] = set()
    for built in _read(catalog.load_table(contract.table), contract, target, refusals):
        there.update(str(one) for one in built.documents.ids.to_pylist())
        unfit.update(str(one) for one in built.refused.ids.to_pylist())
    by_reason: dict[str, Counter[str]] = {}
    # A row that was refused by several shipments is one row.
    for reason, record_key in {(refusal.reason, refusal.record_key) for refusal in refusals}:
        state = "ready" if record_key in there else "refused_again" if record_key in unfit else "gone"
        by_reason.setdefault(reason, Counter())[state] += 1
    return {reason: dict(counts) for reason, counts in sorted(by_reason.items())}


def redrive(
    catalog: Catalog, client: OpenSearchClient, contract: Contract, target: Target, refusals: Sequence[Refusal], *, run_id: str
) -> dict[str, int]:
    """Send the rows again and note each outcome; returns how many ended in which (indexed, already_there, refused, gone).

    Raises:
        VerificationError: a document that was sent is not found.
        ConfigurationError: contract, template and live indices do not fit together, or the node's clock and ours do not.
    """
    client.now()  # a wrong clock would refuse rows for their age
    refuse_conflicts(client, target.pattern, target.fields(contract), target.mapping(), own=target.daily)
    outcomes: dict[str, tuple[str, str | None]] = {}  # of a key that is there twice, refused is what counts
    places = {refusal.record_key: refusal.place for refusal in refusals}
    again: list[RefusedRecord] = []
    table = catalog.load_table(contract.table)
    head = table.current_snapshot()
    sent: dict[str, set[str]] = {}

    def refuse(documents: Documents, number: int, reason: str, detail: str) -> None:
        key = str(documents.ids[number].as_py())
        outcomes[key] = "refused", reason
        masked = mask(documents.source(number))
        read_from = head.snapshot_id if head else None
        again.append(RefusedRecord(contract.table, key, places[key], reason, mask(detail)[:200], masked, 1, target.pattern, read_from))

    for built in _read(table, contract, target, refusals):
        for number, reason in enumerate(built.reasons):
            refuse(built.refused, number, reason, DETAILS[reason])
        for bulk in built.documents.bulks(BULK_BYTES):
            done = create(client, bulk)
            for name, numbers in (("indexed", done.indexed), ("already_there", done.already_there)):
                for number in numbers:
                    outcomes.setdefault(str(bulk.ids[number].as_py()), (name, None))
            for day, ids in bulk.take([*done.indexed, *done.already_there]).ids_by_day().items():
                sent.setdefault(target.index_of(day), set()).update(ids)
            for rejected in done.refused:
                refuse(bulk, rejected.number, rejected.reason, rejected.detail)
            log.info("%d of %d refused rows sent again", len(outcomes), len(refusals))
    client.refresh(target.pattern)
    for index, wanted in sent.items():
        if (found := client.count_ids(index, sorted(wanted))) != len(wanted):
            raise VerificationError(f"{index} has {found} of the {len(wanted)} documents just sent; clear the task to send them again")
    record_refusals(catalog, again)
    now = datetime.now(UTC)
    rows: dict[str, dict[str, Any]] = {}
    for refusal in refusals:
        outcome, why = outcomes.get(refusal.record_key, ("gone", None))
        row = {"refusal_id": refusal.refusal_id, "run_id": run_id, "outcome": outcome, "reason": why}
        # A task that is cleared may end otherwise than it did: that is another line.
        redrive_id = sha256("|".join(map(str, row.values())).encode()).hexdigest()
        rows[redrive_id] = row | {"redrive_id": redrive_id, "table_name": contract.table, "target": target.pattern, "redriven_at": now}
    together = pa.Table.from_pylist(list(rows.values()))
    inputs = [Input(redrive_id, REDRIVES, together.slice(number, 1)) for number, redrive_id in enumerate(rows)]
    append_once(catalog, REDRIVES, inputs, key_column="redrive_id")
    return dict(Counter(outcomes.get(record_key, ("gone", None))[0] for record_key in {refusal.record_key for refusal in refusals}))


def _read(table: Table, contract: Contract, target: Target, refusals: Sequence[Refusal]) -> Iterator[Built]:
    """The rows that are in the source, built anew."""
    if len(contract.primary_key) != 1:
        raise ConfigurationError(
            f"{contract.table} has no key of one column, so a refused row cannot be read again by it: resync its days instead"
        )
    head = table.current_snapshot()
    if head is None or not refusals:
        return
    builder = builder_of(contract, target, snapshot_id=head.snapshot_id, now=datetime.now(UTC))
    keys = {refusal.record_key for refusal in refusals}
    rows = window.live(table, head.snapshot_id, one_of(contract.primary_key[0], keys))
    for batch in rows.batches(0, len(rows.files), max_rows=_BATCH_ROWS):
        if len(batch):
            yield builder.build(batch)
