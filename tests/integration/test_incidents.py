"""Incidents on a real PostgreSQL, told to a real mail server and a receiver for Slack (fault 30)."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from lakehouse.exceptions import ChecksFailedError, ConfigurationError, TransientError
from lakehouse.incidents.store import ERROR, WARNING, Incident, IncidentStore, Report
from lakehouse_provider import notifiers
from lakehouse_provider.hooks.incidents import IncidentsHook
from lakehouse_provider.notifiers import ReportFailure, SettleIncidents, report_deadline

pytestmark = pytest.mark.integration
NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)


@pytest.fixture
def store(connections: dict[str, Any]) -> Iterator[IncidentStore]:
    with IncidentsHook().store() as opened:
        yield opened


@pytest.fixture(autouse=True)
def nothing_is_left_open(store: IncidentStore, fresh_name: str) -> Iterator[None]:
    yield
    for incident in store.open():
        if incident.key == fresh_name:
            store.close(incident.incident_id, "the test", "", datetime.now(UTC))


@pytest.fixture
def report(fresh_name: str) -> Callable[..., Report]:
    def build(**changes: Any) -> Report:
        plain = {
            "key": fresh_name,
            "kind": "failure",
            "severity": ERROR,
            "cause": "no answer",
            "error_type": "TransientError",
            "dag_id": f"d_{fresh_name}",
            "task_id": "load",
            "run_id": "run 1",
        }
        return Report(**(plain | changes))

    return build


def _of(store: IncidentStore, key: str) -> list[Incident]:
    return [incident for incident in store.all() if incident.key == key]


def test_failure_deadline_and_quality_of_one_thing_are_one_incident(store: IncidentStore, report: Callable[..., Report]) -> None:
    first = store.report(report(), NOW)
    assert first is not None
    assert (first.times, first.earlier, first.closed_at) == (1, 0, None)
    assert store.claim(first.incident_id, NOW)
    store.told(first.incident_id, NOW)
    later = NOW + timedelta(minutes=5)
    assert store.report(report(kind="deadline", task_id=""), later, unless_failed=True) is None, "the run is known to have failed"
    quality = store.report(report(kind="quality", dag_id="checks", task_id="check", run_id="run 9"), later)
    assert quality is not None
    assert (quality.incident_id, quality.times, quality.cause) == (first.incident_id, 2, "no answer")
    assert not store.claim(first.incident_id, later), "people are told once"
    # The load succeeds, the check has not: still open.
    assert store.settle(first.dag_id, later) == []
    [closed] = store.settle("checks", later, task_id="check")
    assert (closed.incident_id, closed.closed_by) == (first.incident_id, "success of checks.check")
    again = store.report(report(), later + timedelta(hours=1))
    assert again is not None
    assert (again.earlier, again.last_success_at) == (1, later)
    assert again.incident_id != first.incident_id


def test_a_retry_of_the_same_run_counts_once_and_another_run_again(store: IncidentStore, report: Callable[..., Report]) -> None:
    store.report(report(), NOW)
    store.report(report(), NOW)
    other = store.report(report(run_id="run 2"), NOW + timedelta(days=1))
    assert other is not None
    assert other.times == 2


def test_an_early_warning_tells_nobody_until_it_becomes_an_error(store: IncidentStore, report: Callable[..., Report]) -> None:
    early = store.report(report(kind="deadline", severity=WARNING, task_id="", cause="slow"), NOW, unless_failed=True)
    assert early is not None
    assert not store.claim(early.incident_id, NOW)
    breach = store.report(report(kind="deadline", task_id="", cause="late"), NOW, unless_failed=True)
    assert breach is not None
    assert (breach.incident_id, breach.severity, breach.cause) == (early.incident_id, ERROR, "late")
    assert store.claim(breach.incident_id, NOW)


def test_who_was_killed_while_telling_is_followed_by_the_next(store: IncidentStore, report: Callable[..., Report]) -> None:
    opened = store.report(report(), NOW)
    assert opened is not None
    assert store.claim(opened.incident_id, NOW)
    assert not store.claim(opened.incident_id, NOW + timedelta(seconds=59))
    assert store.claim(opened.incident_id, NOW + timedelta(seconds=61))
    store.told(opened.incident_id, NOW + timedelta(seconds=62))
    assert not store.claim(opened.incident_id, NOW + timedelta(hours=1))


def test_a_run_that_was_cleared_and_fails_again_is_told_again(store: IncidentStore, report: Callable[..., Report]) -> None:
    first = store.report(report(), NOW)
    assert first is not None
    store.settle(first.dag_id, NOW + timedelta(minutes=1))
    soon = store.report(report(task_id=""), NOW + timedelta(minutes=2), unless_failed=True)
    assert soon is None, "the run's own callback comes late, another run of the DAG was quicker"
    later = store.report(report(task_id=""), NOW + timedelta(hours=2), unless_failed=True)
    assert later is not None
    assert later.incident_id != first.incident_id


def test_what_failed_takes_the_place_of_that_it_was_late(store: IncidentStore, report: Callable[..., Report]) -> None:
    late = store.report(report(kind="deadline", task_id="", cause="late"), NOW)
    failed = store.report(report(cause="no answer"), NOW)
    assert late is not None
    assert failed is not None
    assert (failed.incident_id, failed.kind, failed.cause) == (late.incident_id, "failure", "no answer")


def test_a_success_and_a_failure_at_once_leave_the_failure_open(connections: dict[str, Any], report: Callable[..., Report]) -> None:
    """Whoever comes second sees what the first wrote, forty times in a row; nobody waits for the other for ever."""
    dag_id = report().dag_id
    failures: list[BaseException] = []

    def act(success: object, number: int) -> None:
        try:
            with IncidentsHook().store() as own:
                own.settle(dag_id, NOW) if success else own.report(report(run_id=f"run {number}"), NOW)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    for number in range(20):
        threads = [threading.Thread(target=act, args=(success, number)) for success in (True, False)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    with IncidentsHook().store() as own:
        for incident in own.all():
            if incident.key == report().key and incident.closed_at is None:
                assert own.settle(dag_id, NOW), "an open incident has a report that a success settles"


def test_somebody_takes_it_and_a_number_that_is_not_open_is_named(store: IncidentStore, report: Callable[..., Report]) -> None:
    opened = store.report(report(), NOW)
    assert opened is not None
    taken = store.acknowledge(opened.incident_id, "kim", "looking at the metastore", NOW)
    assert (taken.acknowledged_by, taken.note) == ("kim", "looking at the metastore")
    closed = store.close(opened.incident_id, "kim", "the DAG is gone", NOW)
    assert closed.closed_by == "kim"
    with pytest.raises(ConfigurationError, match=f"no open incident {opened.incident_id}"):
        store.close(opened.incident_id, "kim", "", NOW)


def test_many_reports_at_once_open_one_incident_and_tell_once(connections: dict[str, Any], report: Callable[..., Report]) -> None:
    told = []

    def act(number: int) -> None:
        with IncidentsHook().store() as own:
            incident = own.report(report(task_id=f"t{number}"), NOW)
            assert incident is not None
            told.append((incident.incident_id, own.claim(incident.incident_id, NOW)))

    threads = [threading.Thread(target=act, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({number for number, _ in told}) == 1
    assert [claimed for _, claimed in told].count(True) == 1


def test_extras_that_the_driver_does_not_know_are_named(connections: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ODD", json.dumps(connections["lakehouse_ops"] | {"extra": {"public_url": "http://x"}}))
    with pytest.raises(ConfigurationError, match="connection odd cannot be used"), IncidentsHook("odd").store():
        pass
    monkeypatch.setenv("AIRFLOW_CONN_QUICK", json.dumps(connections["lakehouse_ops"] | {"extra": {"connect_timeout": 3}}))
    with IncidentsHook("quick").store() as store:
        assert store.open() is not None


def test_a_store_that_is_not_there_is_named(connections: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    away = connections["lakehouse_ops"] | {"port": 1}
    monkeypatch.setenv("AIRFLOW_CONN_AWAY", json.dumps(away))
    with pytest.raises(TransientError, match=r"PostgreSQL 127\.0\.0\.1:1/lakehouse_ops does not answer"), IncidentsHook("away").store():
        pass


# --- what is told -------------------------------------------------------------------------------------------------------------------


class _Receiver(ThreadingHTTPServer):
    """Takes Slack's webhook calls."""

    daemon_threads = True

    def __init__(self, seconds: float = 0, status: int = 200) -> None:
        self.seconds, self.status, self.taken = seconds, status, list[dict[str, Any]]()
        super().__init__(("127.0.0.1", 0), _Answer)


class _Answer(BaseHTTPRequestHandler):
    server: _Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.server.seconds)
        self.server.taken.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b"ok" if self.server.status == 200 else b"no_service")

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def slack(monkeypatch: pytest.MonkeyPatch, **how: Any) -> Iterator[_Receiver]:
    """A receiver, and the connection `alerts_slack` that leads to it."""
    receiver = _Receiver(**how)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{receiver.server_port}/services"
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://localhost:8081")
    monkeypatch.delenv("AIRFLOW_CONN_ALERTS_SMTP", raising=False)
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS_SLACK", json.dumps({"conn_type": "slackwebhook", "host": address, "password": "T0/B0/x"}))
    yield receiver
    receiver.shutdown()
    receiver.server_close()


def failure(name: str, error: Exception | None, task_id: str = "load", run_id: str = "manual__1", **task: Any) -> Any:
    """The context of a failed task; of a run that failed by itself without an error."""
    dag = DAG(f"d_{name}", schedule=None)
    ti = SimpleNamespace(
        task_id=task_id,
        map_index=-1,
        log_url="http://localhost:8081/dags/x/log",
        task=SimpleNamespace(incident_key=name, trino_conn_id="lakehouse_trino", **task),
        xcom_pull=lambda **_: None,
    )
    context: dict[str, Any] = {"dag": dag, "run_id": run_id, "params": {"date": "2026-11-19"}, "ti": ti}
    return context | ({"exception": error} if error else {"reason": "task_failure"})


def deadline(name: str, run: dict[str, Any], **changes: Any) -> None:
    """What Airflow's triggerer does when a deadline is missed."""
    kwargs = {"key": name, "breach": True, "late_after": "20 minutes"} | changes
    asyncio.run(report_deadline(context={"dag_run": run}, **kwargs))  # type: ignore[typeddict-item]


def test_a_run_that_is_late_is_told_once_with_what_people_miss(
    connections: dict[str, Any], fresh_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = {"dag_id": f"d_{fresh_name}", "dag_run_id": "manual__1", "state": "running", "run_type": "manual", "conf": {}}
    with slack(monkeypatch) as receiver:
        deadline(fresh_name, run, breach=False)
        assert receiver.taken == []
        deadline(fresh_name, run, affected="board Lakehouse Analytics")
        deadline(fresh_name, run)
    [payload] = receiver.taken
    assert f"{fresh_name}: late (incident" in payload["text"]
    assert "*Cause*: run manual__1 has not ended within 20 minutes, and is running" in payload["text"]
    assert f"*Affected*: {fresh_name}; board Lakehouse Analytics" in payload["text"]


@pytest.mark.parametrize(
    ("run", "changes"),
    [
        ({"run_type": "backfill"}, {}),
        ({"conf": {"prune": True}}, {"waits_for_people": "prune"}),
        ({"data_interval_start": "2026-11-26T00:15:00Z"}, {"calendar": "XNYS"}),
    ],
    ids=["a backfill", "a run that waits for an answer", "data of Thanksgiving"],
)
def test_nobody_is_told_of_a_run_that_nobody_waits_for(
    connections: dict[str, Any], fresh_name: str, store: IncidentStore, run: Any, changes: Any
) -> None:
    plain = {"dag_id": "d", "dag_run_id": "r", "state": "running", "run_type": "scheduled", "conf": {}}
    deadline(fresh_name, plain | run, **changes)
    assert _of(store, fresh_name) == []


def test_the_message_says_what_a_person_needs_at_night(
    connections: dict[str, Any], fresh_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slack(monkeypatch) as receiver:
        notifier = ReportFailure(downstream={fresh_name: "board Lakehouse Analytics"})
        notifier(failure(fresh_name, TransientError("Trino at 127.0.0.1:8080 does not answer, password=hunter22\nTraceback <!channel>")))
    [payload] = receiver.taken
    text = payload["text"]
    assert text.startswith(f"*[error] {fresh_name}: a task failed (incident ")
    assert f"*What*: d_{fresh_name}.load, run manual__1" in text
    assert "*Cause*: TransientError: Trino at 127.0.0.1:8080 does not answer, password=***" in text
    assert "&lt;!channel&gt;" in text
    assert "hunter22" not in text
    assert "one run so far; first in seven days" in text
    assert "*Last success*: none known" in text
    assert f"*Affected*: {fresh_name}, 2026-11-19; board Lakehouse Analytics" in text
    assert f"/lakehouse/runbooks/d_{fresh_name}#service-unreachable|Runbook>" in text
    assert "<http://localhost:8081/dags/x/log|Log>" in text
    assert f"<http://localhost:{connections['lakehouse_trino']['port']}|Trino>" in text


def test_a_try_before_the_last_updates_the_open_incident_and_opens_none(
    connections: dict[str, Any], fresh_name: str, monkeypatch: pytest.MonkeyPatch, store: IncidentStore
) -> None:
    again = ReportFailure(retry=True)
    with slack(monkeypatch) as receiver:
        again(failure(fresh_name, TransientError("away")))
        assert _of(store, fresh_name) == []
        ReportFailure()(failure(fresh_name, TransientError("away")))
        again(failure(fresh_name, TransientError("still away"), run_id="manual__2"))
    [incident] = _of(store, fresh_name)
    assert (incident.times, incident.severity, incident.cause) == (2, ERROR, "away")
    assert len(receiver.taken) == 1


def test_a_retry_of_a_late_run_tells_nobody_and_its_breach_does(
    connections: dict[str, Any], fresh_name: str, monkeypatch: pytest.MonkeyPatch, store: IncidentStore
) -> None:
    with slack(monkeypatch) as receiver:
        run = {"dag_id": f"d_{fresh_name}", "dag_run_id": "manual__1", "state": "running"}
        deadline(fresh_name, run, breach=False)
        ReportFailure(retry=True)(failure(fresh_name, TransientError("away")))
        [incident] = _of(store, fresh_name)
        assert (incident.severity, incident.kind) == (WARNING, "deadline")
        assert receiver.taken == []
        deadline(fresh_name, run)
    assert len(receiver.taken) == 1


def test_one_fault_seen_three_ways_is_one_message(connections: dict[str, Any], fresh_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with slack(monkeypatch) as receiver:
        ReportFailure()(failure(fresh_name, TransientError("away")))
        ReportFailure()(failure(fresh_name, None))
        run = {"dag_id": f"d_{fresh_name}", "dag_run_id": "manual__1", "state": "running"}
        deadline(fresh_name, run)
        ReportFailure()(failure(fresh_name, ChecksFailedError("3 rows"), task_id="check"))
    assert len(receiver.taken) == 1


def test_a_success_closes_it_and_the_next_failure_is_told_again(
    connections: dict[str, Any], fresh_name: str, monkeypatch: pytest.MonkeyPatch, store: IncidentStore
) -> None:
    with slack(monkeypatch) as receiver:
        context = failure(fresh_name, TransientError("away"))
        ReportFailure()(context)
        SettleIncidents()(context)
        ReportFailure()(failure(fresh_name, TransientError("away"), run_id="manual__2"))
    assert len(receiver.taken) == 2
    assert "repeated: 1 more of it" in receiver.taken[1]["text"]
    newest, oldest = _of(store, fresh_name)
    assert newest.closed_at is None
    assert oldest.closed_by == f"success of d_{fresh_name}"


@pytest.mark.fault(30)
def test_a_slack_that_refuses_is_tried_again_by_the_next_report(
    connections: dict[str, Any], fresh_name: str, monkeypatch: pytest.MonkeyPatch, store: IncidentStore
) -> None:
    with slack(monkeypatch, status=404):
        ReportFailure()(failure(fresh_name, TransientError("away")))
    assert _of(store, fresh_name)[0].told_at is None
    with slack(monkeypatch) as receiver:
        ReportFailure()(failure(fresh_name, TransientError("away"), run_id="manual__2"))
    assert "2 runs so far" in receiver.taken[0]["text"]


@pytest.mark.parametrize("extra", [{"public_url": "http://x"}, {"port": "no number"}])
def test_a_store_that_cannot_be_opened_keeps_nobody_from_being_told(
    connections: dict[str, Any], fresh_name: str, monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ODD", json.dumps(connections["lakehouse_ops"] | {"extra": extra}))
    with slack(monkeypatch) as receiver:
        ReportFailure(ops_conn_id="odd")(failure(fresh_name, TransientError("away")))
    assert len(receiver.taken) == 1


def test_a_lost_worker_is_told_with_its_task_and_table(
    connections: dict[str, Any], fresh_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow calls the task's callback in the DAG processor then, without an error and without a reason."""
    context = failure(fresh_name, None)
    del context["reason"]
    with slack(monkeypatch) as receiver:
        ReportFailure()(context)
        ReportFailure()(failure(fresh_name, None))
    [payload] = receiver.taken
    assert f"*What*: d_{fresh_name}.load" in payload["text"]
    assert "its worker was lost" in payload["text"]
    assert "|Log>" in payload["text"]


@pytest.mark.fault(30)
def test_a_slow_slack_holds_nobody_up(connections: dict[str, Any], fresh_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifiers, "SEND_SECONDS", 1)
    with slack(monkeypatch, seconds=5):
        started = time.monotonic()
        ReportFailure()(failure(fresh_name, TransientError("away")))
        assert time.monotonic() - started < 4


@pytest.mark.fault(30)
def test_without_a_store_people_are_told_all_the_same(
    connections: dict[str, Any], fresh_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWAY", json.dumps(connections["lakehouse_ops"] | {"port": 1}))
    with slack(monkeypatch) as receiver:
        ReportFailure(ops_conn_id="away")(failure(fresh_name, TransientError("away")))
    assert f"[error] {fresh_name}" in receiver.taken[0]["text"]


def test_a_silenced_incident_is_kept_and_not_told(
    connections: dict[str, Any], fresh_name: str, monkeypatch: pytest.MonkeyPatch, store: IncidentStore, tmp_path: Path
) -> None:
    silences = tmp_path / "silences.yaml"
    day = datetime.now(UTC).date()
    silences.write_text(f"silences:\n- {{key: '{fresh_name[:6]}*', reason: moving, link: 'https://example.org/1', until: {day}}}\n")
    monkeypatch.setenv("AIRFLOW_CONN_AWAY", json.dumps(connections["lakehouse_ops"] | {"port": 1}))
    with slack(monkeypatch) as receiver:
        ReportFailure(silences=str(silences))(failure(fresh_name, TransientError("away")))
        ReportFailure(silences=str(silences), ops_conn_id="away")(failure(fresh_name, TransientError("away")))
    assert receiver.taken == []
    assert _of(store, fresh_name)[0].closed_at is None


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_deadline_of_a_run_that_has_ended_says_nothing(
    connections: dict[str, Any], fresh_name: str, store: IncidentStore, state: str
) -> None:
    run = {"dag_id": "d", "dag_run_id": "r", "state": state}
    deadline(fresh_name, run)
    assert _of(store, fresh_name) == []
