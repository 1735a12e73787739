from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lakehouse.spool import join_lines, take_spool


def record(message: str, file: str = "trino.log", **more) -> bytes:
    return json.dumps({"meta": {"file": file}, "message": message, "level": "INFO"} | more).encode()


def messages(*lines: bytes) -> list[str]:
    return [json.loads(line)["message"] for line in join_lines(b"\n".join(lines)).splitlines()]


def test_a_stack_trace_goes_to_the_message_before_it_in_its_file():
    assert messages(
        record("it broke"),
        record("another file", "superset.log"),
        record("java.net.ConnectException", continues=1),
        record("\tat x.Y.z", continues=1),
        record("goes on"),
    ) == ["it broke\njava.net.ConnectException\n\tat x.Y.z", "another file", "goes on"]


def test_marks_do_not_stay_and_a_line_that_belongs_to_none_stands_alone():
    (line,) = join_lines(record("at the beginning", continues=1)).splitlines()
    assert json.loads(line) == {"meta": {"file": "trino.log"}, "message": "at the beginning", "level": "INFO"}


def test_what_is_left_out_takes_its_lines_with_it():
    left_out = json.dumps({"meta": {"file": "trino.log"}, "left_out": 1}).encode()
    lines = (record("before"), left_out, record("its trace", continues=1), record("theirs", "b.log", continues=1), record("after"))
    assert messages(*lines) == ["before", "theirs", "after"]


@pytest.mark.fault(8)
def test_a_broken_line_stays_for_the_loader_to_refuse():
    for broken in (b"not json", b'{"message": "\xff"}', b"[1]", b"5", b'{"meta": "text"}', b'{"meta": {}}'):
        assert join_lines(record("a") + b"\n" + broken + b"\n\n").splitlines()[1] == broken


def test_a_message_does_not_grow_past_what_the_loader_takes():
    joined = messages(record("first"), *(record("x" * 9_000, continues=1) for _ in range(10)))
    assert len(joined) > 1
    assert max(map(len, joined)) < 32_768
    assert sum(map(len, joined)) > 90_000


class Store:
    """What `take_spool` needs of a bucket."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_once(self, key: str, body: bytes, _: str) -> bool:
        self.objects[key] = body
        return True


def spooled(folder: Path, name: str, body: bytes, *, age: float = 1000) -> Path:
    path = folder / name
    path.write_bytes(body)
    moment = path.stat().st_mtime - age
    os.utime(path, (moment, moment))
    return path


@pytest.mark.fault(9)
def test_quiet_files_are_put_and_then_removed_and_the_same_content_has_the_same_name(tmp_path):
    store = Store()
    growing = spooled(tmp_path, "services-20261122T1001.jsonl.open", record("b"), age=60)
    spooled(tmp_path, "services-20261122T1000.jsonl.open", record("a"))
    assert take_spool(tmp_path, store, "landing/logs/") == 1
    assert list(tmp_path.iterdir()) == [growing]
    (name,) = store.objects
    assert name.startswith("landing/logs/services-20261122T1000-")
    assert name.endswith(".jsonl")
    spooled(tmp_path, "services-20261122T1000.jsonl.open", record("a"))  # as after a kill between put and removal
    assert take_spool(tmp_path, store, "landing/logs/") == 1
    assert list(store.objects) == [name]


@pytest.mark.fault(23)
def test_secrets_do_not_reach_the_store(tmp_path):
    store = Store()
    spooled(tmp_path, "services-20261122T1000.jsonl.open", record("login with password=hunter2"))
    take_spool(tmp_path, store, "landing/")
    (body,) = store.objects.values()
    assert b"password=***" in body
    assert b"hunter2" not in body


def test_a_file_stays_when_it_could_not_be_put(tmp_path):
    class Broken(Store):
        def put_once(self, *_: object) -> bool:
            raise ConnectionError("the store is down")

    path = spooled(tmp_path, "services-20261122T1000.jsonl.open", record("a"))
    with pytest.raises(ConnectionError):
        take_spool(tmp_path, Broken(), "landing/")
    assert path.exists()


def test_nothing_happens_without_a_folder_and_a_file_without_messages_makes_no_object(tmp_path):
    store = Store()
    assert take_spool(tmp_path / "none", store, "landing/") == 0
    spooled(tmp_path, "services-20261122T1000.jsonl.open", json.dumps({"meta": {"file": "a"}, "left_out": 1}).encode())
    assert take_spool(tmp_path, store, "landing/") == 1
    assert not store.objects
