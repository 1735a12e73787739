"""A drill: break the running stack in a known way, see what on-call gets, do what the runbook says, see it healed."""

from __future__ import annotations

import email
import email.policy
import html
import re
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg2

from stack.airflow_api import AirflowApi
from stack.errors import StackError
from stack.faults import FAULTS, Broken, Fault, wait_for_end
from stack.installation import HOST, Installation
from stack.lifecycle import console, failing

_WAIT = 90  # seconds


@dataclass
class Outcome:
    """What a drill showed.

    Attributes:
        incident: the row of the incident, once it was opened; empty where none was to be.
        mails: text of the messages that were sent because of it.
        problems: what was not as it has to be.
    """

    fault: Fault
    incident: dict[str, Any] = field(default_factory=dict)
    mails: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def expect(self, what: str, held: object) -> None:
        """Note what did not hold."""
        console.print(f"  {'[green]✓[/green]' if held else '[red]✗[/red]'} {what}")
        if not held:
            self.problems.append(what)


def listed() -> str:
    """Every fault with what it is, a line each."""
    width = max(map(len, FAULTS))
    return "\n".join(f"  {one.name:{width}} {one.what}" for one in FAULTS.values())


def drill(stack: Installation, name: str) -> Outcome:
    """Run one drill; the stack is healed whatever happens.

    Raises:
        StackError: there is no such fault, the stack is not well to begin with, or somebody's incident of that key is open.
    """
    if name not in FAULTS:
        raise StackError(f"there is no fault {name!r}; there are:\n{listed()}")
    if not _until(lambda: not failing(stack)):
        raise StackError("the stack is not well, a drill would show nothing: " + "; ".join(failing(stack)))
    fault, api = FAULTS[name], AirflowApi(stack)
    outcome, broken = Outcome(fault), Broken(stack, api)
    if open_already := _open(stack, fault.key):
        raise StackError(f"incident {open_already['incident_id']} of {fault.key} is open: {open_already['cause']}. Heal that first")
    console.rule(f"Drill: {fault.name}", align="left")
    console.print(f"  {fault.what}; a run of {fault.dag_id} meets it")
    mails = len(_mails(stack, fault.key))
    api.unpause(fault.dag_id)
    heal = fault.apply(broken)
    try:
        run_id = api.trigger(fault.dag_id, fault.conf)
        if fault.during:
            _wait_until_it_runs(api, fault.dag_id, run_id)
            fault.during(broken, run_id)
        if not fault.cause:
            outcome.expect("the run rides over it and ends green", wait_for_end(api, fault.dag_id, run_id, 420) == "success")
            outcome.expect("nobody was told", not _mails(stack, fault.key)[mails:] and not _open(stack, fault.key))
            return outcome
        outcome.incident = _wait_for_incident(stack, fault.key, 420) or {}
        _show(outcome, stack)
        if fault.clear:
            wait_for_end(api, fault.dag_id, run_id, 420)
    finally:
        heal()
    console.print(f"  the fix: {fault.fix}")
    if fault.clear:
        some = (
            {"only_failed": True}
            if fault.clear == "failed"
            else {"only_failed": False, "task_ids": [fault.clear], "include_downstream": True}
        )
        api.call("POST", f"/dags/{fault.dag_id}/clearTaskInstances", json={"dag_run_id": run_id, "dry_run": False, **some})
    outcome.expect("the run is green after it", wait_for_end(api, fault.dag_id, run_id, 420) == "success")
    # A run of another DAG may have met the fault as well: what it reported is for its own next success to settle.
    closed = _until(lambda: fault.dag_id not in _reported_by(stack, fault.key))
    others = ", ".join(sorted(_reported_by(stack, fault.key) - {fault.dag_id}))
    outcome.expect(f"the incident waits for {others} alone" if others else "the incident is closed", closed)
    # Last: a second message would come from the run's end, or from its next try.
    outcome.mails = [_text(mail) for mail in _mails(stack, fault.key)[mails:]]
    outcome.expect("exactly one message was sent", len(outcome.mails) == 1)
    for text in outcome.mails:
        console.print("\n".join(f"    │ {line}" for line in text.splitlines()), markup=False)
    return outcome


def _show(outcome: Outcome, stack: Installation) -> None:
    fault, incident = outcome.fault, outcome.incident
    outcome.expect(f"an incident of {fault.key} is open", incident)
    if not incident:
        return
    console.print(f"  incident {incident['incident_id']}: {incident['error_type']}: {incident['cause']}", markup=False)
    outcome.expect(f"its cause says {fault.cause!r}", re.search(fault.cause, incident["cause"]))
    base = f"http://localhost:{stack.ports['airflow']}/"
    outcome.expect("it leads to the runbook", incident["links"].get("Runbook", "").startswith(f"{base}lakehouse/runbooks/{fault.dag_id}"))
    outcome.expect("it leads to the run", incident["links"].get("Run", "").startswith(f"{base}dags/{fault.dag_id}/runs/"))


def _wait_until_it_runs(api: AirflowApi, dag_id: str, run_id: str) -> None:
    if not _until(lambda: api.run(dag_id, run_id)["state"] == "running"):
        raise StackError(f"run {run_id} of {dag_id} was not seen running")


def _wait_for_incident(stack: Installation, key: str, seconds: int) -> dict[str, Any] | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = _open(stack, key)
        if found and found["told_at"]:
            return found
        time.sleep(1)
    return None


def _until(held: Any) -> bool:
    deadline = time.monotonic() + _WAIT
    while time.monotonic() < deadline:
        if held():
            return True
        time.sleep(1)
    return False


def _reported_by(stack: Installation, key: str) -> set[str]:
    """DAGs whose reports keep the key's incident open; none where none is open."""
    incident = _open(stack, key).get("incident_id")
    statement = "SELECT dag_id FROM reports WHERE incident_id = %s AND settled_at IS NULL"
    return {dag_id for (dag_id,) in _ask(stack, statement, (incident,))} if incident else set()


def _open(stack: Installation, key: str) -> dict[str, Any]:
    """The open incident of a key; empty if there is none, or never was any."""
    names = ["incident_id", "cause", "error_type", "links", "told_at"]
    if _ask(stack, "SELECT to_regclass('incidents')") == [(None,)]:
        return {}
    rows = _ask(stack, f"SELECT {', '.join(names)} FROM incidents WHERE key = %s AND closed_at IS NULL", (key,))  # noqa: S608  # constants
    return dict(zip(names, rows[0], strict=True)) if rows else {}


def _ask(stack: Installation, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Rows of a query of the incidents' database."""
    port, password = stack.ports["postgres"], stack.secrets["POSTGRES_OPS_PASSWORD"]
    opened = psycopg2.connect(host=HOST, port=port, dbname="lakehouse_ops", user="lakehouse_ops", password=password, connect_timeout=5)
    with closing(opened) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def _mails(stack: Installation, key: str) -> list[Any]:
    folder = stack.data / "mailbox" / "new"
    paths = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns) if folder.exists() else []
    mails = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in paths]
    return [mail for mail in mails if f"] {key}: " in str(mail["Subject"])]


def _text(mail: Any) -> str:
    body = mail.get_body().get_content()
    rows = re.sub(r"</th><td>", ": ", re.sub(r"</tr>|</h3>|<p>", "\n", body))
    links = re.sub(r'<a href="([^"]+)">([^<]+)</a>', r"\2: \1", rows)
    text = html.unescape(re.sub(r"<[^>]+>", "", links.replace("&middot;", "\n")))
    return "\n".join(line.strip() for line in text.strip().splitlines())
