"""What the lake says of itself in few rows: service levels, checks, refusals, shipments; for whoever looks after it."""

from __future__ import annotations

from typing import Any

from lakehouse.sql import Cursor

Row = dict[str, Any]


def newest_levels(cursor: Cursor) -> list[Row]:
    """The newest measurement of each service level, those that are missed or not measured first."""
    return _rows(
        cursor,
        "SELECT * FROM (SELECT name, max_by(measured, measured_at) AS measured, max_by(target, measured_at) AS target, "
        "max_by(unit, measured_at) AS unit, max_by(met, measured_at) AS met, max_by(detail, measured_at) AS detail, "
        "max(measured_at) AS measured_at FROM ops_db.service_level_events "
        "WHERE measured_at > current_timestamp - INTERVAL '7' DAY GROUP BY name) ORDER BY coalesce(met, false), name",
    )


def checks_not_passed(cursor: Cursor, limit: int = 50) -> list[Row]:
    """The newest result of each check that is not passed, errors first; a rule that is no longer checked is not among them."""
    return _rows(
        cursor,
        "WITH newest AS (SELECT table_name, max(checked_at) AS checked_at FROM ops_db.check_results GROUP BY table_name) "  # noqa: S608
        "SELECT r.table_name, r.check_id, r.severity, r.status, r.measured, r.threshold, r.state, r.failing_since, r.first_bad_partition, "
        "r.checked_at FROM ops_db.check_results r JOIN newest n ON n.table_name = r.table_name AND n.checked_at = r.checked_at "
        f"WHERE r.status NOT IN ('passed', 'skipped') ORDER BY r.severity, r.table_name, r.check_id LIMIT {limit:d}",
    )


def refused(cursor: Cursor, days: int = 7) -> list[Row]:
    """What was not taken in the last days, by table and reason."""
    return _rows(
        cursor,
        "SELECT table_name, kind, reason, sum(refused) AS refused, max(refused_at) AS newest FROM ("  # noqa: S608  # a number
        "SELECT table_name, 'records' AS kind, reason, coalesce(records, 1) AS refused, refused_at FROM ops_db.refused_records "
        "UNION ALL SELECT table_name, 'files', reason, 1, refused_at FROM ops_db.refused_files) "
        f"WHERE refused_at > current_timestamp - INTERVAL '{days:d}' DAY GROUP BY table_name, kind, reason ORDER BY newest DESC LIMIT 50",
    )


def shipments(cursor: Cursor, limit: int = 5) -> list[Row]:
    """The newest shipments."""
    return _rows(
        cursor,
        "SELECT source_table, target, kind, rows_read, indexed, already_there, refused, shipped_at "  # noqa: S608  # a number
        f"FROM ops_db.shipments ORDER BY shipped_at DESC LIMIT {limit:d}",
    )


def _rows(cursor: Cursor, statement: str) -> list[Row]:
    cursor.execute(statement)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
