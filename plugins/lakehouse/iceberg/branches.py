"""Write, audit, publish: a branch to write on, and main moved to it once its rows are found good.

See the Iceberg table specification, "Snapshot References". PyIceberg has no fast-forward and does not check ancestry when it sets a
branch, so that is done here; taking a snapshot over to a main that has moved is left to Spark's `cherrypick_snapshot`.
"""

from __future__ import annotations

import logging
from datetime import date
from enum import StrEnum

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Snapshot

from lakehouse.exceptions import ChangedMeanwhileError, ConfigurationError
from lakehouse.iceberg.commits import until_it_goes_through, without_library_retry
from lakehouse.iceberg.history import ancestors, summary_of, touched_days

log = logging.getLogger(__name__)


class Published(StrEnum):
    """How far `publish` came."""

    DONE = "done"
    CHERRY_PICK = "cherry_pick"


def start_branch(catalog: Catalog, table_name: str, branch: str) -> Table:
    """Make the branch at main's head, or set it back to there; an empty table gets a snapshot without rows to start from.

    Raises:
        TransientError: the catalog kept refusing; another writer may be busy.
    """

    def start() -> Table:
        table = catalog.load_table(table_name)
        without_library_retry(table)
        if table.current_snapshot() is None:
            with table.transaction() as transaction, transaction.update_snapshot().fast_append():
                pass
        head = table.current_snapshot()
        reference = table.refs().get(branch)
        if head is not None and (reference is None or reference.snapshot_id != head.snapshot_id):
            table.manage_snapshots().create_branch(head.snapshot_id, branch).commit()
        return table

    return until_it_goes_through(f"the start of branch {branch}", table_name, start)


def publish(catalog: Catalog, table_name: str, branch: str, snapshot_id: int) -> Published:
    """Move main to the branch if main has not moved; the branch stays until `drop_branch`.

    Args:
        snapshot_id: the branch's snapshot that was audited.

    Returns:
        `DONE` when main has the branch's rows, `CHERRY_PICK` when main has moved on other days: its snapshot is then to be taken over.

    Raises:
        ConfigurationError: there is no such branch.
        ChangedMeanwhileError: main has new snapshots of the very days of the branch, or the branch was written again.
        TransientError: the catalog kept failing.
    """

    def move_main() -> Published:
        table = catalog.load_table(table_name)
        audited = table.snapshot_by_id(snapshot_id)
        if audited is not None and is_published(table, audited):  # The branch may be gone by now.
            return Published.DONE
        made = branch_head(table, branch)
        if made.snapshot_id != snapshot_id:
            raise ChangedMeanwhileError(
                f"branch {branch} of {table_name} was written again after its audit (snapshot {snapshot_id} is now {made.snapshot_id}): "
                "another run has the same days; clear this one from `plan` on when that is over"
            )
        if _main_moved(table, branch, made):
            return Published.CHERRY_PICK
        without_library_retry(table)
        table.manage_snapshots().set_current_snapshot(snapshot_id=snapshot_id).commit()
        log.info("%s: main is now at snapshot %d of branch %s", table_name, snapshot_id, branch)
        return Published.DONE

    return until_it_goes_through(f"the publishing of branch {branch}", table_name, move_main)


def branch_head(table: Table, branch: str) -> Snapshot:
    """The newest snapshot of a branch.

    Raises:
        ConfigurationError: there is no such branch.
    """
    made = table.snapshot_by_name(branch)
    if made is None:
        raise ConfigurationError(f"{'.'.join(table.name())} has no branch {branch}: clear the run from its writing task on")
    return made


def is_published(table: Table, made: Snapshot) -> bool:
    """Whether main has the snapshot: as one of its own, or taken over from it."""
    wanted = str(made.snapshot_id)
    return any(
        snapshot.snapshot_id == made.snapshot_id or summary_of(snapshot).get("source-snapshot-id") == wanted
        for snapshot in ancestors(table)
    )


def drop_branch(catalog: Catalog, table_name: str, branch: str) -> None:
    """Remove a branch; nothing happens where there is none.

    Raises:
        TransientError: the catalog kept failing.
    """

    def drop() -> None:
        table = catalog.load_table(table_name)
        if branch in table.refs() and branch != MAIN_BRANCH:
            table.manage_snapshots().remove_branch(branch).commit()

    until_it_goes_through(f"the removal of branch {branch}", table_name, drop)


def _main_moved(table: Table, branch: str, made: Snapshot) -> bool:
    """Whether main has moved since the branch was made; an error when it did so on the branch's days."""
    main = {snapshot.snapshot_id for snapshot in ancestors(table)}
    own: set[date] = set()
    base = None
    for snapshot in ancestors(table, made):
        if snapshot.snapshot_id in main:
            base = snapshot.snapshot_id
            break
        own |= touched_days(table, snapshot)
    moved = False
    for snapshot in ancestors(table):
        if snapshot.snapshot_id == base:
            break
        moved = True
        if both := sorted(day.isoformat() for day in own & touched_days(table, snapshot)):
            raise ChangedMeanwhileError(
                f"{'.'.join(table.name())}: main got other rows of {', '.join(both)} in snapshot {snapshot.snapshot_id} after branch "
                f"{branch} was made; main is left as it is. Look at both; clear the run from `plan` on to write the days anew"
            )
    return moved
