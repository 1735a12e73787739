"""Committing in our own loop: what may be tried again, how long to wait, and the library's own retry switched off."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from pyiceberg.exceptions import BadRequestError, CommitFailedException, CommitStateUnknownException, ServerError, ServiceUnavailableError
from pyiceberg.table import Table, TableProperties

from lakehouse.exceptions import TransientError

log = logging.getLogger(__name__)

T = TypeVar("T")
_TRIES = 10

# Conflicts, and what a dead or struggling catalog or store raises: requests' errors are OSErrors too.
_MAY_HEAL = (CommitFailedException, CommitStateUnknownException, ServerError, ServiceUnavailableError, TransientError, OSError)


def may_heal(error: Exception) -> bool:
    """Whether another try on the table's newest state may go through.

    A commit to one branch while another branch gets its own is a conflict too, although no branch moved under anyone: a REST catalog
    answers it with 400 and the sequence numbers (Iceberg table specification, "Sequence Numbers").
    """
    return isinstance(error, _MAY_HEAL) or (isinstance(error, BadRequestError) and "sequence number" in str(error))


def until_it_goes_through(what: str, table_name: str, step: Callable[[], T]) -> T:
    """Run a step until it goes through; each time it loads the table anew, and looks before it commits.

    Raises:
        TransientError: it did not in many tries.
    """
    problem: Exception | None = None
    for attempt in range(_TRIES):
        try:
            return step()
        except Exception as error:
            if not may_heal(error):
                raise
            problem = error
            wait(table_name, attempt, error)
    raise TransientError(f"{table_name}: {what} did not go through in {_TRIES} tries; the last said: {problem}") from problem


def wait(table_name: str, attempt: int, problem: Exception) -> None:
    """Back off before the next look at a table, longer each time, with jitter."""
    seconds = min(2.0, 0.05 * 2**attempt) * random.uniform(0.5, 1.5)  # noqa: S311  # jitter, not a secret
    log.info("commit to %s, try %d: %s; looking again in %.1f s", table_name, attempt + 1, problem, seconds)
    time.sleep(seconds)


def without_library_retry(table: Table) -> None:
    """Switch the library's commit retry off for this object: it would commit on a head that nobody has looked at.

    In memory only: the stored property is for the other engines.
    """
    table.metadata.properties[TableProperties.COMMIT_NUM_RETRIES] = "0"
