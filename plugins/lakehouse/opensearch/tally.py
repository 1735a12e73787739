"""Counts what becomes of a part's rows while they are sent; of each document it keeps eight bytes, to see ids that come twice."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

from lakehouse.exceptions import ConfigurationError
from lakehouse.masking import mask
from lakehouse.opensearch.build import DETAILS, Built, Documents
from lakehouse.opensearch.client import OpenSearchClient
from lakehouse.opensearch.send import Outcome, create
from lakehouse.opensearch.shipment import Counts, Part
from lakehouse.opensearch.target import Target
from lakehouse.ops.tables import RefusedRecord

log = logging.getLogger(__name__)

REST = "(rest of "
_MAX_LISTED = 10_000


class Tally:
    """Delivers bulks (or, in a dry run, looks for them) and adds up."""

    def __init__(self, client: OpenSearchClient, target: Target, part: Part, *, rows: int) -> None:
        self._client, self._target, self._part, self._rows = client, target, part, rows
        self._counts = Counter[str]()
        self._reasons = Counter[str]()
        self._days = Counter[str]()
        self._examples: dict[str, str] = {}
        self._listed: list[RefusedRecord] = []
        self._hashes: list[np.ndarray[Any, np.dtype[np.uint64]]] = []
        self._indices = set(part.documents_before)
        self._started = time.monotonic()

    def take(self, built: Built) -> None:
        """What was built of a batch: refuse what cannot be sent."""
        self._hashes.append(built.id_hashes)
        for number, reason in enumerate(built.reasons):
            self._refuse(built.refused, number, reason, DETAILS[reason])

    def deliver(self, bulk: Documents) -> Outcome:
        """Send a bulk; runs beside the building of the next one."""
        if self._part.kind == "dry run":
            missing = sum(len(ids) - self._client.count_ids(self._target.index_of(day), ids) for day, ids in bulk.ids_by_day().items())
            self._counts["missing"] += missing
            return Outcome(already_there=list(range(len(bulk) - missing)))
        self._refuse_too_many_indices(bulk)
        return create(self._client, bulk)

    def add(self, bulk: Documents, outcome: Outcome) -> None:
        """Count a bulk's outcome, and say how far it is."""
        self._counts["indexed"] += len(outcome.indexed)
        self._counts["already_there"] += len(outcome.already_there)
        self._counts["bytes_sent"] += 0 if self._part.kind == "dry run" else len(bulk.body())
        days = bulk.days if len(outcome.indexed) == len(bulk) else bulk.take(outcome.indexed).days
        self._days.update(str(day) for day in days.to_pylist())
        for refusal in outcome.refused:
            self._refuse(bulk, refusal.number, refusal.reason, refusal.detail)
        done = self._counts["indexed"] + self._counts["already_there"] + self._counts["missing"] + self._reasons.total()
        seconds = time.monotonic() - self._started
        log.info(
            "%d of %d rows: %d indexed, %d already there, %d refused; %.0f rows/s",
            done,
            self._rows,
            self._counts["indexed"],
            self._counts["already_there"],
            self._reasons.total(),
            done / max(seconds, 1e-3),
        )

    def refusals(self) -> list[RefusedRecord]:
        """What was refused: of each reason rows up to a bound (those with one key together), and one line for the rest."""
        rest = self._reasons - Counter(refusal.reason for refusal in self._listed)
        together = Counter(refusal.refusal_id for refusal in self._listed)
        listed = {refusal.refusal_id: refusal for refusal in self._listed}
        lines = [replace(refusal, records=together[key]) for key, refusal in listed.items()]
        for reason, count in rest.items():
            detail = f"{count} more rows than are listed one by one"
            lines.append(self._line(f"{REST}{self._part.name})", reason, detail, "", count))
        return lines

    def counts(self) -> Counts:
        """The sums."""
        hashes = np.concatenate(self._hashes) if self._hashes else np.array([], np.uint64)
        return Counts(
            part=self._part.name,
            **self._counts,
            refused=self._reasons.total(),
            same_id=len(hashes) - len(np.unique(hashes)),
            seconds=round(time.monotonic() - self._started, 3),
            reasons=dict(self._reasons),
            examples=self._examples,
            indexed_by_day=dict(self._days),
        )

    def _refuse(self, documents: Documents, number: int, reason: str, detail: str) -> None:
        self._reasons[reason] += 1
        self._examples.setdefault(reason, mask(detail)[:200])
        if self._reasons[reason] > _MAX_LISTED:
            return
        key = str(documents.ids[number].as_py())
        self._listed.append(self._line(key, reason, mask(detail)[:200], mask(documents.source(number))))

    def _line(self, key: str, reason: str, detail: str, masked: str, records: int = 1) -> RefusedRecord:
        part, target = self._part, self._target.pattern
        return RefusedRecord(part.source_table, key, part.place, reason, detail, masked, records, target, part.to_snapshot_id)

    def _refuse_too_many_indices(self, bulk: Documents) -> None:
        wanted = {self._target.index_of(str(day)) for day in pc.unique(bulk.days).to_pylist()}
        if wanted <= self._indices:
            return
        self._indices |= wanted
        # Other workers make indices as well: count what all of them made since the shipment was planned.
        fresh = (self._target.daily(self._client.indices(self._target.pattern)).keys() | wanted) - self._part.documents_before.keys()
        if len(fresh) > self._target.max_new_indices:
            raise ConfigurationError(
                f"{self._part.source_table}: its rows would make {len(fresh)} new indices in one run ({min(fresh)} to {max(fresh)}), "
                f"{self._target.max_new_indices} are allowed: look at the event times, or raise `max_new_indices` of the target"
            )
