"""Maintenance of tables by the real Trino and catalog, beside writers, shipments and open branches that must not notice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from lakehouse.ageing import delete_old_objects
from lakehouse.iceberg import maintenance
from lakehouse.iceberg.append import Input, append_once
from lakehouse.iceberg.maintenance import Before, Work, maintain, ragged
from lakehouse.objects import ObjectStore
from lakehouse.opensearch.cursor import shipped_snapshots
from lakehouse_provider.hooks.trino import trino_cursor
from stack.installation import Installation
from stack.report import query
from tests.integration.shipping import NOW, Logs, logs

pytestmark = pytest.mark.integration

YESTERDAY = NOW - timedelta(days=1)


@pytest.fixture
def made(catalog: Catalog, stack: Installation, fresh_name: str) -> Iterator[Logs]:
    with logs(catalog, fresh_name) as made:
        yield made


def tidy(made: Logs, **options: Any) -> list[Work]:
    return maintain(made.catalog, trino_cursor(), made.contract.table, **options)


def actions(works: list[Work]) -> list[str]:
    """What was done, but for the look for orphans, which is always done."""
    return [work.action for work in works if work.action != "remove_orphan_files"]


def files(made: Logs, stack: Installation) -> dict[str, int]:
    """Data files by day."""
    rows = query(stack, f'SELECT CAST(partition.event_time_day AS varchar), count(*) FROM test_db."{made.name}$files" GROUP BY 1')
    return {str(day): int(count) for day, count in rows}


def test_only_the_day_with_many_small_files_is_compacted_and_a_shipment_sees_nothing_new(made: Logs, stack: Installation) -> None:
    rows = [row for _ in range(6) for row in made.append([NOW])]
    rows += [row for _ in range(2) for row in made.append([YESTERDAY])]
    made.ship()
    documents = made.documents()
    said = tidy(made, only_say=True)
    assert [(work.action, work.outcome) for work in said] == [("compact", "would do")]
    assert files(made, stack) == {f"{NOW:%Y-%m-%d}": 6, f"{YESTERDAY:%Y-%m-%d}": 2}
    compacted, _ = tidy(made)
    assert (compacted.outcome, compacted.files_before, compacted.files_after) == ("done", 8, 3)
    assert f"'{NOW:%Y-%m-%d} 00:00:00 UTC'" in str(compacted.place)
    assert files(made, stack) == {f"{NOW:%Y-%m-%d}": 1, f"{YESTERDAY:%Y-%m-%d}": 2}
    assert sorted(row[0] for row in query(stack, f"SELECT log_id FROM {made.contract.table}")) == sorted(row["log_id"] for row in rows)
    assert actions(tidy(made)) == []
    assert made.ship().rows_read == 0
    assert made.documents() == documents


def test_deletes_that_readers_apply_are_compacted_away(made: Logs, stack: Installation) -> None:
    rows = made.append([NOW] * 5)
    query(stack, f"DELETE FROM {made.contract.table} WHERE log_id = '{rows[0]['log_id']}'")
    assert len(ragged(made.table())) == 1
    assert actions(tidy(made)) == ["compact"]
    assert ragged(made.table()) == []
    assert query(stack, f"SELECT count(*) FROM {made.contract.table}") == [[4]]


def test_history_goes_but_for_what_a_shipment_or_an_open_branch_goes_on_from_and_so_do_orphans(
    made: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snapshots cannot be dated back, so a week is no time here, and Trino is told to bear with that."""
    monkeypatch.setattr(maintenance, "KEEP", timedelta(seconds=0.1))
    monkeypatch.setattr(maintenance, "_SLACK", timedelta(seconds=2))
    cursor = trino_cursor()
    for what in ("expire_snapshots", "remove_orphan_files"):
        cursor.execute(f"SET SESSION hive_prod.{what}_min_retention = '0s'")
        cursor.fetchall()
    heads = []
    for _ in range(4):
        made.append([NOW])
        heads.append(made.head())
        time.sleep(4)  # that much older than the next
    _, branched, shipped, head = heads
    made.table().manage_snapshots().create_branch(branched, "audit").commit()
    made.table().append(made.table().scan(limit=1).to_arrow(), branch="audit")
    orphan = f"{made.table().location()}/data/orphan.parquet"
    with made.table().io.new_output(orphan).create() as file:
        file.write(b"nobody knows me")

    def left(*needed: int) -> set[int]:
        maintenance.maintain(made.catalog, cursor, made.contract.table, needed=needed)
        return {snapshot.snapshot_id for snapshot in made.table().metadata.snapshots} & set(heads)

    assert left(shipped) == {branched, shipped, head}
    assert not made.table().io.new_input(orphan).exists()
    made.table().manage_snapshots().remove_branch("audit").commit()
    assert left(shipped) == {shipped, head}
    # Once the shipment has gone on, it is held for nobody.
    assert left(head) == {head}
    assert len(made.table().scan().to_arrow()) == 4


def test_what_was_shipped_last_is_what_the_next_shipment_goes_on_from(made: Logs) -> None:
    made.append([NOW])
    assert shipped_snapshots(made.catalog, made.contract.table) == set()
    made.ship()
    head = made.head()
    made.append([NOW])
    assert shipped_snapshots(made.catalog, made.contract.table) == {head}


def test_a_partition_too_large_for_trino_to_sort_in_memory_is_compacted_all_the_same(made: Logs, stack: Installation) -> None:
    for _ in range(5):
        made.append([NOW] * 40_000, message="x" * 400)
    works = tidy(made)
    assert (works[0].action, works[0].files_before, works[0].files_after) == ("compact", 5, 1)
    assert works[0].outcome in ("done", "unsorted")  # the store of a metastore lets Trino sort
    assert query(stack, f"SELECT count(*), count(DISTINCT log_id) FROM {made.contract.table}") == [[200_000, 200_000]]


def test_rows_that_are_kept_no_longer_go_and_the_others_stay(made: Logs, stack: Installation) -> None:
    old = NOW - timedelta(days=400)
    made.append([NOW, old, None])
    works = tidy(made, old_rows=Before("event_time", NOW.date() - timedelta(days=30)))
    assert actions(works) == ["delete_old_rows"]
    assert query(stack, f"SELECT count(*), count(event_time) FROM {made.contract.table}") == [[2, 1]]
    assert actions(tidy(made, old_rows=Before("event_time", NOW.date() - timedelta(days=30)))) == []


def test_writers_that_run_meanwhile_lose_nothing(made: Logs, stack: Installation) -> None:
    for _ in range(6):
        made.append([NOW])
    acknowledged: list[str] = []
    begun = threading.Event()

    def write() -> None:
        for number in range(12):
            key = f"{made.name}-beside-{number}"
            moment = pa.array([NOW], pa.timestamp("us", tz="UTC"))
            rows = pa.table({"log_id": [key], "event_time": moment, "ingest_time": moment})
            acknowledged.extend([key] * append_once(made.catalog, made.contract.table, [Input(key, key, rows)], ledger=None).rows)
            begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(60)
    works: list[Work] = []
    while writer.is_alive():
        works += tidy(made)
    writer.join()
    assert "compact" in actions(works)
    assert {work.outcome for work in works} <= {"done", "conflict"}
    assert len(acknowledged) == 12
    found = [row[0] for row in query(stack, f"SELECT log_id FROM {made.contract.table}")]
    assert sorted(found) == sorted([*acknowledged, *(f"{made.name}-{number:05d}" for number in range(6))])


def test_objects_go_by_their_age(store: ObjectStore, fresh_name: str) -> None:
    prefix = f"archive/{fresh_name}/"
    store.put(f"{prefix}a", b"a")
    store.put(f"{prefix}b", b"b")
    later = datetime.now(UTC) + timedelta(days=31)
    assert delete_old_objects(store, prefix, days=32, now=later) == []
    assert len(delete_old_objects(store, prefix, days=30, now=later, only_say=True)) == 2
    assert len(list(store.list(prefix))) == 2
    assert len(delete_old_objects(store, prefix, days=30, now=later)) == 2
    assert list(store.list(prefix)) == []
