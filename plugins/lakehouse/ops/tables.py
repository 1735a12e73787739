"""Makes the bundle's own tables and writes what was refused; each row goes in once, however often a task runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog

from lakehouse.contracts import Contract, load_folder
from lakehouse.iceberg.append import Input, append_once
from lakehouse.iceberg.table import ensure_tables

CONTRACTS = Path(__file__).parent / "contracts"


@dataclass(frozen=True)
class RefusedRecord:
    """One row that was not taken: where it stands in its source, why, and a masked copy for a first look.

    Attributes:
        records: how many rows this one stands for.
        target: index pattern that a row of the table was on its way to; None when it was on its way into the table.
        snapshot_id: that of the table from which such a row was read.
    """

    table_name: str
    record_key: str
    place: str
    reason: str
    detail: str
    masked: str
    records: int = 1
    target: str | None = None
    snapshot_id: int | None = None

    @property
    def refusal_id(self) -> str:
        """The same for the same row and reason; on the way to an index also the same shipment, because a later one may refuse it anew."""
        parts = (self.table_name, self.record_key, self.reason, *([self.target, self.place] if self.target else []))
        return sha256("|".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class RefusedFile:
    """One file that was not taken, and where it is kept; nowhere when there was nothing to keep, or it stays where it was."""

    table_name: str
    checksum: str
    source: str
    reason: str
    detail: str
    kept_at: str | None

    @property
    def refusal_id(self) -> str:
        """The same for the same content and reason."""
        return sha256("|".join((self.table_name, self.checksum, self.reason)).encode()).hexdigest()


def contracts() -> dict[str, Contract]:
    """The contracts of the bundle's own tables."""
    return load_folder(CONTRACTS)


def ensure_ops_tables(catalog: Catalog) -> None:
    """Create or evolve every table of `ops_db`."""
    ensure_tables(catalog, contracts().values())


def record_refusals(catalog: Catalog, refusals: Sequence[RefusedRecord | RefusedFile]) -> None:
    """Write refusals that are not there yet; the same input refused again for the same reason is one row."""
    now = datetime.now(UTC)
    for kind, table in ((RefusedRecord, "ops_db.refused_records"), (RefusedFile, "ops_db.refused_files")):
        rows = {refusal.refusal_id: asdict(refusal) for refusal in refusals if isinstance(refusal, kind)}
        if rows:
            together = pa.Table.from_pylist([{"refusal_id": key, "refused_at": now} | row for key, row in rows.items()])
            inputs = [Input(key, table, together.slice(number, 1)) for number, key in enumerate(rows)]
            append_once(catalog, table, inputs, key_column="refusal_id")


def append_run_rows(catalog: Catalog, table: str, run_key: str, rows: Sequence[dict[str, Any]]) -> None:
    """Append what one run has to say, once: a retry of the same run adds nothing."""
    if rows:
        checksum = sha256(run_key.encode()).hexdigest()
        append_once(catalog, table, [Input(checksum, run_key, pa.Table.from_pylist(list(rows)))], ledger=None)
