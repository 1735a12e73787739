"""Whether a table still has the columns that its contract says."""

from __future__ import annotations

from pyiceberg.table import Table

from lakehouse.contracts import Contract
from lakehouse.iceberg.table import schema_differences
from lakehouse.quality.results import MANIFESTS, CheckResult

SCHEMA = "schema"


def schema_drift(contract: Contract, table: Table) -> CheckResult:
    """A verdict on the table's columns and partitioning: failed where they differ, or where the contract has more."""
    differences = schema_differences(table, contract)
    text = "the table has the contract's columns and partitioning"
    snapshot = table.current_snapshot()
    return CheckResult(
        contract.table,
        SCHEMA,
        None,
        "error",
        "failed" if differences else "passed",
        float(len(differences)),
        "= 0",
        f"{text}: {'; '.join(differences)}" if differences else text,
        answered_by=MANIFESTS,
        snapshot_id=snapshot.snapshot_id if snapshot else None,
    )
