"""Appending each input exactly once, whatever is retried, killed or run twice.

The rule (see the Iceberg table specification, "Optimistic Concurrency"): load the table, look up every input's checksum, append on
exactly that head with the checksums in the snapshot's summary, on conflict look again. The library's own commit retry is off,
because it would append on a head that nobody has looked at. Any error that is not a plain conflict means "unknown": look first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import And
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from lakehouse.exceptions import SchemaMismatchError, TransientError
from lakehouse.iceberg.commits import may_heal, wait, without_library_retry
from lakehouse.iceberg.data_files import write_data_files
from lakehouse.iceberg.filters import equal, one_of
from lakehouse.iceberg.history import ancestors

log = logging.getLogger(__name__)

LOADED_FILES = "ops_db.loaded_files"
INPUTS_PROPERTY = "lakehouse.inputs"
_TRIES = 30
# A catalog that accepts connections and never answers takes a minute a try: give up before the task is timed out without a word.
_SECONDS = 300


@dataclass(frozen=True)
class Input:
    """One input: its content's SHA-256 (hex), a name for people, and its rows by column name."""

    checksum: str
    name: str
    rows: pa.Table


@dataclass(frozen=True)
class Appended:
    """What an append did; `snapshot_id` is None when nothing was new."""

    loaded: tuple[str, ...]
    already_there: tuple[str, ...]
    rows: int
    snapshot_id: int | None


def append_once(
    catalog: Catalog,
    table_name: str,
    inputs: Sequence[Input],
    *,
    ledger: str | None = LOADED_FILES,
    key_column: str | None = None,
    before_commit: Callable[[], None] | None = None,
) -> Appended:
    """Append the inputs that the table does not have yet, in one commit, and note them in the ledger.

    Args:
        inputs: each with its own rows; one checksum given twice counts once.
        ledger: table of loaded checksums, which outlives snapshot expiry; None where a replay comes at once or never.
        key_column: the table's own column that holds each input's `checksum`; it then takes the place of summary and ledger.
        before_commit: called between looking and committing; the tests put a rival's commit there.

    Raises:
        TransientError: no commit went through in many tries, or its outcome stayed unknown.
        SchemaMismatchError: rows do not fit the table.
    """
    unique = {entry.checksum: entry for entry in inputs}
    written: tuple[tuple[str, ...], list[DataFile]] = ((), [])
    problem: Exception | None = None
    deadline = time.monotonic() + _SECONDS
    for attempt in range(_TRIES):
        if time.monotonic() > deadline:
            break
        try:
            table, known = _look(catalog, table_name, list(unique), ledger, key_column)
        except Exception as error:
            if not may_heal(error):
                raise
            problem = error
            wait(table_name, attempt, problem)
            continue
        fresh = [entry for entry in unique.values() if entry.checksum not in known]
        if problem is not None and not fresh:
            log.info("after %s: %s has every input now", type(problem).__name__, table_name)
        elif problem is not None and not may_heal(problem):
            raise problem
        if not fresh:
            if key_column is None and ledger is not None:
                _note_missing(catalog, table, unique, known, ledger)
            return Appended((), tuple(known), 0, None)
        checksums = tuple(entry.checksum for entry in fresh)
        try:
            # After a conflict the same files are committed again, unless a rival has brought some of the inputs meanwhile.
            if written[0] != checksums:
                written = checksums, write_data_files(table, (entry.rows for entry in fresh))
            if before_commit is not None:
                before_commit()
            appended = _commit(table, checksums, tuple(known), written[1], key_column)
        except SchemaMismatchError:
            raise
        # Only a conflict is certain; after anything else the commit may have gone through: the loop looks before it decides.
        except Exception as error:  # noqa: BLE001
            problem = error
        else:
            if key_column is None and ledger is not None and appended.snapshot_id is not None:
                # The old ones as well: a run that was killed before its note may have left them out.
                _note_missing(catalog, table, unique, known | dict.fromkeys(appended.loaded, appended.snapshot_id), ledger)
            return appended
        wait(table_name, attempt, problem)
    raise TransientError(
        f"no commit to {table_name} went through in {attempt} tries; the last said: {problem}: check that catalog and object store answer"
    ) from problem


def _look(
    catalog: Catalog, table_name: str, checksums: list[str], ledger: str | None, key_column: str | None
) -> tuple[Table, dict[str, int]]:
    """The table at its present head, and which inputs it has there."""
    table = catalog.load_table(table_name)
    if key_column is None:
        return table, loaded_checksums(catalog, table, checksums, ledger=ledger)
    return table, _keys_in_table(table, key_column, checksums)


def loaded_checksums(catalog: Catalog, table: Table, checksums: Sequence[str], *, ledger: str | None = LOADED_FILES) -> dict[str, int]:
    """Which of the checksums the table has, each with its snapshot: first from snapshot summaries, then from the ledger."""
    wanted = set(checksums)
    known: dict[str, int] = {}
    for snapshot in ancestors(table):
        listed = (snapshot.summary.additional_properties.get(INPUTS_PROPERTY, "") if snapshot.summary else "").split(",")
        known |= dict.fromkeys(wanted.intersection(listed), snapshot.snapshot_id)
    rest = wanted - known.keys()
    return known | (_noted(catalog, table, rest, ledger) if ledger is not None and rest else {})


def _noted(catalog: Catalog, table: Table, checksums: Iterable[str], ledger: str) -> dict[str, int]:
    """What the ledger says of this very table; a table that was made anew, or rolled back behind a snapshot, does not have its inputs."""
    condition = And(equal("table_name", ".".join(table.name())), one_of("checksum", checksums))
    rows = catalog.load_table(ledger).scan(condition, selected_fields=("checksum", "snapshot_id", "table_uuid")).to_arrow().to_pylist()
    gone = {snapshot.snapshot_id for snapshot in table.snapshots()} - {snapshot.snapshot_id for snapshot in ancestors(table)}
    own = (None, str(table.metadata.table_uuid))  # None: noted before the column was there
    return {row["checksum"]: row["snapshot_id"] for row in rows if row["table_uuid"] in own and row["snapshot_id"] not in gone}


def _keys_in_table(table: Table, column: str, keys: list[str]) -> dict[str, int]:
    head = table.current_snapshot()
    if head is None:
        return {}
    # Without the snapshot's id, which would take the snapshot's schema: that one lacks a column that was added since.
    found = table.scan(one_of(column, keys), selected_fields=(column,)).to_arrow()
    return {row[column]: head.snapshot_id for row in found.to_pylist()}


def _commit(table: Table, checksums: tuple[str, ...], known: tuple[str, ...], files: list[DataFile], key_column: str | None) -> Appended:
    without_library_retry(table)
    summary = {} if key_column else {INPUTS_PROPERTY: ",".join(checksums)}
    with table.transaction() as transaction, transaction.update_snapshot(snapshot_properties=summary).fast_append() as append:
        for file in files:
            append.append_data_file(file)
    snapshot = table.current_snapshot()
    return Appended(checksums, known, sum(file.record_count for file in files), snapshot.snapshot_id if snapshot else None)


def _note_missing(catalog: Catalog, table: Table, unique: dict[str, Input], known: dict[str, int], ledger: str) -> None:
    """What an earlier run appended, and was killed before noting, is noted now."""
    missing = sorted(known.keys() - _noted(catalog, table, known, ledger).keys())
    if not missing:
        return
    of_table = {"table_name": ".".join(table.name()), "table_uuid": str(table.metadata.table_uuid), "loaded_at": datetime.now(UTC)}
    together = pa.Table.from_pylist(
        [of_table | {"checksum": checksum, "name": unique[checksum].name, "snapshot_id": known[checksum]} for checksum in missing]
    )
    keys = [f"{of_table['table_uuid']}:{checksum}:{known[checksum]}" for checksum in missing]
    append_once(catalog, ledger, [Input(key, key, together.slice(number, 1)) for number, key in enumerate(keys)], ledger=None)
