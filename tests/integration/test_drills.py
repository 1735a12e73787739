"""The drills of `make drill`, each as a test: the true cause, exactly one message, its links, and the fix that heals.

`make test` runs the quickest; `make faults` runs all.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lakehouse_provider.hooks.incidents import IncidentsHook
from stack.faults import FAULTS
from tests.conftest import run_stack

pytestmark = pytest.mark.integration
QUICK = "superset_password"
# Rows of docs/faults.md that a drill shows, besides the one message of row 30.
ROWS = {
    "opensearch_down": pytest.mark.fault(22),
    "opensearch_read_only": pytest.mark.fault(28),
    "seaweedfs_killed": pytest.mark.fault(10),
    "store_down": pytest.mark.fault(22),
    "trino_down": pytest.mark.fault(27),
    "trino_killed": pytest.mark.fault(27),
}


@pytest.fixture(autouse=True)
def nothing_is_open(connections: dict[str, Any], pipeline: dict[str, Any]) -> None:
    """Other tests let runs fail, and leave their incidents open."""
    with IncidentsHook().store() as store:
        for incident in store.open():
            store.close(incident.incident_id, "the test", "", datetime.now(UTC))


@pytest.mark.fault(30)
def test_a_drill_shows_what_on_call_gets_and_heals(pipeline: dict[str, Any]) -> None:
    shown = run_stack("drill", QUICK, check=False)
    assert shown.returncode == 0, shown.stdout
    assert "✓ exactly one message was sent" in shown.stdout
    assert "│ Cause: ServiceError: Superset answered 401" in shown.stdout
    assert "✓ the incident is closed" in shown.stdout


@pytest.mark.drill
@pytest.mark.fault(30)
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("name", [pytest.param(name, marks=ROWS.get(name, ())) for name in sorted(FAULTS.keys() - {QUICK})])
def test_every_drill_is_as_it_has_to_be(pipeline: dict[str, Any], name: str) -> None:
    shown = run_stack("drill", name, check=False)
    assert shown.returncode == 0, shown.stdout


def test_an_unknown_fault_is_answered_with_those_there_are(pipeline: dict[str, Any]) -> None:
    shown = run_stack("drill", "flood", check=False)
    assert shown.returncode != 0
    assert "there is no fault 'flood'; there are:" in shown.stdout + shown.stderr
    assert all(name in shown.stdout + shown.stderr for name in FAULTS)
