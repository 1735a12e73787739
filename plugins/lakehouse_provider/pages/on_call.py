"""What the on-call page shows, section by section; one that cannot be read says why, and the others are still shown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as OutOfTimeError
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser

from lakehouse_provider.links import airflow_url, operations_url, runbook_url

# A service that hangs holds its own section up for so long, and no other.
SECONDS = 10
SUPERSET = "lakehouse_superset_ops"


@dataclass(frozen=True)
class Cell:
    """Text, where it leads to, and what it means: good, bad, or neither."""

    text: str
    href: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Section:
    """A table with a heading.

    Attributes:
        empty: what no row means.
        error: why it could not be read.
        more: where there is more of it.
    """

    anchor: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]] = ()
    empty: str = "Nothing."
    error: str = ""
    more: Sequence[Cell] = ()


@dataclass(frozen=True)
class Page:
    """The whole page.

    Attributes:
        summary: one line on what needs somebody.
    """

    made_at: str
    summary: Cell
    sections: Sequence[Section] = field(default_factory=tuple)


def collect(user: BaseUser) -> Page:
    """Read everything at once, each within its time; runs and incidents of the DAGs that the user may read."""
    dag_ids = get_auth_manager().get_authorized_dag_ids(user=user)
    reads: list[tuple[Section, Callable[[], Section]]] = [
        (_INCIDENTS, lambda: _incidents(dag_ids)),
        (_RUNS, lambda: _runs(dag_ids)),
        (_LEVELS, _levels),
        (_CHECKS, _checks),
        (_REFUSED, _refused),
        (_SHIPMENTS, _shipments),
        (_DRIFT, lambda: _drift(dag_ids)),
    ]
    pool = ThreadPoolExecutor(max_workers=len(reads))
    futures = [(blank, pool.submit(read)) for blank, read in reads]
    pool.shutdown(wait=False)
    deadline = datetime.now(UTC).timestamp() + SECONDS
    sections = []
    for blank, future in futures:
        try:
            sections.append(future.result(timeout=max(0.1, deadline - datetime.now(UTC).timestamp())))
        except OutOfTimeError:
            sections.append(_with(blank, error=f"no answer within {SECONDS} seconds: is the service running? `make status` tells."))
        except Exception as error:  # noqa: BLE001  # each client has errors of its own, and the page is for when they fail
            sections.append(_with(blank, error=_plain(error)))
    return Page(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC", _summary(sections), sections)


def _summary(sections: Sequence[Section]) -> Cell:
    incidents, down = sections[0], [section.title for section in sections if section.error]
    count = len(incidents.rows)
    said = [f"{count} open incident{'s' if count > 1 else ''}"] if count else ([] if incidents.error else ["No incident is open"])
    said += [f"cannot be read: {', '.join(down)}"] if down else []
    return Cell("; ".join(said), tone="bad" if incidents.rows or down else "good")


_INCIDENTS = Section(
    "incidents",
    "Open incidents",
    ("Number", "Broken", "Cause", "Since", "Runs", "Affected", "Taken by", "Fix"),
    empty="No incident is open.",
)
_RUNS = Section("runs", "Last run of each DAG", ("DAG", "State", "Started", "Took", "Runbook"), empty="No DAG has run.")
_LEVELS = Section(
    "levels",
    "Freshness and service levels",
    ("Level", "Measured", "Target", "Verdict", "When", "How"),
    empty="Nothing was measured this week.",
)
_CHECKS = Section(
    "checks",
    "Checks that are not passed",
    ("Table", "Rule", "Severity", "Verdict", "Measured", "Must be", "First bad partition", "Since"),
    empty="Every check of the newest run is passed.",
)
_REFUSED = Section(
    "refused", "Refused in the last seven days", ("Table", "What", "Reason", "How many", "Newest"), empty="Nothing was refused."
)
_SHIPMENTS = Section(
    "shipments",
    "Newest shipments",
    ("From", "To", "Kind", "Read", "Indexed", "Already there", "Refused", "When"),
    empty="Nothing was shipped.",
)

_DRIFT = Section(
    "drift", "Boards edited by hand, at the last look", ("Where", "Edits", "When", "Look"), empty="dashboard_drift has not looked yet."
)


def _incidents(dag_ids: Collection[str]) -> Section:
    from lakehouse_provider.hooks.incidents import IncidentsHook

    with IncidentsHook().store() as store:
        incidents = [incident for incident in store.open() if incident.dag_id in dag_ids]
    rows = []
    for one in incidents:
        place = ".".join(part for part in (one.dag_id, one.task_id) if part)
        rows.append(
            [
                Cell(str(one.incident_id)),
                Cell(one.key, _safe(one.links.get("Run", "")), "bad" if one.severity == "error" else "warn"),
                Cell(f"{place}: {one.error_type + ': ' if one.error_type else ''}{one.cause}", _safe(one.links.get("Log", ""))),
                Cell(_time(one.opened_at)),
                Cell(str(one.times)),
                Cell(one.affected),
                Cell(one.acknowledged_by or "nobody"),
                Cell("runbook", _safe(one.links.get("Runbook", "")) or runbook_url(one.dag_id)),
            ]
        )
    take = Cell("Take one (act_on_incident)", f"{airflow_url()}/dags/act_on_incident")
    return _with(_INCIDENTS, rows=rows, more=[take, *_board("")])


def _runs(dag_ids: Collection[str]) -> Section:
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    newest = select(DagRun.dag_id, func.max(DagRun.run_after).label("run_after")).where(DagRun.dag_id.in_(dag_ids)).group_by(DagRun.dag_id)
    latest = newest.subquery()
    statement = (
        select(DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.start_date, DagRun.end_date, DagModel.is_paused)
        .join(latest, (latest.c.dag_id == DagRun.dag_id) & (latest.c.run_after == DagRun.run_after))
        .join(DagModel, DagModel.dag_id == DagRun.dag_id)
        .order_by(DagRun.dag_id)
    )
    with create_session() as session:
        found = session.execute(statement).all()
    rows = []
    for dag_id, run_id, state, start, end, paused in found:
        tone = {"success": "good", "failed": "bad"}.get(str(state), "warn")
        took = f"{(end - start).total_seconds():.0f} s" if start and end else ""
        rows.append(
            [
                Cell(dag_id + (" (paused)" if paused else ""), f"{airflow_url()}/dags/{dag_id}"),
                Cell(str(state), f"{airflow_url()}/dags/{dag_id}/runs/{quote(run_id)}", tone),
                Cell(_time(start) if start else "not yet"),
                Cell(took),
                Cell("runbook", runbook_url(dag_id)),
            ]
        )
    # Failed ones first.
    return _with(_RUNS, rows=sorted(rows, key=lambda row: (row[1].tone != "bad", row[1].tone == "good")))


def _levels() -> Section:
    from lakehouse.ops.overview import newest_levels

    rows = []
    for one in newest_levels(_cursor()):
        verdict = {True: Cell("met", tone="good"), False: Cell("missed", tone="bad"), None: Cell("not measured", tone="warn")}[one["met"]]
        measured = "" if one["measured"] is None else f"{one['measured']:g} {one['unit']}"
        rows.append(
            [
                Cell(one["name"]),
                Cell(measured),
                Cell(f"{one['target']:g} {one['unit']}"),
                verdict,
                Cell(_time(one["measured_at"])),
                Cell(one["detail"] or ""),
            ]
        )
    return _with(_LEVELS, rows=rows, more=_board(""))


def _checks() -> Section:
    from lakehouse.ops.overview import checks_not_passed

    rows = []
    for one in checks_not_passed(_cursor()):
        measured = "" if one["measured"] is None else f"{one['measured']:g}"
        since = f"{one['state'] or ''} {_time(one['failing_since']) if one['failing_since'] else ''}".strip()
        rows.append(
            [
                Cell(one["table_name"], operations_url(SUPERSET, one["table_name"])),
                Cell(one["check_id"]),
                Cell(one["severity"]),
                Cell(one["status"], tone="bad" if one["severity"] == "error" else "warn"),
                Cell(measured),
                Cell(one["threshold"]),
                Cell(one["first_bad_partition"] or ""),
                Cell(since),
            ]
        )
    return _with(
        _CHECKS, rows=rows, more=[Cell("Run the checks (quality_and_service_levels)", f"{airflow_url()}/dags/quality_and_service_levels")]
    )


def _refused() -> Section:
    from lakehouse.ops.overview import refused

    rows = [
        [
            Cell(one["table_name"], operations_url(SUPERSET, one["table_name"])),
            Cell(one["kind"]),
            Cell(one["reason"]),
            Cell(f"{one['refused']:,}"),
            Cell(_time(one["newest"])),
        ]
        for one in refused(_cursor())
    ]
    return _with(
        _REFUSED,
        rows=rows,
        more=[Cell("Send log lines that OpenSearch refused again (redrive_refused)", f"{airflow_url()}/dags/redrive_refused")],
    )


def _shipments() -> Section:
    from lakehouse.ops.overview import shipments

    rows = []
    for one in shipments(_cursor()):
        counts = [Cell(f"{one[name]:,}") for name in ("rows_read", "indexed", "already_there")]
        refused = Cell(f"{one['refused']:,}", tone="warn" if one["refused"] else "")
        rows.append(
            [Cell(one["source_table"]), Cell(one["target"]), Cell(one["kind"] or ""), *counts, refused, Cell(_time(one["shipped_at"]))]
        )
    return _with(_SHIPMENTS, rows=rows, more=[Cell("Ship now (ship_logs)", f"{airflow_url()}/dags/ship_logs")])


def _drift(dag_ids: Collection[str]) -> Section:
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    looks = DagRun.dag_id == "dashboard_drift", DagRun.state == "success", DagRun.dag_id.in_(dag_ids)
    with create_session() as session:
        run = session.scalar(select(DagRun).where(*looks).order_by(DagRun.run_after.desc()).limit(1))
        if run is None:
            return _DRIFT
        of_run = XComModel.dag_id == run.dag_id, XComModel.run_id == run.run_id, XComModel.key == "return_value"
        found = session.scalars(select(XComModel).where(*of_run).order_by(XComModel.task_id)).all()
        facts = {one.task_id: XComModel.deserialize_value(one) for one in found}
        address, when = f"{airflow_url()}/dags/{run.dag_id}/runs/{quote(run.run_id)}", run.end_date
    rows = []
    for task_id, one in facts.items():
        if isinstance(one, dict) and "rows" in one:
            edits = Cell(str(one["rows"]), tone="warn" if one["rows"] else "good")
            rows.append([Cell(task_id), edits, Cell(_time(when) if when else ""), Cell("run", address)])
    accept = Cell("Accept or revert edits (dashboard_drift)", f"{airflow_url()}/dags/dashboard_drift")
    return _with(_DRIFT, rows=rows, more=[accept])


def _cursor() -> Any:
    from lakehouse_provider.hooks.trino import trino_cursor

    return trino_cursor()


def _board(table: str) -> list[Cell]:
    address = operations_url(SUPERSET, table)
    return [Cell("Board Lakehouse Operations", address)] if address else []


def _with(section: Section, **changes: Any) -> Section:
    from dataclasses import replace

    return replace(section, **changes)


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _safe(address: str) -> str:
    return address if address.startswith(("http://", "https://", "/")) else ""


def _plain(error: Exception) -> str:
    from lakehouse.incidents.message import one_line
    from lakehouse.masking import hide_secrets

    return one_line(hide_secrets(f"{type(error).__name__}: {error}"))
