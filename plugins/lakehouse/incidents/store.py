"""Open incidents in PostgreSQL: at most one for a key, into which every report about it folds.

An incident is what is broken for people: a table, or a DAG that makes none. Reports are who said so: a failed task, a missed deadline, a
check. A report is settled when its task or its DAG succeeds; an incident closes when no report is left open.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Protocol

from lakehouse.exceptions import ConfigurationError

ERROR, WARNING = "error", "warning"
FAILURE, DEADLINE, QUALITY = "failure", "deadline", "quality"
RETRY = "retry"  # a try before the last failed: nobody was told of that
# Incidents of a key that opened within this many days are "the same again".
REPEATED_DAYS = 7
_TELLING_SECONDS = 60
# A run that was reported so lately has not been cleared since, even if another run of its DAG has settled the report.
_SAME_FAILURE = timedelta(minutes=10)

SCHEMA = """
CREATE TABLE IF NOT EXISTS incidents (
    incident_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL,
    severity text NOT NULL,
    kind text NOT NULL,
    cause text NOT NULL,
    error_type text NOT NULL,
    dag_id text NOT NULL,
    task_id text NOT NULL,
    run_id text NOT NULL,
    affected text NOT NULL,
    links json NOT NULL,
    opened_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    times integer NOT NULL DEFAULT 1,
    earlier integer NOT NULL,
    last_success_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,
    note text,
    telling_until timestamptz,
    told_at timestamptz,
    closed_at timestamptz,
    closed_by text
);
CREATE UNIQUE INDEX IF NOT EXISTS one_open_incident ON incidents (key) WHERE closed_at IS NULL;
CREATE TABLE IF NOT EXISTS reports (
    incident_id bigint NOT NULL REFERENCES incidents ON DELETE CASCADE,
    dag_id text NOT NULL,
    task_id text NOT NULL,
    kind text NOT NULL,
    run_id text NOT NULL,
    cause text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    times integer NOT NULL DEFAULT 1,
    settled_at timestamptz,
    PRIMARY KEY (incident_id, dag_id, task_id, kind)
);
CREATE TABLE IF NOT EXISTS successes (
    dag_id text NOT NULL,
    task_id text NOT NULL,
    succeeded_at timestamptz NOT NULL,
    PRIMARY KEY (dag_id, task_id)
);
"""


class Connection(Protocol):
    """What is needed of a connection to PostgreSQL (DB-API 2.0, parameters as `%s`)."""

    def cursor(self) -> Any:
        """A cursor."""

    def commit(self) -> None:
        """End the transaction."""


@dataclass(frozen=True)
class Report:
    """One thing that somebody saw going wrong.

    Attributes:
        key: the asset concerned, else the DAG.
        cause: the typed cause in one line.
        affected: what is wrong or late for people because of it.
        links: name to address, for the message.
    """

    key: str
    kind: str
    severity: str
    cause: str
    error_type: str
    dag_id: str
    task_id: str = ""
    run_id: str = ""
    affected: str = ""
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Incident:
    """A row of `incidents`.

    Attributes:
        times: how often it was reported.
        earlier: how many incidents of the key opened in the week before.
        told_at: when a channel took its message; None while nobody was told.
    """

    incident_id: int
    key: str
    severity: str
    kind: str
    cause: str
    error_type: str
    dag_id: str
    task_id: str
    run_id: str
    affected: str
    links: Mapping[str, str]
    opened_at: datetime
    last_seen_at: datetime
    times: int
    earlier: int
    last_success_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    note: str | None = None
    told_at: datetime | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None

    def as_row(self) -> dict[str, Any]:
        """The row of the copy, `ops_db.incidents`."""
        return asdict(self) | {"links": dict(self.links)}


# Reports and successes of one thing come at once, and each reads what the other is about to write.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(1651336548)"
_REPORTED = "key, severity, kind, cause, error_type, dag_id, task_id, run_id, affected, links"
_COLUMNS = ", ".join(f"i.{column.name}" for column in fields(Incident))


class IncidentStore:
    """The incidents of one database.

    Args:
        connection: to PostgreSQL; each method ends its transaction. The tables are made when they are missing.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._change("SELECT pg_advisory_xact_lock(1651336547)", SCHEMA)  # two first reports at once

    def report(self, report: Report, now: datetime, *, unless_failed: bool = False, if_open: bool = False) -> Incident | None:
        """Open an incident, or fold the report into the one that is open for its key.

        A warning that becomes an error takes over the error's cause, and a late run that of its failure. The same DAG run reported again
        counts once.

        Args:
            unless_failed: for what only repeats a failure, such as a missed deadline: nothing is added if the run was reported as failed.
            if_open: for what may yet heal by itself, such as a try before the last: it opens nothing.

        Returns:
            The incident; None if nothing was added.
        """
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(_ONE_AT_A_TIME)
            if unless_failed:
                statement = (
                    "SELECT 1 FROM reports WHERE dag_id = %s AND run_id = %s AND kind NOT IN ('deadline', 'retry') "
                    "AND (settled_at IS NULL OR last_seen_at > %s) LIMIT 1"
                )
                cursor.execute(statement, (report.dag_id, report.run_id, now - _SAME_FAILURE))
                if cursor.fetchone():
                    self._connection.commit()
                    return None
            cursor.execute("SELECT incident_id, severity, kind FROM incidents WHERE key = %s AND closed_at IS NULL", (report.key,))
            found = cursor.fetchone()
            if if_open and not found:
                self._connection.commit()
                return None
            number = self._fold(cursor, found, report, now) if found else self._open(cursor, report, now)
            cursor.execute(
                "INSERT INTO reports (incident_id, dag_id, task_id, kind, run_id, cause, first_seen_at, last_seen_at) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (incident_id, dag_id, task_id, kind) DO UPDATE SET "
                "run_id = EXCLUDED.run_id, cause = EXCLUDED.cause, last_seen_at = EXCLUDED.last_seen_at, settled_at = NULL, "
                "times = reports.times + 1",
                (number, report.dag_id, report.task_id, report.kind, report.run_id, report.cause, now, now),
            )
        self._connection.commit()
        return self.incident(number)

    def settle(self, dag_id: str, now: datetime, *, task_id: str | None = None) -> list[Incident]:
        """Note a success, and close what it settles; which incidents were closed.

        Args:
            task_id: settles this task's reports alone; None: a run of the DAG went through, which settles all that it reported.
        """
        by = f"{dag_id}.{task_id}" if task_id else dag_id
        condition, values = ("dag_id = %s AND task_id = %s", [dag_id, task_id]) if task_id else ("dag_id = %s", [dag_id])
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(_ONE_AT_A_TIME)
            cursor.execute(
                "INSERT INTO successes VALUES (%s, %s, %s) "
                "ON CONFLICT (dag_id, task_id) DO UPDATE SET succeeded_at = EXCLUDED.succeeded_at",
                (dag_id, task_id or "", now),
            )
            cursor.execute(
                f"UPDATE reports SET settled_at = %s WHERE {condition} AND settled_at IS NULL RETURNING incident_id",  # noqa: S608  # ours
                [now, *values],
            )
            touched = sorted({row[0] for row in cursor.fetchall()})
            cursor.execute(
                "UPDATE incidents i SET closed_at = %s, closed_by = %s WHERE i.incident_id = ANY(%s) AND i.closed_at IS NULL "  # noqa: S608
                "AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.incident_id = i.incident_id AND r.settled_at IS NULL) "
                f"RETURNING {_COLUMNS}",
                (now, f"success of {by}", touched),
            )
            closed = [Incident(*row) for row in cursor.fetchall()]
        self._connection.commit()
        return closed

    def claim(self, incident_id: int, now: datetime) -> bool:
        """Whether it is for the caller to tell people of an incident of severity error.

        The first that asks has a minute; then it must have said `told` or `untold`, or was killed on the way, and the next may try.
        """
        statement = (
            "UPDATE incidents SET telling_until = %s WHERE incident_id = %s AND severity = 'error' AND told_at IS NULL "
            "AND (telling_until IS NULL OR telling_until < %s) RETURNING 1"
        )
        return bool(self._change(statement, values=(now + timedelta(seconds=_TELLING_SECONDS), incident_id, now)))

    def told(self, incident_id: int, now: datetime) -> None:
        """A channel took the message."""
        self._change("UPDATE incidents SET told_at = %s WHERE incident_id = %s RETURNING 1", values=(now, incident_id))

    def untold(self, incident_id: int) -> None:
        """Nobody could be told: the next report tries again."""
        self._change("UPDATE incidents SET telling_until = NULL WHERE incident_id = %s RETURNING 1", values=(incident_id,))

    def acknowledge(self, incident_id: int, who: str, note: str, now: datetime) -> Incident:
        """Somebody is on it.

        Raises:
            ConfigurationError: there is no such open incident.
        """
        self._one_open(incident_id, "acknowledged_at = %s, acknowledged_by = %s, note = %s", (now, who, note))
        return self.incident(incident_id)

    def close(self, incident_id: int, who: str, note: str, now: datetime) -> Incident:
        """Close by hand what no success will settle, such as a DAG that was removed.

        Raises:
            ConfigurationError: there is no such open incident.
        """
        self._one_open(incident_id, "closed_at = %s, closed_by = %s, note = %s", (now, who, note))
        self._change("UPDATE reports SET settled_at = %s WHERE incident_id = %s RETURNING 1", values=(now, incident_id))
        return self.incident(incident_id)

    def incident(self, incident_id: int) -> Incident:
        """One incident by its number."""
        return self._select("WHERE i.incident_id = %s", (incident_id,))[0]

    def open(self) -> list[Incident]:
        """The open incidents: errors first, then the oldest first."""
        return self._select("WHERE i.closed_at IS NULL ORDER BY i.severity, i.opened_at", ())

    def all(self) -> list[Incident]:
        """Every incident, the newest first."""
        return self._select("ORDER BY i.incident_id DESC", ())

    def _open(self, cursor: Any, report: Report, now: datetime) -> int:
        cursor.execute(
            f"INSERT INTO incidents ({_REPORTED}, opened_at, last_seen_at, earlier, last_success_at) SELECT "  # noqa: S608  # ours
            " %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::json, %s, %s, "
            "(SELECT count(*) FROM incidents WHERE key = %s AND opened_at > %s - make_interval(days => %s)), "
            "(SELECT succeeded_at FROM successes WHERE dag_id = %s AND task_id = '') RETURNING incident_id",
            (*self._values(report), now, now, report.key, now, REPEATED_DAYS, report.dag_id),
        )
        return int(cursor.fetchone()[0])

    def _fold(self, cursor: Any, found: tuple[int, str, str], report: Report, now: datetime) -> int:
        number, severity, kind = found
        cursor.execute(
            "SELECT 1 FROM reports WHERE incident_id = %s AND dag_id = %s AND run_id = %s", (number, report.dag_id, report.run_id)
        )
        again = 0 if cursor.fetchone() else 1
        cursor.execute("UPDATE incidents SET last_seen_at = %s, times = times + %s WHERE incident_id = %s", (now, again, number))
        # What failed says more than that it was late.
        if report.severity == ERROR and (severity == WARNING or (kind == DEADLINE and report.kind != DEADLINE)):
            cursor.execute(
                f"UPDATE incidents SET ({_REPORTED}) = (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::json) WHERE incident_id = %s",  # noqa: S608
                (*self._values(report), number),
            )
        return number

    @staticmethod
    def _values(report: Report) -> Sequence[str]:
        plain = (report.key, report.severity, report.kind, report.cause, report.error_type, report.dag_id, report.task_id, report.run_id)
        return (*plain, report.affected, json.dumps(dict(report.links)))

    def _select(self, condition: str, values: Sequence[Any]) -> list[Incident]:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(f"SELECT {_COLUMNS} FROM incidents i {condition}", values)  # noqa: S608  # ours
            found = [Incident(*row) for row in cursor.fetchall()]
        self._connection.commit()
        return found

    def _one_open(self, incident_id: int, change: str, values: Sequence[Any]) -> None:
        statement = f"UPDATE incidents SET {change} WHERE incident_id = %s AND closed_at IS NULL RETURNING 1"  # noqa: S608  # ours
        if not self._change(statement, values=(*values, incident_id)):
            raise ConfigurationError(f"there is no open incident {incident_id}: open are {self._numbers() or 'none'}")

    def _numbers(self) -> str:
        numbers = [f"{incident.incident_id} ({incident.key})" for incident in self.open()]
        return ", ".join(numbers[:10]) + (f" and {len(numbers) - 10} more" if len(numbers) > 10 else "")

    def _change(self, *statements: str, values: Sequence[Any] = ()) -> list[Any]:
        with closing(self._connection.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement, values or None)
            rows: list[Any] = cursor.fetchall() if "RETURNING" in statements[-1] else []
        self._connection.commit()
        return rows
