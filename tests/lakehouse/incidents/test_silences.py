from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from lakehouse.exceptions import ConfigurationError
from lakehouse.incidents.silences import read_silences, silence_of

REPO = Path(__file__).resolve().parents[3]
NOON = datetime(2026, 12, 31, 12, tzinfo=UTC)


def entry(**changes: str) -> str:
    fields = {"key": "image_*", "reason": "the feed is moved", "link": "https://example.org/1", "until": "2026-12-31"} | changes
    return "silences:\n- " + "\n  ".join(f"{name}: {value}" for name, value in fields.items() if value)


def file(folder: Path, text: str) -> Path:
    path = folder / "silences.yaml"
    path.write_text(text)
    return path


def test_a_silence_holds_to_the_end_of_its_day_and_for_its_keys_alone(tmp_path: Path) -> None:
    silences = read_silences(file(tmp_path, entry()))
    assert silence_of(silences, "image_metadata", NOON) == silences[0]
    assert silence_of(silences, "raw_logs", NOON) is None
    assert silence_of(silences, "image_metadata", NOON + timedelta(days=1)) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (entry(reason=""), "silence 1: write exactly key, link, reason, until"),
        (entry(untl="2026-12-31"), "silence 1: write exactly"),
        (entry(until="soon"), "until must be a day"),
        (entry(link="' '"), "link is empty"),
        ("silences:\n- image_metadata", "silence 1: write exactly"),
    ],
)
def test_a_silence_that_does_not_say_why_and_until_when_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_silences(file(tmp_path, text))


@pytest.mark.parametrize(("days", "status"), [(0, 0), (-1, 1)], ids=["the last day", "the day after"])
def test_an_expired_silence_fails_the_lint(tmp_path: Path, days: int, status: int) -> None:
    until = date.fromordinal(datetime.now(UTC).date().toordinal() + days)
    path = file(tmp_path, entry(until=str(until)))
    result = subprocess.run([sys.executable, "-m", "lakehouse.incidents", path], capture_output=True, text=True, check=False)
    assert result.returncode == status
    assert ("the silence of image_* ended on" in result.stderr) == bool(status)


def test_our_own_file_is_read() -> None:
    read_silences(REPO / "include" / "silences.yaml")
