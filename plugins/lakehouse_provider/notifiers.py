"""Callbacks for tasks, DAGs and deadlines: they open, fold and settle incidents, and tell people once.

Nothing here changes a task's outcome: an error is logged, and every channel has a few seconds. Airflow calls task callbacks in the task's
process, DAG callbacks in the DAG processor (those fire also when a worker was killed), and deadline callbacks in the triggerer.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseHook, BaseNotifier
from airflow.sdk.exceptions import AirflowNotFoundException

from lakehouse_provider.hooks.extras import public_url
from lakehouse_provider.hooks.incidents import IncidentsHook
from lakehouse_provider.links import FAILED_ROWS_URL, REFUSED_URL, airflow_url, runbook_url

if TYPE_CHECKING:
    from airflow.sdk import Connection, Context

    from lakehouse.incidents.message import Message
    from lakehouse.incidents.store import Incident, Report

# Airflow kills a task's process 20 seconds after the task has ended (`core.task_success_overtime`); PostgreSQL may take five of them.
SEND_SECONDS = 10


class IncidentNotifier(BaseNotifier):
    """What the callbacks share: where incidents are kept and who is told.

    Args:
        downstream: asset name to what people miss when it fails.
        silences: the file of silences.
        ops_conn_id: PostgreSQL with the incidents; without it every failure is told.
        slack_conn_id: an incoming webhook; need not exist.
        smtp_conn_id: a mail server, with extras `from_email` and `alert_addresses` (with `;` between them); need not exist.
    """

    template_fields = ()

    def __init__(
        self,
        *,
        downstream: Mapping[str, str] | None = None,
        silences: str | None = None,
        ops_conn_id: str = "lakehouse_ops",
        slack_conn_id: str = "alerts_slack",
        smtp_conn_id: str = "alerts_smtp",
    ) -> None:
        super().__init__()
        self.downstream, self.silences = dict(downstream or {}), silences
        self.ops_conn_id, self.slack_conn_id, self.smtp_conn_id = ops_conn_id, slack_conn_id, smtp_conn_id

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Nothing of it is a template; Airflow's own asks the DAG for its environment, which that of a `dag.test()` has not."""

    def tell(self, report: Report, *, unless_failed: bool = False, if_open: bool = False) -> None:
        """Keep the report, and tell people if nobody was told of its incident; a store that is down does not keep them from being told.

        The two switches are those of `IncidentStore.report`.
        """
        from lakehouse.incidents.message import message_of

        now = datetime.now(UTC)
        silence = self._silence(report.key, now)
        if silence:
            self.log.info("nobody is told of %s until %s: %s (%s)", report.key, silence.until, silence.reason, silence.link)
        try:
            with IncidentsHook(self.ops_conn_id).store() as store:
                incident = store.report(report, now, unless_failed=unless_failed, if_open=if_open)
                if incident is None:
                    why = "no incident of it is open yet" if if_open else "the run was reported as failed"
                    self.log.info("nothing is kept of run %s of %s: %s", report.run_id, report.dag_id, why)
                    return
                self.log.info("incident %d of %s, seen %d times", incident.incident_id, incident.key, incident.times)
                mine = not silence and store.claim(incident.incident_id, now)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with the store, people must hear of the failure itself
            self.log.warning("the incident of %s is kept nowhere: %s: %s", report.key, type(error).__name__, error)
            if report.severity == "error" and not silence and not if_open:
                self._send(message_of(_unkept(report, now)))
            return
        if mine:
            taken = self._send(message_of(incident))
            with IncidentsHook(self.ops_conn_id).store() as store:
                if taken:
                    store.told(incident.incident_id, datetime.now(UTC))
                else:
                    store.untold(incident.incident_id)

    def _silence(self, key: str, now: datetime) -> Any:
        from lakehouse.incidents.silences import read_silences, silence_of

        try:
            return silence_of(read_silences(Path(self.silences)), key, now) if self.silences else None
        except (OSError, ValueError) as error:
            self.log.warning("no silence is held to: %s", error)
            return None

    def _send(self, message: Message) -> bool:
        """To the log, and to every channel that there is; whether one of them took it, or there is none."""
        self.log.error("%s", message.as_text())
        channels = {self.slack_conn_id: self._slack, self.smtp_conn_id: self._mail}
        there = {conn_id: send for conn_id, send in channels.items() if _connection(conn_id)}
        if not there:
            self.log.info("there is neither a connection %s nor %s: the message is in this log alone", *channels)
            return True
        return self._all_within(there, message)

    def _all_within(self, channels: Mapping[str, Callable[[Message], None]], message: Message) -> bool:
        """Whether a channel took the message; all have the same few seconds, and those that hang are left behind."""
        taken: list[str] = []

        def act(conn_id: str, send: Callable[[Message], None]) -> None:
            try:
                send(message)
                taken.append(conn_id)
            except Exception as error:  # noqa: BLE001  # each channel has errors of its own, and none may reach the task
                self.log.warning("%s did not take the message: %s: %s", conn_id, type(error).__name__, error)

        workers = {conn_id: threading.Thread(target=act, args=(conn_id, send), daemon=True) for conn_id, send in channels.items()}
        for worker in workers.values():
            worker.start()
        deadline = time.monotonic() + SEND_SECONDS
        for conn_id, worker in workers.items():
            worker.join(max(0.0, deadline - time.monotonic()))
            if worker.is_alive():
                self.log.warning("%s did not take the message: no answer within %s s", conn_id, SEND_SECONDS)
        return bool(taken)

    def _slack(self, message: Message) -> None:
        from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

        SlackWebhookHook(slack_webhook_conn_id=self.slack_conn_id, timeout=SEND_SECONDS).send_text(message.as_slack())

    def _mail(self, message: Message) -> None:
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        addresses = str(BaseHook.get_connection(self.smtp_conn_id).extra_dejson.get("alert_addresses", ""))
        recipients = [address.strip() for address in addresses.split(";") if address.strip()]
        if not recipients:
            raise ValueError(f"connection {self.smtp_conn_id} names nobody: set its extra alert_addresses")
        with SmtpHook(smtp_conn_id=self.smtp_conn_id) as hook:
            hook.send_email_smtp(to=recipients, subject=message.title, html_content=message.as_html())


class ReportFailure(IncidentNotifier):
    """`on_failure_callback` of tasks and of DAGs; a DAG's adds only what no task could say, because its worker was killed.

    Args:
        retry: stands as `on_retry_callback`: another try comes, so it updates the incident that is open, and opens none.
    """

    def __init__(self, *, retry: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.retry = retry

    def notify(self, context: Context) -> None:
        """Report the failed task, or the failed run."""
        from lakehouse.incidents.store import ERROR, FAILURE, QUALITY, RETRY, WARNING, Report

        dag, error = context["dag"], context.get("exception")
        run_id = str(context.get("run_id", ""))
        # A DAG's callback has a reason. A task's has none; where its worker was lost it runs in the DAG processor, and has no error either.
        ti = None if "reason" in context else context.get("ti")
        key = key_of(dag, ti.task if ti else None)
        if error is not None:
            cause = _cause(error, ti.task if ti else None)
        elif ti is not None:
            cause = "its worker was lost: the process or its machine was killed"
        else:
            cause = f"the run failed without a word from a task: {context.get('reason')}"
        self.tell(
            Report(
                key=key,
                kind=RETRY if self.retry else QUALITY if type(error).__name__ == "ChecksFailedError" else FAILURE,
                severity=WARNING if self.retry else ERROR,
                cause=cause,
                error_type=type(error).__name__ if error is not None else "",
                dag_id=dag.dag_id,
                task_id=ti.task_id if ti else "",
                run_id=run_id,
                affected=_affected(context, key, self.downstream),
                links=_links(dag.dag_id, run_id, ti, error),
            ),
            unless_failed=ti is None,
            if_open=self.retry,
        )


class ReportDeadline(IncidentNotifier):
    """What a missed deadline does; `report_deadline` runs it.

    Args:
        key: what the DAG makes; deadlines know no tasks.
        breach: False for the early warning, which opens an incident and tells nobody.
        late_after: how long it has taken by now, for the text.
        affected: what people miss, for the text.
        calendar: an exchange of the package `holidays`; on its weekends and holidays nobody waits for the run.
        waits_for_people: a param with which the run waits for an answer.
    """

    def __init__(
        self,
        *,
        key: str,
        breach: bool,
        late_after: str,
        affected: str | None = None,
        calendar: str | None = None,
        waits_for_people: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.key, self.breach, self.late_after = key, breach, late_after
        self.affected, self.calendar, self.waits_for_people = affected, calendar, waits_for_people

    def notify(self, context: Context) -> None:
        """Report the run, unless it has ended or nobody waits for it."""
        from lakehouse.incidents.calendars import is_business_day
        from lakehouse.incidents.store import DEADLINE, ERROR, WARNING, Report

        run: Mapping[str, Any] = context["dag_run"]  # type: ignore[assignment]  # what REST says of the run, not a DagRun
        if run.get("state") in ("success", "failed"):
            self.log.info("run %s has ended: %s", run["dag_run_id"], run["state"])
            return
        if run.get("run_type") == "backfill":
            self.log.info("run %s is of a backfill, whose runs wait for one another", run["dag_run_id"])
            return
        if self.waits_for_people and (run.get("conf") or {}).get(self.waits_for_people):
            self.log.info("run %s was told to wait for an answer: %s", run["dag_run_id"], self.waits_for_people)
            return
        # The day whose data it makes: Friday's is waited for, though it comes on a Saturday.
        day = datetime.fromisoformat(str(run.get("data_interval_start") or datetime.now(UTC).isoformat())).date()
        if self.calendar and not is_business_day(self.calendar, day):
            self.log.info("nobody waits for run %s: %s was closed on %s", run["dag_run_id"], self.calendar, day)
            return
        dag_id, run_id = str(run["dag_id"]), str(run["dag_run_id"])
        half = "" if self.breach else ", half of what it may take"
        report = Report(
            key=self.key,
            kind=DEADLINE,
            severity=ERROR if self.breach else WARNING,
            cause=f"run {run_id} has not ended within {self.late_after}{half}, and is {run.get('state')}",
            error_type="",
            dag_id=dag_id,
            run_id=run_id,
            affected=f"{self.key}; {self.affected or 'nothing downstream'}",
            links=_links(dag_id, run_id, None, None),
        )
        self.tell(report, unless_failed=True)


async def report_deadline(context: Context, **kwargs: Any) -> None:
    """Callback of a `DeadlineAlert`: runs a `ReportDeadline` with these arguments in the triggerer, beside its loop.

    Not a `SyncCallback`: in Airflow 3.3 the executor's callback processes may not read connections (answered by apache/airflow#71192).
    """
    await asyncio.to_thread(ReportDeadline(**kwargs), context)


class SettleIncidents(IncidentNotifier):
    """`on_success_callback`: of a DAG it settles all that its runs reported; of a task, what that task reported.

    Args:
        task: whether it stands on a task.
    """

    def __init__(self, *, task: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.task = task

    def notify(self, context: Context) -> None:
        """Settle, and log which incidents are closed by it."""
        task_id = context["ti"].task_id if self.task else None
        with IncidentsHook(self.ops_conn_id).store() as store:
            for incident in store.settle(context["dag"].dag_id, datetime.now(UTC), task_id=task_id):
                self.log.info("incident %d of %s is closed by %s", incident.incident_id, incident.key, incident.closed_by)


def key_of(dag: Any, task: Any = None) -> str:
    """What is broken when this task fails: what the task says itself (`incident_key`), else the DAG's first asset, else the DAG."""
    own = getattr(task, "incident_key", None)
    assets = (outlet.name for one in dag.tasks for outlet in one.outlets if isinstance(outlet, Asset))
    return str(own or next(assets, dag.dag_id))


def _cause(error: Any, task: Any) -> str:
    """The error in one line; one of a library, which knows but an address, is told with the connection that leads there."""
    from lakehouse.exceptions import LakehouseError
    from lakehouse.incidents.message import one_line
    from lakehouse.masking import hide_secrets

    text = hide_secrets(str(error)) or "no text"
    if not isinstance(error, LakehouseError):
        for conn_id in _conn_ids(task):
            found = _connection(conn_id)
            host = f"{found.host}:{found.port}" if found and found.port else found.host if found else ""
            address = str(found.extra_dejson.get("endpoint_url") or host) if found else ""
            port = re.search(r":(\d+)(?:/|$)", address)
            if port and re.search(rf"(?::|port=){port[1]}\b", text):
                return one_line(f"{conn_id} ({address}): {text}")
    return one_line(text)


def _conn_ids(task: Any) -> list[str]:
    fields = vars(task).items() if task is not None else ()
    return sorted({str(value) for name, value in fields if name.endswith("conn_id") and value})


def _connection(conn_id: str) -> Connection | None:
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None


def _affected(context: Context, key: str, downstream: Mapping[str, str]) -> str:
    from lakehouse_provider.params import run_day

    # A run that was started by an asset has no day of its own.
    dated = (context.get("params") or {}).get("date") or context.get("data_interval_start")
    return f"{key}{f', {run_day(context)}' if dated else ''}; {downstream.get(key, 'nothing downstream')}"


def _links(dag_id: str, run_id: str, ti: Any, error: Any) -> dict[str, str]:
    from urllib.parse import quote

    runbook, anchor = runbook_url(dag_id), getattr(error, "runbook_anchor", "")
    links = {"Runbook": f"{runbook}#{anchor}" if anchor else runbook, "Run": f"{airflow_url()}/dags/{dag_id}/runs/{quote(run_id)}"}
    if ti is None:
        return links
    links = {"Log": ti.log_url, **links}
    for name, key in {"Failed rows": FAILED_ROWS_URL, "Refused rows": REFUSED_URL}.items() if error is not None else ():
        if value := ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index):
            links[name] = str(value)
    for conn_id in _conn_ids(ti.task):
        if (found := _connection(conn_id)) and (address := public_url(found)):
            links[conn_id.removeprefix("lakehouse_").capitalize()] = address
    return links


def _unkept(report: Report, now: datetime) -> Incident:
    """An incident for the message alone, while the store does not answer."""
    from dataclasses import asdict

    from lakehouse.incidents.store import Incident

    return Incident(incident_id=0, opened_at=now, last_seen_at=now, times=1, earlier=0, **asdict(report))
