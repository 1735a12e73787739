"""Every error the engines raise on purpose.

Configuration errors are `ValueError`s that say what to write instead. Errors of services carry the HTTP status and the object
concerned. Only what derives from `TransientError` can heal by waiting; the DAGs' retry rules look at nothing else.
"""

from __future__ import annotations


class LakehouseError(Exception):
    """Base of every error of this package; the text says what, where and what to do."""

    #: Anchor of the section in the DAG's runbook that treats this error.
    runbook_anchor = "first-look"


class ConfigurationError(LakehouseError, ValueError):
    """A contract, a parameter or a connection is wrong; waiting does not help."""

    runbook_anchor = "configuration"


class TransientError(LakehouseError):
    """A service did not answer, or asked for patience; the same call may go through later."""

    runbook_anchor = "service-unreachable"


class ServiceError(LakehouseError):
    """A service answered, and refused.

    Attributes:
        status: the HTTP status, None where the protocol has none.
        target: what was asked for, such as a path or a table.
    """

    runbook_anchor = "service-refused"

    def __init__(self, message: str, *, status: int | None = None, target: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.target = target


class VerificationError(LakehouseError):
    """What was read back from a service is not what was written."""

    runbook_anchor = "read-back-differs"


class CountError(VerificationError):
    """The counts of read, loaded, already there and refused do not add up."""

    runbook_anchor = "counts-do-not-add-up"


class RefusedThresholdError(LakehouseError):
    """More inputs were refused than the contract allows; the good ones are safe."""

    runbook_anchor = "too-many-refused"


class SchemaMismatchError(LakehouseError):
    """The table in the catalog and its contract differ in a way that is not an addition."""

    runbook_anchor = "schema-differs"


class ChangedMeanwhileError(LakehouseError):
    """Another writer changed the same days while ours were being written; nothing of theirs was touched."""

    runbook_anchor = "changed-meanwhile"


class StorageFullError(LakehouseError):
    """There is no room to write; waiting does not make any."""

    runbook_anchor = "storage-full"


class HistoryError(LakehouseError):
    """The source's history no longer holds the snapshot to go on from."""

    runbook_anchor = "history-changed"


class ChecksFailedError(LakehouseError):
    """Checks of severity error failed, or a service level marked as an error was missed."""

    runbook_anchor = "checks-failed"


class PruneLimitError(LakehouseError):
    """More objects would be removed than the limit allows; none was."""

    runbook_anchor = "prune-limit"
