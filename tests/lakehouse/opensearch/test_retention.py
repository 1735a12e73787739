from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest

from lakehouse.exceptions import ConfigurationError, VerificationError
from lakehouse.opensearch.client import OpenSearchClient
from lakehouse.opensearch.retention import delete_old_indices
from lakehouse.opensearch.target import Target

TARGET = Target(prefix="logs-", event_time="at", template=Path("none"))
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
JSON = {"Content-Type": "application/json"}
OTHERS = {"logs-team-2026.01.01", "logs-2026.01.01-x", "logs-2026.01", "logs-", "old-logs-2026.01.01", "logs-x2026.01.01"}
OLD = {"logs-2026.01.01", "logs-2026.10.19", "logs-2026.10.20"}
KEPT = {"logs-2026.10.21", "logs-2026.10.22", "logs-2026.11.20", "logs-2026.11.21"}


class Indices:
    """A node that lists and deletes indices; those in `stuck` are answered 200 and stay, those in `vanishing` 404 and are gone."""

    def __init__(self) -> None:
        self.names = OLD | KEPT | OTHERS
        self.plugins = ["opensearch-security"]
        self.stuck: set[str] = set()
        self.vanishing: set[str] = set()
        self.deleted: list[str] = []
        self.epoch = datetime.now(UTC).timestamp()

    def answer(self, method: str, path: str, _: dict[str, str], __: bytes):
        name = unquote(path.partition("?")[0]).split("/")[1]
        if method == "DELETE":
            self.deleted.append(name)
            self.names -= {name} - self.stuck
            return 404 if name in self.vanishing else 200, JSON, b"{}"
        if path.startswith("/_cat/plugins"):
            return 200, JSON, json.dumps([{"component": plugin} for plugin in self.plugins]).encode()
        if path.startswith("/_cat/health"):
            return 200, JSON, json.dumps([{"epoch": str(int(self.epoch))}]).encode()
        matching = [one for one in self.names if re.fullmatch(re.escape(name).replace(r"\*", ".*"), one)]
        return 200, JSON, json.dumps({one: {"settings": {"index": {"uuid": one}}} for one in matching}).encode()


@pytest.fixture
def node() -> Indices:
    """A node with indices of many days and names."""
    return Indices()


@pytest.fixture
def client(node: Indices, serve, waits) -> Iterator[OpenSearchClient]:
    """A client of that node."""
    made = OpenSearchClient("OpenSearch", serve(node.answer))
    yield made
    made.session.close()


def delete(client: OpenSearchClient, **options) -> list[str]:
    return delete_old_indices(client, TARGET, **({"retention_days": 30, "max_indices": 3, "now": NOW} | options))


def test_days_that_are_wholly_older_than_the_retention_are_deleted_and_nothing_else(client, node):
    assert delete(client) == node.deleted == sorted(OLD)
    assert node.names == KEPT | OTHERS
    assert delete(client) == []


@pytest.mark.parametrize(
    ("now", "first_kept"),
    [
        pytest.param(datetime(2026, 11, 20, tzinfo=UTC), "logs-2026.10.21", id="at midnight"),
        pytest.param(datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC), "logs-2026.10.21", id="before midnight"),
        pytest.param(datetime(2026, 11, 21, tzinfo=UTC), "logs-2026.10.22", id="at the next midnight"),
    ],
)
def test_a_day_is_kept_to_its_end(client, node, now, first_kept):
    delete(client, now=now, max_indices=10)
    assert min(TARGET.daily(node.names)) == first_kept


def test_a_dry_run_says_what_it_would_delete(client, node):
    assert delete(client, dry_run=True) == sorted(OLD)
    assert node.deleted == []


@pytest.mark.parametrize("dry_run", [False, True], ids=["for real", "dry run"])
def test_more_than_may_be_deleted_at_once_deletes_nothing(client, node, dry_run):
    words = r"3 indices of logs-\* are before 2026-10-21 \(logs-2026\.01\.01 to logs-2026\.10\.20\), at most 2 .*clock.*`max_indices`"
    with pytest.raises(ConfigurationError, match=words):
        delete(client, max_indices=2, dry_run=dry_run)
    assert node.deleted == []


def test_a_wrong_clock_deletes_nothing(client, node):
    node.epoch += 3600
    with pytest.raises(ConfigurationError, match="set the clocks right"):
        delete(client, now=None)
    assert node.deleted == []


def test_where_ism_is_there_it_deletes(client, node):
    node.plugins.append("opensearch-index-management")
    assert (delete(client), node.deleted) == ([], [])


def test_an_index_that_is_still_there_is_an_error(client, node):
    node.stuck = {"logs-2026.10.19"}
    with pytest.raises(VerificationError, match=r"\['logs-2026\.10\.19'\] were deleted and are still there"):
        delete(client)
    assert node.names & OLD == node.stuck


def test_an_index_that_another_run_deleted_meanwhile_is_no_error(client, node):
    node.vanishing = {"logs-2026.10.19"}
    assert delete(client) == sorted(OLD)


def test_without_indices_there_is_nothing_to_do(client, node):
    node.names = set()
    assert (delete(client), node.deleted) == ([], [])
