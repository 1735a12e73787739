"""rsyslog with the rendered settings, over a folder of logs; no stack is needed."""

from __future__ import annotations

import json
import os
import signal
import string
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stack.installation import CONFIG, REPO, Installation
from stack.rotated import link_missed

pytestmark = pytest.mark.integration

RSYSLOG = REPO / "var" / "software" / "rsyslog"


class Collector:
    """rsyslogd over an installation in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        stack = Installation(folder)
        self.logs, self.spool, self.work = stack.logs, stack.data / "log_spool", stack.data / "rsyslog"
        for path in (self.logs, self.spool, self.work):
            path.mkdir(parents=True)
        self.config = folder / "rsyslog.conf"
        self.config.write_text(string.Template((CONFIG / "rsyslog" / "rsyslog.conf.tmpl").read_text()).substitute(stack.variables))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        libraries = next(RSYSLOG.glob("usr/lib/*/rsyslog"))
        link_missed(self.logs, self.work, self.work / "missed")
        command = [RSYSLOG / "usr/sbin/rsyslogd", "-n", "-f", self.config, "-i", self.work / "rsyslogd.pid", "-M", libraries]
        environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries.parent)}
        with (self.logs / "log_collector.log").open("ab") as log:
            self.process = subprocess.Popen([str(part) for part in command], env=environment, stdout=log, stderr=subprocess.STDOUT)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(how)
            self.process.wait(timeout=30)
            self.process = None

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for path in sorted(self.spool.iterdir()) for line in path.read_text().splitlines()]

    def until(self, count: int) -> list[dict[str, Any]]:
        """The spool's lines once there are so many; what comes beyond them within a moment is seen too."""
        _wait(lambda: len(self.lines()) >= count)
        time.sleep(1)
        return self.lines()


def _wait(met: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not met() and time.monotonic() < until:
        time.sleep(0.1)


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    if not RSYSLOG.exists():
        pytest.skip("rsyslog could not be had when the stack was installed")
    made = Collector(tmp_path)
    yield made
    made.stop()


def _write(path: Path, *texts: str) -> None:
    with path.open("a") as file:
        file.writelines(text + "\n" for text in texts)


def _rotate(path: Path, kept: int = 2) -> None:
    """As supervisor does: the older ones move up, the file gets the suffix 1, and the next line makes a new one."""
    for number in range(kept, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}")) if number < kept else older.unlink()
    path.replace(path.with_name(f"{path.name}.1"))


def _numbers(lines: list[dict[str, Any]]) -> list[int]:
    return sorted(int(line["message"].rpartition(" ")[2]) for line in lines)


def test_no_line_is_skipped_or_doubled_while_files_are_rotated_and_the_collector_restarts(collector: Collector) -> None:
    log = collector.logs / "trino.log"
    _write(log, *(f"2026-11-22T10:00:00.000Z\tINFO\tline {number}" for number in range(100)))
    collector.start()
    for number in range(100, 2000):
        _write(log, f"2026-11-22T10:00:00.000Z\tINFO\tline {number}")
        if number % 300 == 0:
            _rotate(log)
        if number == 1000:
            collector.until(1001)
            collector.stop()
        if number == 1050:
            collector.start()
        time.sleep(0.001)
    assert _numbers(collector.until(2000)) == list(range(2000))


def test_a_collector_that_was_killed_goes_on_where_it_was(collector: Collector) -> None:
    log = collector.logs / "trino.log"
    collector.start()
    _write(log, *(f"2026-11-22T10:00:00.000Z\tINFO\tline {number}" for number in range(500)))
    collector.until(500)
    collector.stop(signal.SIGKILL)
    _write(log, *(f"2026-11-22T10:00:00.000Z\tINFO\tline {number}" for number in range(500, 600)))
    collector.start()
    assert _numbers(collector.until(600)) == list(range(600))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("rotations", [1, 2])
def test_files_that_were_rotated_while_the_collector_was_stopped_are_read_to_their_end_once(
    collector: Collector, how: signal.Signals, rotations: int
) -> None:
    log = collector.logs / "trino.log"
    texts = [f"2026-11-22T10:00:00.000Z\tINFO\tline {number}" for number in range(700)]
    collector.start()
    _write(log, *texts[:100])
    collector.until(100)
    _rotate(log)  # seen by the collector
    _write(log, *texts[100:200])
    collector.until(200)
    collector.stop(how)
    _write(log, *texts[200:300])
    for rotation in range(rotations):
        _rotate(log, kept=3)
        _write(log, *texts[300 + 100 * rotation : 400 + 100 * rotation])
    expected = 300 + 100 * rotations
    collector.start()
    assert _numbers(collector.until(expected)) == list(range(expected))
    collector.stop()
    collector.start()
    assert not list((collector.work / "missed").iterdir()), "read to the end, so no link holds the file on the disk"
    _write(log, texts[expected])
    lines = collector.until(expected + 1)
    assert _numbers(lines) == list(range(expected + 1))
    assert {line["meta"]["service"] for line in lines} == {"trino"}


def test_a_new_log_that_got_the_inode_of_one_that_is_gone_hides_nothing(tmp_path: Path) -> None:
    """The oldest rotated file is removed at a rotation, and the file system gives its number to the new one."""
    work, missed, log = tmp_path / "work", tmp_path / "missed", tmp_path / "trino.log"
    work.mkdir()
    _write(log, "new")
    older, oldest = tmp_path / "trino.log.1", tmp_path / "trino.log.2"
    _write(older, "x" * 999)
    _write(oldest, "x" * 999)
    (tmp_path / "trino.log.gz").write_text("somebody's own")
    for name, offset in (
        (f"{log.stat().st_ino}:of-one-that-is-gone", 5000),
        (f"{older.stat().st_ino}:b", 500),
        (f"{oldest.stat().st_ino}:c", 1000),
    ):
        (work / f"imfile-state:{name}").write_text(json.dumps({"curr_offs": offset}))
    (work / "imfile-state:7").write_text('{"curr_')
    link_missed(tmp_path, work, missed)
    assert [link.stat().st_ino for link in missed.iterdir()] == [older.stat().st_ino]


TRACE = (
    "2026-11-22T10:00:00.5Z\tERROR\tmain\tio.trino\tit broke",
    "java.net.ConnectException: refused",
    "\tat x.Y.z(Y.java:1)",
    "Caused by: z",
)


def test_a_line_has_its_service_and_time_and_the_lines_of_a_stack_trace_are_marked(collector: Collector) -> None:
    collector.start()
    _write(collector.logs / "trino.log", *TRACE, "2026-11-22T10:00:01Z\tINFO\tmain\tio.trino\tgoes on")
    lines = collector.until(5)
    assert [line["message"] for line in lines[:4]] == list(TRACE)
    assert [line.pop("continues", 0) for line in lines] == [0, 1, 1, 1, 0]
    assert (lines[0]["event_time"], lines[0]["level"]) == ("2026-11-22T10:00:00.5Z", "ERROR")
    assert lines[0].keys() == {"event_time", "level", "message", "meta"}
    assert lines[0]["meta"]["service"] == "trino"
    assert lines[0]["meta"]["file"] == str(collector.logs / "trino.log")
    assert lines[0]["meta"]["host"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in collector.spool.iterdir())


LEVELS = {
    "2026-11-22T10:00:00.1Z [info     ] 0 errors [airflow]": "INFO",
    "2026-11-22T10:00:00.1Z [warning  ] slow [airflow]": "WARN",
    "2026-11-22T10:00:00.1Z [error    ] no XCom [airflow]": "ERROR",
    "2026-11-22 10:00:00.133 UTC [7488] LOG:  database system is ready": "INFO",
    "2026-11-22 10:00:00.133 UTC [7488] FATAL:  password authentication failed": "ERROR",
    "[2026-11-22T10:00:00,094][WARN ][o.o.s.OpenSearchSecurityPlugin] insecure": "WARN",
    "2026-11-22 10:00:00,304:WARNING:superset.views.base:no spinner": "WARN",
    "[2026-11-22 10:00:00,009: ERROR/ForkPoolWorker-2] Signal handler raised": "ERROR",
    "I1122 10:00:00.259282 client.go:282 Worker stream: no ERROR": "INFO",
    "W1122 10:00:00.259282 worker.go:180 stream ended": "WARN",
    "E1122 10:00:00.259282 handler.go:218 no entry": "ERROR",
    "F1122 10:00:00.259282 main.go:1 gone": "ERROR",
    "7489:M 22 Nov 2026 10:00:00.037 * Ready to accept connections tcp": "INFO",
    '2026-11-22T10:00:00Z quotes " and \\ and é': "INFO",
}


def test_the_level_is_taken_from_the_text_as_each_service_writes_it(collector: Collector) -> None:
    collector.start()
    _write(collector.logs / "service.log", *LEVELS)
    assert {line["message"]: line["level"] for line in collector.until(len(LEVELS))} == LEVELS


def test_lines_about_carrying_lines_are_not_collected(collector: Collector) -> None:
    collector.start()
    own = ("finished dag_id=ship_logs", "POST /_bulk 200", "path=/execution/xcoms/bronze_raw_logs/run")
    _write(collector.logs / "airflow_api.log", *(f"2026-11-22T10:00:00Z [info ] {text}" for text in own))
    _write(collector.logs / "log_collector.log", "2026-11-22T10:00:00Z rsyslogd: nothing")
    _write(collector.logs / "airflow_api.log", "2026-11-22T10:00:00Z [info ] dag_id=sync_dashboards")
    lines = collector.until(4)
    assert [line.get("message") for line in lines] == [None, None, None, "2026-11-22T10:00:00Z [info ] dag_id=sync_dashboards"]
    assert [line.keys() for line in lines[:3]] == [{"meta", "left_out"}] * 3
