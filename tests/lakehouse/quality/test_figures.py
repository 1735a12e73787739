"""What Prometheus is told of a table's checks."""

from __future__ import annotations

import dataclasses

from prometheus_client import generate_latest

from lakehouse.contracts import Check, Contract
from lakehouse.metrics import _registry
from lakehouse.quality.checks import FRESHNESS
from lakehouse.quality.figures import figures, grouping
from lakehouse.quality.results import CheckResult

PLAIN = Contract("db.t", "", (), (), (), (), {}, (), 0.0, "", None, None, None)
CONTRACT = dataclasses.replace(
    PLAIN,
    checks=(
        Check("rows", "it has rows", "error", ">", 0.0, "rowCount"),
        Check("named", "each has a name", "error", "=", 0.0, "nullValues", column="name"),
        Check("crossed", "no bid above the ask", "warning", "=", 0.0, query="SELECT count(*) FROM {table}"),
        Check("level", "a known level", "warning", "=", 0.0, "invalidValues", column="level"),
    ),
)


def result(check_id: str, status: str, measured: float | None, severity: str = "error", column: str | None = None) -> CheckResult:
    return CheckResult("db.t", check_id, column, severity, status, measured, "", "")


def told(contract: Contract, results: list[CheckResult]) -> dict[tuple[str, ...], float]:
    found = figures(contract, results, now=1_000.0)
    assert all(figure.labels.items() >= grouping(contract).items() for figure in found)
    generate_latest(_registry(found))  # one name has one set of labels
    return {(figure.name.removeprefix("lakehouse_check_"), figure.labels.get("check", "")): figure.value for figure in found}


def test_what_was_measured_is_told_with_its_share_of_the_rows() -> None:
    results = [
        result("rows", "passed", 200.0),
        result("named", "failed", 50.0, column="name"),
        result("crossed", "warned", 3.0, "warning"),
        result(FRESHNESS, "passed", 1.5, "warning", "at"),
    ]
    assert told(CONTRACT, results) == {
        ("passed", "rows"): 1,
        ("passed", "named"): 0,
        ("passed", "crossed"): 0,
        ("passed", FRESHNESS): 1,
        ("measured", "rows"): 200,
        ("measured", "named"): 50,
        ("measured", "crossed"): 3,
        ("measured", FRESHNESS): 1.5,
        # An SQL rule's number need not be rows, so it has no share.
        ("broken_ratio", "named"): 0.25,
        ("rows", ""): 200,
        ("last_run_timestamp_seconds", ""): 1000,
    }


def test_what_nobody_could_measure_is_no_zero() -> None:
    found = told(CONTRACT, [result("rows", "failed", 0.0), result("named", "empty", 0.0, column="name"), result("level", "failed", None)])
    assert found[("passed", "named")] == found[("passed", "level")] == 0
    assert ("measured", "level") not in found
    assert not [name for name, _ in found if name == "broken_ratio"]


def test_names_that_no_label_may_have_are_cut() -> None:
    odd = "x\n" + "y" * 200
    contract = dataclasses.replace(CONTRACT, checks=(dataclasses.replace(CONTRACT.checks[1], check_id=odd, column=odd),))
    (passed, *_) = figures(contract, [result(odd, "passed", 0.0, column=odd)])
    assert passed.labels["check"] == passed.labels["column"] == "x?" + "y" * 98
