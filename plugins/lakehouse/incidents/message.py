"""What people are told of an incident, as plain text, for Slack and as mail; text from outside is escaped at each exit."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from datetime import datetime

from lakehouse.incidents.store import Incident

_CAUSE_LENGTH = 500
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")


@dataclass(frozen=True)
class Message:
    """A title, lines of name and text, and links."""

    title: str
    lines: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]

    def as_text(self) -> str:
        """Plain text."""
        lines = [f"{name}: {text}" for name, text in self.lines]
        return "\n".join([self.title, *lines, *(f"{name}: {address}" for name, address in self.links)])

    def as_slack(self) -> str:
        """Slack's mrkdwn; nothing of it can mention a channel or make a link of its own."""
        lines = [f"*{_slack(name)}*: {_slack(text)}" for name, text in self.lines]
        links = "  ".join(f"<{_slack(address.replace('|', '%7C'))}|{_slack(name)}>" for name, address in self.links)
        return "\n".join([f"*{_slack(self.title)}*", *lines, *([links] if links else [])])

    def as_html(self) -> str:
        """A mail's body."""
        rows = "".join(
            f"<tr><th align=left valign=top>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in self.lines
        )
        links = " &middot; ".join(f'<a href="{html.escape(address)}">{html.escape(name)}</a>' for name, address in self.links)
        return f"<h3>{html.escape(self.title)}</h3><table cellpadding=4>{rows}</table><p>{links}</p>"


def one_line(text: str) -> str:
    """Text from outside on one line, of bounded length, without control characters."""
    whole = text.encode("utf-8", "replace").decode()  # half of a surrogate pair can be sent nowhere
    line = " ".join(_NOT_TEXT.sub(" ", whole).split())
    return line if len(line) <= _CAUSE_LENGTH else f"{line[: _CAUSE_LENGTH - 1]}…"


def message_of(incident: Incident) -> Message:
    """What failed and why, since when and how often, what it affects, and what to do."""
    place = ".".join(part for part in (incident.dag_id, incident.task_id) if part)
    often = f"{incident.times} runs so far" if incident.times > 1 else "one run so far"
    often += f"; repeated: {incident.earlier} more of it in the seven days before" if incident.earlier else "; first in seven days"
    lines = [
        ("What", f"{place}, run {incident.run_id}" if incident.run_id else place),
        ("Cause", f"{incident.error_type}: {incident.cause}" if incident.error_type else incident.cause),
        ("Since", f"{_time(incident.opened_at)}, {often}"),
        ("Last success", _time(incident.last_success_at) if incident.last_success_at else "none known"),
        ("Affected", incident.affected or "nothing downstream"),
        ("Do", _advice(incident)),
    ]
    links = tuple((name, address) for name, address in incident.links.items() if address.startswith(("http://", "https://")))
    return Message(f"[{incident.severity}] {incident.key}: {_WHAT[incident.kind]} (incident {incident.incident_id})", tuple(lines), links)


_WHAT = {"failure": "a task failed", "deadline": "late", "quality": "its data fails checks"}


def _advice(incident: Incident) -> str:
    if incident.kind == "deadline":
        return "look at what the run waits for; it goes on by itself when that is there. Clear a task that hangs"
    if incident.kind == "quality":
        return f"look at the failed rows; when the data is mended, clear the task {incident.task_id} of this run"
    if not incident.task_id:
        return "clear the failed tasks of this run when the cause is gone"
    return "follow the runbook; when the cause is gone, clear the task that it names (it goes on where it was), or trigger the DAG again"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _slack(text: str) -> str:
    """Escapes Slack's three control characters: what is left can neither mention a channel nor make a link.

    Source: Slack's "Formatting text for app surfaces", section "Escaping text".
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
