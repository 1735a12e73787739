"""Shipping against the real OpenSearch: every row in exactly one place, whatever became of the table's history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from pyiceberg.catalog import Catalog

from lakehouse.exceptions import HistoryError
from lakehouse.iceberg.table import ensure_table
from stack.installation import Installation
from stack.report import query
from tests.integration.shipping import NOW, Logs, document, logs

pytestmark = pytest.mark.integration


@pytest.fixture
def made(catalog: Catalog, stack: Installation, fresh_name: str) -> Iterator[Logs]:
    with logs(catalog, fresh_name) as made:
        yield made


@pytest.mark.fault(13)
def test_rows_are_indexed_or_refused_by_reason_and_a_later_run_ships_only_what_is_new(made: Logs, stack: Installation) -> None:
    rows = made.append([NOW, NOW, NOW - timedelta(days=1), NOW - timedelta(days=99), None])
    dry = made.ship(resync="dry run")
    assert (dry.counts.missing, dry.counts.already_there, dry.counts.refused, made.refused(), made.documents()) == (3, 0, 2, [], {})
    first = made.ship()
    assert (first.rows_read, first.counts.indexed, first.counts.already_there, first.counts.refused) == (5, 3, 0, 2)
    reasons = query(
        stack, f"SELECT reason, sum(records) FROM ops_db.refused_records WHERE table_name = '{made.contract.table}' GROUP BY 1 ORDER BY 1"
    )
    assert reasons == [["no_event_time", 1], ["outside_retention", 1]]
    assert made.ship().rows_read == 0
    rows += made.append([NOW], meta='{"user": "u1", "service": "risk", "a": {"b": 2}}')
    second = made.ship()
    assert (second.rows_read, second.counts.indexed, second.from_snapshot_id) == (1, 1, first.to_snapshot_id)
    opened = {"meta": {"user": "u1", "service": "risk", "a": {"b": 2}}, "service": "risk"}
    assert made.documents() == {
        (made.index(row["event_time"]), row["log_id"]): document(
            row, snapshot_id=str((second if row["meta"] else first).to_snapshot_id), **(opened if row["meta"] else {})
        )
        for row in (*rows[:3], rows[5])
    }
    assert made.admin.count(made.target.pattern, {"term": {"meta.user": "u1"}}) == 1
    assert made.admin.count(made.target.pattern, {"term": {"service": "risk"}}) == 1


@pytest.mark.fault(13)
def test_a_table_made_by_hand_with_plain_timestamps_is_shipped_in_utc_to_the_microsecond(made: Logs, stack: Installation) -> None:
    name = made.contract.table
    query(stack, f"DROP TABLE {name}")
    columns = "log_id varchar, event_time timestamp(6), level varchar, message varchar, meta varchar, ingest_time timestamp(6)"
    query(stack, f"CREATE TABLE {name} ({columns})")
    ensure_table(made.catalog, made.contract)
    midnight = datetime(NOW.year, NOW.month, NOW.day)
    moments = [midnight, midnight - timedelta.resolution, midnight + timedelta(microseconds=123456)]
    values = ", ".join(f"(TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S.%f}', '{number}')" for number, moment in enumerate(moments))
    query(stack, f"INSERT INTO {name} (event_time, log_id) VALUES {values}")
    assert made.ship().counts.indexed == 3
    assert {key: (index, source["event_time"]) for (index, key), source in made.documents().items()} == {
        str(number): (made.index(moment), f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z") for number, moment in enumerate(moments)
    }


@pytest.mark.fault(9)
def test_shipping_everything_again_adds_no_document(made: Logs) -> None:
    made.append([NOW] * 200)
    made.ship()
    before = made.documents()
    made.append([NOW])
    again = made.ship(resync="send")
    assert (again.rows_read, again.counts.indexed, again.counts.already_there) == (201, 1, 200)
    after = made.documents()
    assert {key: after[key] for key in before} == before
    assert (len(after), made.numbers_of_shipments()) == (201, [1, 2])


@pytest.mark.fault(12)
def test_rows_deleted_by_trino_stop_with_the_param_and_a_resync_says_which_documents_have_no_row(made: Logs, stack: Installation) -> None:
    rows = made.append([NOW] * 3 + [NOW - timedelta(days=2)])
    made.ship()
    query(stack, f"DELETE FROM {made.contract.table} WHERE log_id = '{rows[1]['log_id']}'")
    for _ in range(2):
        with pytest.raises(HistoryError, match=r"rows that were read may be gone or changed.*the param `resync`, first as a dry run"):
            made.ship()
    made.admin.request("DELETE", f"/{made.index()}/_doc/{rows[2]['log_id']}?refresh=true")
    dry = made.ship(resync="dry run")
    assert (dry.rows_read, dry.counts.missing, dry.counts.already_there, dry.without_row) == (3, 1, 2, 1)
    assert (len(made.documents()), made.numbers_of_shipments()) == (3, [1])
    day = date(NOW.year, NOW.month, NOW.day) - timedelta(days=2)
    other_day = made.ship(resync="send", from_day=day, to_day=day)
    assert (other_day.rows_read, other_day.counts.already_there, other_day.without_row) == (1, 1, 0)
    assert made.numbers_of_shipments() == [1]
    sent = made.ship(resync="send")
    assert (sent.counts.indexed, sent.counts.already_there, sent.without_row) == (1, 2, 1)
    assert made.numbers_of_shipments() == [1, 2]
    made.append([NOW])
    assert made.ship().counts.indexed == 1


@pytest.mark.fault(12)
def test_compaction_by_trino_is_not_new_data(made: Logs, stack: Installation) -> None:
    made.append([NOW])
    made.append([NOW])
    made.ship()
    new = made.append([NOW])
    query(stack, f"ALTER TABLE {made.contract.table} EXECUTE optimize")
    assert made.table().current_snapshot().summary.operation.value == "replace"
    shipment = made.ship()
    assert (shipment.kind, shipment.rows_read, shipment.counts.indexed) == ("new", 1, 1)
    assert new[0]["log_id"] in {key for _, key in made.documents()}
    made.append([NOW])
    made.append([NOW])
    query(stack, f"ALTER TABLE {made.contract.table} EXECUTE optimize")
    assert made.ship().counts.indexed == 2
    made.append([NOW])
    query(stack, f"ALTER TABLE {made.contract.table} EXECUTE optimize")
    made.ship()
    query(stack, f"ALTER TABLE {made.contract.table} EXECUTE optimize")
    assert (made.ship().counts.indexed, len(made.documents())) == (0, 6)


@pytest.mark.fault(12)
def test_an_expired_start_stops_with_the_param_that_resyncs(made: Logs) -> None:
    made.append([NOW])
    made.ship()
    made.append([NOW])
    made.append([NOW])
    made.table().maintenance.expire_snapshots().older_than(datetime.now(UTC) + timedelta(days=1)).commit()
    with pytest.raises(HistoryError, match=r"the history from snapshot \d+ to \d+ has gaps: .* expired.*the param `resync`"):
        made.ship()
    assert made.ship(resync="dry run").counts.missing == 2
    sent = made.ship(resync="send")
    assert (sent.counts.indexed, sent.counts.already_there, len(made.documents())) == (2, 1, 3)
    assert made.ship().kind is None


@pytest.mark.fault(12)
def test_a_table_that_was_dropped_and_made_anew_stops_with_the_param_that_resyncs(made: Logs, stack: Installation) -> None:
    made.append([NOW])
    made.ship()
    query(stack, f"DROP TABLE {made.contract.table}")
    ensure_table(made.catalog, made.contract)
    assert made.ship().kind is None
    made.append([NOW, NOW])
    with pytest.raises(HistoryError, match="was replaced by another table since the last shipment"):
        made.ship()
    sent = made.ship(resync="send")
    assert (sent.counts.indexed, sent.without_row) == (2, 1)


@pytest.mark.fault(12)
def test_a_column_that_was_added_is_shipped_from_then_on(made: Logs, stack: Installation) -> None:
    made.append([NOW])
    made.ship()
    query(stack, f"ALTER TABLE {made.contract.table} ADD COLUMN host varchar")
    made.append([NOW])
    query(
        stack,
        f"INSERT INTO {made.contract.table} (log_id, event_time, ingest_time, host) "
        f"VALUES ('by Trino', TIMESTAMP '{NOW:%Y-%m-%d %H:%M:%S.%f} UTC', TIMESTAMP '{NOW:%Y-%m-%d %H:%M:%S.%f} UTC', 'h1')",
    )
    assert made.ship().counts.indexed == 2
    assert sorted(source.get("host", "") for source in made.documents().values()) == ["", "", "h1"]


def test_many_small_files_are_shipped_in_parts_that_add_up(made: Logs) -> None:
    for _ in range(4):
        made.append([NOW] * 5)
    shipment = made.ship(max_rows=8)
    assert (shipment.rows_read, shipment.counts.indexed, shipment.lag_rows) == (20, 20, 0)
    assert len(made.documents()) == 20


@pytest.mark.fault(7)
def test_a_row_without_a_key_is_on_record_for_each_shipment(made: Logs) -> None:
    made.contract = replace(made.contract, primary_key=("level",))
    for _ in range(2):
        made.append([NOW, NOW], level="")
        assert made.ship().counts.refused == 2
    assert sum(row["records"] for row in made.refused()) == 4
