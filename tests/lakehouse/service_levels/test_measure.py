from __future__ import annotations

import json
import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import trino
import yaml

from lakehouse.contracts import load
from lakehouse.exceptions import ConfigurationError
from lakehouse.opensearch.client import OpenSearchClient
from lakehouse.service_levels.levels import ServiceLevel, Services, read_levels
from lakehouse.service_levels.machine import proportional_memory
from lakehouse.service_levels.measure import KINDS, levels_of, measure

REPO = Path(__file__).resolve().parents[3]
DISK = ServiceLevel("disk", "", "disk_free", 0.0, "GB", above=True)
QUERY = ServiceLevel("query", "", "trino_query", 10.0, "s", options={"query": "SELECT 1"})
SEARCH = ServiceLevel("search", "", "log_search", 1.0, "s")
MEMORY = ServiceLevel("memory", "", "stack_memory", 8.0, "GB")


@pytest.fixture
def services(serve):
    """A database that answers, a node that answers, and this process as the stack."""
    opensearch = OpenSearchClient("OpenSearch", serve(lambda *_: (200, {"Content-Type": "application/json"}, b"{}")))
    with closing(sqlite3.connect(":memory:")) as connection:
        yield Services(connection.cursor(), None, opensearch, os.getpid(), Path("/"))
    opensearch.session.close()


def write(folder: Path, *entries: object) -> Path:
    path = folder / "levels.yaml"
    path.write_text(yaml.safe_dump({"service_levels": list(entries)}))
    return path


@pytest.mark.parametrize(("above", "measured", "met"), [(False, 9.9, True), (False, 10.0, False), (True, 10.1, True), (True, 10.0, False)])
def test_a_level_is_met_on_its_own_side_of_the_target(above, measured, met):
    assert ServiceLevel("x", "", "disk_free", 10.0, "GB", above=above).met(measured) is met


def test_every_level_is_measured(services):
    results = measure([DISK, QUERY, SEARCH, MEMORY], services)
    assert [result.met for result in results] == [True] * 4
    assert all(result.measured is not None and result.measured >= 0 for result in results)
    assert results[3].measured > 0.01


@pytest.mark.fault(27)
def test_a_dead_trino_leaves_its_level_unmeasured_and_the_others_are_measured(services):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = trino.dbapi.connect(host="127.0.0.1", port=taken.getsockname()[1], user="x", max_attempts=1).cursor()
        query, disk = measure([QUERY, DISK], Services(dead, services.superset, services.opensearch))
    assert (query.measured, query.met) == (None, None)
    assert query.detail.startswith("not measured: ")
    assert disk.met is True


@pytest.mark.fault(27)
def test_a_query_that_trino_refuses_leaves_its_level_unmeasured_and_the_others_are_measured(serve, services):
    error = {"message": "no such table", "errorCode": 1, "errorName": "TABLE_NOT_FOUND", "errorType": "USER_ERROR"}
    body = json.dumps({"id": "1", "stats": {"state": "FAILED"}, "error": error}).encode()
    port = int(serve(lambda *_: (200, {"Content-Type": "application/json"}, body)).rpartition(":")[2])
    with closing(trino.dbapi.connect(host="127.0.0.1", port=port, user="x", max_attempts=1)) as connection:
        query, disk = measure([QUERY, DISK], Services(connection.cursor(), services.superset, services.opensearch))
        connection._http_session.close()
    assert (query.measured, query.met) == (None, None)
    assert "no such table" in query.detail
    assert disk.met is True


@pytest.mark.fault(22)
def test_a_dead_opensearch_leaves_its_level_unmeasured(services, waits):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = OpenSearchClient("OpenSearch", f"http://127.0.0.1:{taken.getsockname()[1]}")
        search, disk = measure([SEARCH, DISK], Services(services.cursor, services.superset, dead))
    assert (search.met, disk.met) == (None, True)
    assert "does not answer" in search.detail


def test_memory_of_a_stack_on_another_machine_is_not_measured(services):
    (memory,) = measure([MEMORY], Services(services.cursor, services.superset, services.opensearch))
    assert (memory.met, memory.detail) == (None, "not measured: the stack's process tree is not on this machine")


def test_shared_memory_is_counted_once_and_a_process_that_is_gone_is_an_error():
    own = int(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))) * 1024
    assert 0 < proportional_memory(os.getpid()) <= own * 1.5
    with pytest.raises(psutil.NoSuchProcess):  # so that the level is "not measured", and not "met by 0 GB"
        proportional_memory(2**22 + 1)


def test_the_projects_own_levels_are_read():
    names = [level.name for level in read_levels(REPO / "include" / "service_levels.yaml", KINDS)]
    assert len(names) == len(set(names)) > 0


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            {"name": "x", "description": "", "kind": "guess", "target": 1, "unit": "s"},
            "x: kind 'guess' is not one of board_fresh",
        ),
        ({"name": "x", "description": "", "kind": "disk_free", "target": 1, "unit": "s", "trget": 2}, "x: .*trget"),
        ({"name": "x"}, "x: .*missing"),
        ({"name": "x", "description": "", "kind": "disk_free", "target": 1, "unit": "s", "severity": "bad"}, "x: severity 'bad'"),
        ({"name": "x", "description": "", "kind": "disk_free", "target": 1, "unit": "s", "objective": 95}, "x: objective 95 is no share"),
    ],
    ids=["an unknown kind", "a misspelt key", "what is missing", "an unknown severity", "percent for a share"],
)
def test_a_wrong_entry_is_named(tmp_path, entry, words):
    with pytest.raises(ConfigurationError, match=words):
        read_levels(write(tmp_path, entry), KINDS)


def test_a_name_stands_in_the_file_once(tmp_path):
    entry = {"name": "x", "description": "", "kind": "disk_free", "target": 1, "unit": "GB"}
    with pytest.raises(ConfigurationError, match="x stands there twice"):
        read_levels(write(tmp_path, entry, entry), KINDS)


def test_a_level_whose_service_is_not_there_is_left_out(services):
    (disk,) = measure([ServiceLevel("page", "", "gallery_page", 3.0, "s", options={"table": "x.y"}), DISK], services)
    assert disk.name == "disk"


def test_contracts_promise_how_fresh_their_tables_are():
    levels = levels_of([load(REPO / "include" / "contracts" / f"{name}.odcs.yaml") for name in ("raw_logs", "image_metadata")])
    assert [(level.name, level.target, level.unit) for level in levels] == [("fresh logs_db.raw_logs", 24, "h")]


def test_what_was_not_measured_is_no_miss(services):
    (search,) = measure([SEARCH], Services(services.cursor, services.superset, OpenSearchClient("OpenSearch", "http://127.0.0.1:1")))
    assert "MISSED" not in search.as_line()
    assert search.as_line().startswith("search: not measured: ")
