"""The drills of `make drill`, each as a test: the true cause, exactly one message, its links, and the fix that heals.

`make test` runs the quickest; `make faults` runs all.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lakehouse_provider.hooks.incidents import IncidentsHook
from stack.drill import drill
from stack.errors import StackError
from stack.faults import FAULTS
from stack.installation import Installation

pytestmark = pytest.mark.integration
QUICK = "superset_password"


@pytest.fixture(autouse=True)
def nothing_is_open(connections: dict[str, Any], pipeline: dict[str, Any]) -> None:
    """Other tests let runs fail, and leave their incidents open."""
    with IncidentsHook().store() as store:
        for incident in store.open():
            store.close(incident.incident_id, "the test", "", datetime.now(UTC))


@pytest.mark.fault(30)
def test_a_drill_shows_what_on_call_gets_and_heals(stack: Installation, pipeline: dict[str, Any]) -> None:
    outcome = drill(stack, QUICK)
    assert outcome.problems == []
    [message] = outcome.mails
    assert "Superset answered 401" in message


@pytest.mark.drill
@pytest.mark.fault(30)
@pytest.mark.parametrize("name", sorted(FAULTS.keys() - {QUICK}))
def test_every_drill_is_as_it_has_to_be(stack: Installation, pipeline: dict[str, Any], name: str) -> None:
    assert drill(stack, name).problems == []


def test_an_unknown_fault_is_answered_with_those_there_are(stack: Installation) -> None:
    with pytest.raises(StackError, match="there is no fault 'flood'; there are") as caught:
        drill(stack, "flood")
    assert all(name in str(caught.value) for name in FAULTS)
