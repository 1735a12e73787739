"""What a rule measured, and the verdict on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from lakehouse.contracts import Check, Contract

MANIFESTS, SCAN, OBJECTS = "manifests", "scan", "objects"
# Metrics that count rows, so that a share of the table's rows says something.
COUNTING = ("nullValues", "missingValues", "invalidValues", "duplicateValues")


@dataclass(frozen=True)
class Measured:
    """One rule's value.

    Attributes:
        value: what the rule measures; None where there was nothing to measure.
        answered_by: `manifests`, `scan` or `objects`.
        first_bad: the smallest value of the first partition field with a row (or a count) that breaks the rule.
        detail: what a person should know besides the value.
        skipped: nothing can be said yet; `detail` says why.
    """

    value: float | None
    answered_by: str
    first_bad: str | None = None
    detail: str = ""
    skipped: bool = False


@dataclass(frozen=True)
class CheckResult:
    """A rule's verdict: `passed`, `warned`, `failed`, `empty` when the table had no row to look at, `skipped` when it is too young.

    Attributes:
        failed_share: share of the rows that break the rule, for rules that count rows.
        state: `new` or `ongoing`, for a rule that is not passed.
    """

    table_name: str
    check_id: str
    column_name: str | None
    severity: str
    status: str
    measured: float | None
    threshold: str
    description: str
    failed_share: float | None = None
    first_bad_partition: str | None = None
    answered_by: str = SCAN
    snapshot_id: int | None = None
    state: str | None = None
    failing_since: datetime | None = None
    last_passed_at: datetime | None = None

    @property
    def blocks(self) -> bool:
        """Whether the verdict makes a run fail."""
        return self.status == "failed" or (self.status == "empty" and self.severity == "error")

    @property
    def warns(self) -> bool:
        """Whether people are told of it, and the run goes on."""
        return self.status == "warned" or (self.status == "empty" and self.severity == "warning")

    def as_row(self, run_id: str, checked_at: datetime) -> dict[str, Any]:
        """The row of `ops_db.check_results`."""
        return asdict(self) | {"run_id": run_id, "checked_at": checked_at}

    def as_line(self) -> str:
        """One line for a person: the rule, what was measured, what was wanted, since when."""
        where = f", first in partition {self.first_bad_partition}" if self.first_bad_partition else ""
        since = f", {self.state}" + (f" since {self.failing_since:%Y-%m-%d %H:%M} UTC" if self.state == "ongoing" else "")
        measured = "nothing to measure" if self.measured is None else f"measured {self.measured:g}"
        return (
            f"{self.check_id}: {self.description}; {measured}, wanted {self.threshold} ({self.status}{since if self.state else ''}){where}"
        )


def verdict(contract: Contract, check: Check, measured: Measured, rows: int, snapshot_id: int | None = None) -> CheckResult:
    """Hold what was measured against the rule; an empty table is a verdict of its own, because counting bad rows would pass on nothing."""
    # Whether an empty table is an error is for its rowCount rule to say; without one it is.
    when_empty = next((other.severity for other in contract.checks if _counts_the_table(other)), "error")
    if rows == 0 and not _counts_the_table(check):
        status = "empty"
    elif measured.skipped:
        status = "skipped"
    elif measured.value is not None and check.passes(measured.value):
        status = "passed"
    else:
        status = "failed" if check.severity == "error" else "warned"
    return CheckResult(
        contract.table,
        check.check_id,
        check.column,
        when_empty if status == "empty" else check.severity,
        status,
        measured.value,
        check.wanted,
        f"{check.description}: {measured.detail}" if measured.detail else check.description,
        failed_share=_share(check, measured, rows),
        first_bad_partition=None if status in ("passed", "skipped") else measured.first_bad,
        answered_by=measured.answered_by,
        snapshot_id=snapshot_id,
    )


def _counts_the_table(check: Check) -> bool:
    return check.metric == "rowCount" and not check.per_partition


def _share(check: Check, measured: Measured, rows: int) -> float | None:
    if check.metric not in COUNTING or check.per_partition or measured.value is None or not rows:
        return None
    return measured.value / 100 if check.percent else measured.value / rows
