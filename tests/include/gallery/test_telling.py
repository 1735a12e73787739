from __future__ import annotations

from datetime import UTC, datetime

import pytest

from include.gallery import telling
from include.gallery.lake import MissingTableError
from lakehouse.exceptions import ConfigurationError, HistoryError, ServiceError, TransientError
from tests.include.gallery.local_lake import row


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (250_000, "250 KB"),
        (1_500_000, "1.5 MB"),
        (2e9, "2.0 GB"),
        (5e12, "5,000.0 GB"),
    ],
)
def test_sizes(number, text):
    assert telling.size(number) == text


@pytest.mark.parametrize(
    ("error", "level", "text"),
    [
        (MissingTableError("x"), "info", "There is no table a_b yet"),
        (TransientError("the store is [down](http://e)"), "error", "the store is \\[down\\]\\(http://e\\)"),
        (ServiceError("no", status=403), "error", "Check the keys"),
        (ConfigurationError("it is wrong"), "error", "It is wrong."),
        (HistoryError("gone"), "error", "Gone."),
        (KeyError("secret"), "error", "does not know (KeyError)"),
    ],
)
def test_errors_say_what_to_do(error, level, text):
    shown = telling.explained(error, "a_b")
    assert shown[0] == level
    assert text in shown[1]
    assert "secret" not in shown[1]


def test_facts_have_everything_that_is_known():
    facts = dict(telling.facts(row(2, private_metadata=None)))
    assert facts["Resolution"] == "642 x 480"
    assert facts["Size"] == "3.0 KB (3,000 bytes)"
    assert facts["Uploaded"] == "2026-11-01 12:02:00 UTC"
    assert facts["GPS and serial numbers"] == "-"
    assert {facts["SHA-256"], facts["Perceptual hash"], facts["Licence"]} == {row(2)["checksum"], "0000000000000002", "-"}


def test_facts_of_a_row_with_nothing():
    assert set(dict(telling.facts({})).values()) == {"-"}


def test_html_is_text():
    assert telling.as_html([("<a>", "<b onload='x'>")]) == (
        "<div class='facts'><div><span>&lt;a&gt;</span><span>&lt;b onload=&#x27;x&#x27;&gt;</span></div></div>"
    )


def test_a_time_without_a_zone_is_taken_for_utc():
    assert telling.moment(datetime(2026, 1, 2, 3, 4, 5)) == telling.moment(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
