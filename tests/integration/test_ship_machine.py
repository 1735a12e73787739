"""Appends, shipments, kills, retries, expiry and compaction in any order: whenever a shipment ends well, the documents are the rows.

Seeds of a failure are printed; `@reproduce_failure` of hypothesis runs it again.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from pyiceberg.catalog import Catalog

from lakehouse.exceptions import HistoryError
from lakehouse.iceberg.history import ancestors
from lakehouse.opensearch import ship as shipping
from lakehouse.opensearch.client import OpenSearchClient
from lakehouse.opensearch.shipment import Shipment
from stack.installation import Installation
from stack.report import query
from tests.integration.shipping import NOW, Logs, document, logs

pytestmark = pytest.mark.integration

MOMENTS = st.sampled_from([NOW, NOW, NOW - timedelta(days=3), NOW - timedelta(days=99), None])
METAS = st.sampled_from([None, '{"user": "u"}', "no JSON"])
OPENED: dict[str | None, dict[str, Any]] = {None: {}, '{"user": "u"}': {"meta": {"user": "u"}}, "no JSON": {"meta_text": "no JSON"}}


class Killed(BaseException):
    """SIGKILL, as far as one process can play it; `test_ship_faults` has the real one."""


class Mortal(OpenSearchClient):
    """The shipper's client, which dies with its process after so many bulks, once the node took them."""

    def __init__(self, client: OpenSearchClient, bulks: int) -> None:
        super().__init__(client.name, client.base_url, auth=client.session.auth, verify=client._verify)
        self.bulks = bulks

    def request(self, method: str, path: str, **options: Any) -> Any:
        if self.bulks == 0:
            raise Killed
        answer = super().request(method, path, **options)
        self.bulks -= path.startswith("/_bulk")
        return answer


class Shipments(RuleBasedStateMachine):
    """The oracle is the list of all rows that were appended; nothing but compaction takes any away."""

    catalog: Catalog
    stack: Installation

    def __init__(self) -> None:
        super().__init__()
        self.resources = ExitStack()
        self.made: Logs = self.resources.enter_context(logs(self.catalog, f"m{uuid4().hex[:12]}"))
        self.rows: list[dict[str, Any]] = []
        self.append([NOW, None], None)

    def teardown(self) -> None:
        try:
            self.ends_well(self.made.client)
        finally:
            self.resources.close()

    # One rule for both halves of a step: hypothesis switches rules off at random, and half of the runs would never ship.
    @rule(
        moments=st.lists(MOMENTS, min_size=1, max_size=8),
        meta=METAS,
        change=st.sampled_from(["append", "append", "compact", "expire"]),
        then=st.sampled_from(["nothing", "ship", "ship", "be killed", "be killed", "resync"]),
        bulks=st.integers(0, 3),
    )
    def step(self, moments: list[datetime | None], meta: str | None, change: str, then: str, bulks: int) -> None:
        self.append(moments, meta)
        if change == "compact":
            query(self.stack, f"ALTER TABLE {self.made.contract.table} EXECUTE optimize")
        elif change == "expire":
            self.made.table().maintenance.expire_snapshots().older_than(datetime.now(UTC) + timedelta(days=1)).commit()
        if then == "ship":
            self.ends_well(self.made.client)
        elif then == "be killed":
            self.ship_and_be_killed(bulks)
        elif then == "resync":
            dry = self.made.ship(resync="dry run")
            assert (dry.counts.missing, dry.without_row) == (len(self.wanted()) - len(self.made.documents()), 0)
            self.check(self.made.ship(resync="send"))

    def append(self, moments: list[datetime | None], meta: str | None) -> None:
        """Rows of some kinds."""
        self.rows += self.made.append(moments, meta=meta)

    def ship_and_be_killed(self, bulks: int) -> None:
        """Unless it ends before; the next step is the retry."""
        mortal = Mortal(self.made.client, bulks)
        try:
            self.ends_well(mortal)
        except Killed:
            pass
        finally:
            mortal.session.close()

    def ends_well(self, client: OpenSearchClient) -> None:
        """Ship; where the history does not go on, as the error says."""
        gone = self.cursor() not in (None, *(snapshot.snapshot_id for snapshot in ancestors(self.made.table())))
        if gone:
            with pytest.raises(HistoryError, match="`resync`"):
                self.made.ship(client)
        self.check(self.made.ship(client, **({"resync": "send"} if gone else {})))

    def cursor(self) -> int | None:
        """The snapshot that was shipped last."""
        last = shipping.last_shipment(self.catalog, self.made.contract.table, self.made.target.pattern)
        return last.to_snapshot_id if last else None

    def wanted(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The documents of all rows that are not refused."""
        kept = [row for row in self.rows if row["event_time"] is not None and row["event_time"] > NOW - timedelta(days=30)]
        return {(self.made.index(row["event_time"]), row["log_id"]): document(row, **OPENED[row["meta"]]) for row in kept}

    def check(self, shipment: Shipment) -> None:
        """A quiet point: every row is a document or on record as refused, once, and no other is."""
        assert shipment.counts.accounted == shipment.rows_read
        documents = self.made.documents()
        snapshots = {document.pop("snapshot_id") for document in documents.values()}
        assert documents == self.wanted()
        assert "" not in snapshots
        indexed = {key for _, key in documents}
        refused = [(row["record_key"], row["place"]) for row in self.made.refused()]
        assert len(refused) == len(set(refused))  # once by each shipment, however often a killed one was tried again
        assert {key for key, _ in refused} == {row["log_id"] for row in self.rows if row["log_id"] not in indexed}
        assert self.cursor() == self.made.head()


@pytest.mark.fault(5)
@pytest.mark.fault(9)
@pytest.mark.fault(12)
def test_whenever_a_shipment_ends_well_the_documents_are_the_rows_without_the_refused(
    catalog: Catalog, stack: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "BULK_BYTES", 500)
    Shipments.catalog, Shipments.stack = catalog, stack
    Shipments.TestCase.settings = settings(
        max_examples=3,
        stateful_step_count=7,
        deadline=None,
        phases=[Phase.reuse, Phase.generate],  # to shrink takes minutes here
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        database=None,
    )
    Shipments.TestCase().runTest()
