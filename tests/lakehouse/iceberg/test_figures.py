from __future__ import annotations

import pytest

from lakehouse.iceberg.figures import figures, grouping

FACTS = {"table": "logs_db.raw_logs", "rows": 90, "files": 2, "bytes": 900, "committed_at": 1_790_000_000.5, "days": [], "snapshot_id": 7}


def values(**more) -> dict[str, float]:
    found = figures(FACTS | more)
    assert all(figure.labels == {"table": "logs_db.raw_logs"} for figure in found)
    return {figure.name.removeprefix("lakehouse_table_"): figure.value for figure in found}


def test_a_write_is_told_by_its_time_its_rows_and_what_was_refused():
    assert grouping(FACTS) == {"table": "logs_db.raw_logs"}
    assert values() == {"snapshot_timestamp_seconds": 1_790_000_000.5, "rows_written": 90, "refused": 0}


@pytest.mark.parametrize(
    ("facts", "refused"),
    [({"refused": 3}, 3), ({"files_refused": 1, "records_refused": 4}, 5), ({"refused": None}, 0)],
    ids=["lines or images", "files and their records", "nothing was counted"],
)
def test_each_loader_s_refusals_are_counted(facts, refused):
    assert values(**facts)["refused"] == refused


def test_a_table_that_was_never_written_has_no_time():
    assert "snapshot_timestamp_seconds" not in values(committed_at=None)
