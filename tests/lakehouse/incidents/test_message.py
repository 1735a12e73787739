from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from lakehouse.incidents.message import message_of, one_line
from lakehouse.incidents.store import Incident

AT = datetime(2026, 11, 20, 3, tzinfo=UTC)
INCIDENT = Incident(
    7, "raw_logs", "error", "failure", "no answer", "TransientError", "bronze_raw_logs", "load", "r 1", "raw_logs", {}, AT, AT, 1, 0
)


def test_a_link_that_is_no_web_address_is_left_out() -> None:
    links = {"Log": "https://airflow.example.org/log", "Runbook": "/lakehouse/runbooks/x", "Bad": "javascript:alert(1)"}
    assert message_of(replace(INCIDENT, links=links)).links == (("Log", "https://airflow.example.org/log"),)


@given(text=st.text(max_size=200))
@example(text="<!channel> <https://evil.test|click> & <script>")
def test_text_from_outside_makes_neither_mentions_nor_links_nor_tags(text: str) -> None:
    message = message_of(replace(INCIDENT, cause=text, key=text))
    assert "<" not in message.as_slack()
    assert "<script" not in message.as_html().lower()
    assert "<a" not in message.as_html()


@given(text=st.text(max_size=2_000))
@example(text="a\u202eb\nc\x00" + "x" * 600)
def test_a_cause_is_one_line_of_bounded_length(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 500
    assert "\n" not in line
    assert "\u202e" not in line
    assert line == one_line(line)


def test_how_often_is_said() -> None:
    often = message_of(replace(INCIDENT, times=3, earlier=2)).as_text()
    assert "3 runs so far; repeated: 2 more of it in the seven days before" in often
    assert "one run so far; first in seven days" in message_of(INCIDENT).as_text()
