"""The end of a run: one commit of metadata for all its batches, refusals noted, the landing prefix cleared, the counts added up."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog

from lakehouse.contracts import Contract
from lakehouse.exceptions import CountError, ServiceError, VerificationError
from lakehouse.iceberg.append import Input, append_once
from lakehouse.images.keys import ARCHIVE, STAGING, SUFFIXES
from lakehouse.images.lookalikes import Pair, lookalikes
from lakehouse.images.sources import Batch, Source
from lakehouse.images.upload import Outcome, known_rows, shown
from lakehouse.markdown import table as markdown_table
from lakehouse.objects import ObjectStore
from lakehouse.ops.tables import RefusedFile, record_refusals

log = logging.getLogger(__name__)

_MOVES_AT_ONCE = 16
_SHOWN = 20


@dataclass(frozen=True)
class ElsewhereKnown:
    """An image that came again under another tag, or on another day than the one that decided its key."""

    source: str
    image_id: str
    tag: str
    registered_as: str
    registered_on: str


@dataclass(frozen=True)
class Registered:
    """Counts of a run; `read` comes from the listing alone, `left` were gone or changed by the time they were read."""

    read: int
    uploaded: int
    already_there: int
    refused: int
    left: int
    snapshot_id: int | None
    reasons: dict[str, int]
    elsewhere: tuple[ElsewhereKnown, ...]
    lookalikes: tuple[Pair, ...]

    def as_facts(self) -> dict[str, Any]:
        """For the asset: the counts."""
        counts = {name: getattr(self, name) for name in ("read", "uploaded", "already_there", "refused", "left", "reasons")}
        return counts | {"other_tag_or_day": len(self.elsewhere), "near_duplicates": len(self.lookalikes)}

    def report(self) -> str:
        """For people, in Markdown: what was refused, what was known elsewhere, what looks alike."""
        counts = (self.read, self.uploaded, self.already_there, self.refused, self.left)
        parts = [markdown_table(("read", "uploaded", "already there", "refused", "left"), [counts])]
        if self.reasons:
            parts.append(markdown_table(("refused for", "files"), sorted(self.reasons.items())))
        if self.elsewhere:
            heads = ("already there", "image", "came as", "is registered as", "since")
            rows = [(one.source, one.image_id[:12], one.tag, one.registered_as, one.registered_on) for one in self.elsewhere[:_SHOWN]]
            parts.append(markdown_table(heads, rows) + _rest(len(self.elsewhere)))
        if self.lookalikes:
            rows_alike = [(pair.image_id[:12], pair.other_id[:12], pair.bits) for pair in self.lookalikes[:_SHOWN]]
            parts.append(markdown_table(("new image", "looks like", "bits that differ"), rows_alike) + _rest(len(self.lookalikes)))
        return "\n\n".join(parts)


def _rest(number: int) -> str:
    return f"\n\nand {number - _SHOWN} more" if number > _SHOWN else ""


def register(
    store: ObjectStore, catalog: Catalog, contract: Contract, run: str, batches: Sequence[Batch], outcomes: Sequence[str]
) -> Registered:
    """Register what the batches stored.

    Rows are committed first, the landing prefix is cleared last: a kill at any point is finished by the next try, which finds the
    rows there and goes on. Its counts are kept under `archive/images/runs/`: a try after its end gives them again. An image is one row
    for ever; its first date decides its key.

    Args:
        store: the bucket.
        catalog: where the table is.
        contract: of the table.
        run: the run's name, under which its batches are staged.
        batches: as `plan` gave them.
        outcomes: keys that `upload` returned.

    Raises:
        CountError: what was listed differs from uploaded + already there + refused + left, or a batch's outcomes are gone; the landing
            prefix is as it was.
        VerificationError: an image that was registered has no row.
    """
    record = f"{ARCHIVE}runs/{run}-{max((batch.started for batch in batches), default=None)}.json"
    if ended := _ended(store, record):
        return ended
    try:
        found = [_outcome(fields) for key in outcomes for fields in json.loads(store.read(key))]
    except ServiceError as error:
        if error.status != 404:
            raise
        # Another try of this run may have ended meanwhile.
        if ended := _ended(store, record):
            return ended
        raise CountError(f"{contract.table}: {error.target} is gone, which told of a batch: clear `plan` and all after it") from error
    refused = [outcome for outcome in found if outcome.refused]
    record_refusals(catalog, [_refusal(store, contract, outcome) for outcome in refused])
    taken = [(outcome, outcome.row) for outcome in found if outcome.row is not None]
    rows: dict[str, dict[str, Any]] = {}
    for _, row in taken:
        rows.setdefault(row["image_id"], row)
    snapshot_id = _append(catalog, contract, list(rows.values()))
    registered = known_rows(catalog, contract, rows, ("image_id", "tag", "upload_time", "s3_path"))
    if missing := rows.keys() - registered.keys():
        raise VerificationError(f"{contract.table}: {len(missing)} images have no row after their commit, such as {min(missing)}")
    # By its upload time a row is known as this run's also when an earlier try committed it.
    new = {image_id for image_id, row in registered.items() if row["upload_time"] == rows[image_id]["upload_time"]}
    counts = Registered(
        read=sum(batch.files for batch in batches),
        uploaded=len(new),
        already_there=len(taken) - len(new),
        refused=len(refused),
        left=sum(outcome.row is None and outcome.refused is None for outcome in found),
        snapshot_id=snapshot_id,
        reasons=dict(Counter(outcome.refused[0] for outcome in refused if outcome.refused)),
        elsewhere=tuple(_elsewhere(taken, registered)),
        lookalikes=tuple(lookalikes(catalog.load_table(contract.table), {image_id: rows[image_id]["perceptual_hash"] for image_id in new})),
    )
    if counts.read != counts.uploaded + counts.already_there + counts.refused + counts.left:
        raise CountError(f"{contract.table}: {counts.as_facts()} does not add up; the images are still in the landing prefix")
    asyncio.run(_clear(store, found))
    if batches:
        store.put(record, json.dumps(asdict(counts)).encode(), "application/json")
    asyncio.run(store.asynchronous().delete([entry.key for entry in store.list(f"{STAGING}{run}/")]))
    return counts


def _ended(store: ObjectStore, record: str) -> Registered | None:
    """What an earlier try of the same run counted, when it came to its end."""
    if store.stat(record) is None:
        return None
    log.info("this run has ended before: its counts are those of %s", record)
    fields = json.loads(store.read(record))
    elsewhere = tuple(ElsewhereKnown(**one) for one in fields["elsewhere"])
    return Registered(**fields | {"elsewhere": elsewhere, "lookalikes": tuple(Pair(**one) for one in fields["lookalikes"])})


def _append(catalog: Catalog, contract: Contract, rows: list[dict[str, Any]]) -> int | None:
    if not rows:
        return None
    together = pa.Table.from_pylist(rows)
    inputs = [Input(row["image_id"], row["s3_path"], together.slice(number, 1)) for number, row in enumerate(rows)]
    return append_once(catalog, contract.table, inputs, key_column="image_id").snapshot_id


def _outcome(fields: dict[str, Any]) -> Outcome:
    row = fields["row"]
    if row is not None:
        row = row | {name: datetime.fromisoformat(row[name]) for name in ("upload_time", "created_at")}
    refused = tuple(fields["refused"]) if fields["refused"] else None
    return Outcome(Source.from_dict(fields["source"]), fields["checksum"], row, refused, fields["kept_at"])


def _refusal(store: ObjectStore, contract: Contract, outcome: Outcome) -> RefusedFile:
    reason, detail = outcome.refused or ("", "")
    kept = outcome.kept_at and f"s3://{store.bucket}/{outcome.kept_at}"
    return RefusedFile(contract.table, outcome.checksum, shown(outcome.source)[:500], reason, detail, kept)


def _elsewhere(taken: Iterable[tuple[Outcome, dict[str, Any]]], registered: dict[str, dict[str, Any]]) -> Iterable[ElsewhereKnown]:
    for _, row in taken:
        known = registered[row["image_id"]]
        first, now = known["upload_time"].date(), row["upload_time"].date()
        if known["tag"] != row["tag"] or first != now:
            yield ElsewhereKnown(row["source"], row["image_id"], row["tag"], known["tag"], first.isoformat())


async def _clear(store: ObjectStore, found: Sequence[Outcome]) -> None:
    """Move what was landed to `archive/` or `refused/`, unless another object lies there by now."""
    bulk, slots = store.asynchronous(), asyncio.Semaphore(_MOVES_AT_ONCE)

    async def move(key: str, target: str, etag: str) -> None:
        async with slots:
            if not await bulk.move(key, target, etag):
                log.info("left alone: %r is gone, or another one by now", key)

    await asyncio.gather(*(move(*one) for one in _moves(found)))


def _moves(found: Sequence[Outcome]) -> set[tuple[str, str, str]]:
    """Key, target and ETag of what is to be moved; a manifest of which something is left stays for the next run."""
    moves = set()
    unfinished = {outcome.source.manifest for outcome in found if outcome.row is None and outcome.refused is None}
    for outcome in found:
        source = outcome.source
        if source.kind == "object" and outcome.row is not None:
            name = f"{outcome.checksum}.{SUFFIXES[outcome.row['mime_type']]}"
            moves.add((source.place, f"{ARCHIVE}{outcome.row['upload_time']:%Y-%m-%d}/{name}", source.etag))
        elif source.kind == "object" and outcome.kept_at:
            moves.add((source.place, outcome.kept_at, source.etag))
        if source.manifest and source.manifest not in unfinished:
            name = sha256(f"{source.manifest}/{source.manifest_etag}".encode()).hexdigest()
            moves.add((source.manifest, f"{ARCHIVE}manifests/{name}", source.manifest_etag))
    return moves
