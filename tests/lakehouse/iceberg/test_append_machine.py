"""Appends under every interleaving of lost replies, kills, retries and rivals: each acknowledged input is there once, and no other."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from hashlib import sha256

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType

from lakehouse.iceberg import commits
from lakehouse.iceberg.append import Input, append_once
from lakehouse.ops.tables import ensure_ops_tables

TABLE = "db.things"
NAMES = st.sampled_from("abcdefgh")
INPUTS = st.lists(NAMES, min_size=1, max_size=3, unique=True)


class Killed(BaseException):
    """SIGKILL, as far as one process can play it."""


def make_input(name: str) -> Input:
    checksum = sha256(name.encode()).hexdigest()
    values = [ord(name), ord(name) + 1000]
    return Input(checksum, name, pa.table({"key": [checksum] * 2, "number": pa.array(values, pa.int64())}))


class Appends(RuleBasedStateMachine):
    """The oracle is the multiset of acknowledged rows; what was killed may be there or not, until its retry is acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="appends-")
        self.catalog = SqlCatalog("machine", uri=f"sqlite:///{self.folder}/catalog.db", warehouse=f"file://{self.folder}/warehouse")
        ensure_ops_tables(self.catalog)
        self.catalog.create_namespace("db")
        schema = Schema(NestedField(1, "key", StringType(), required=True), NestedField(2, "number", LongType()))
        self.catalog.create_table(TABLE, schema=schema)
        self.acknowledged: set[str] = set()
        self.in_doubt: set[str] = set()
        self.commit = self.catalog.commit_table

    def teardown(self) -> None:
        self.catalog.close()
        shutil.rmtree(self.folder)

    def append(self, names: list[str], before_commit: Callable[[], None] | None = None) -> None:
        append_once(self.catalog, TABLE, [make_input(name) for name in names], before_commit=before_commit)
        self.acknowledged |= set(names)
        self.in_doubt -= set(names)

    def on_next_commit(self, error: BaseException, *, applied: bool) -> None:
        """Let the next commit to the table go wrong, once."""

        def faulty(table, requirements, updates):
            if ".".join(table.name()) != TABLE:
                return self.commit(table, requirements, updates)
            self.catalog.commit_table = self.commit
            if applied:
                self.commit(table, requirements, updates)
            raise error

        self.catalog.commit_table = faulty

    @rule(names=INPUTS)
    def append_in_peace(self, names):
        self.append(names)

    @rule(names=INPUTS, error=st.sampled_from([OSError("reset"), CommitStateUnknownException("502"), ValueError("no JSON")]))
    def append_with_a_lost_reply(self, names, error):
        self.on_next_commit(error, applied=True)
        self.append(names)
        self.catalog.commit_table = self.commit

    @rule(names=INPUTS, error=st.sampled_from([OSError("reset"), CommitStateUnknownException("500"), CommitFailedException("moved")]))
    def append_with_a_lost_request(self, names, error):
        self.on_next_commit(error, applied=False)
        self.append(names)
        self.catalog.commit_table = self.commit

    @rule(names=INPUTS, applied=st.booleans())
    def append_and_be_killed(self, names, applied):
        self.on_next_commit(Killed(), applied=applied)
        try:
            self.append(names)
        except Killed:
            self.in_doubt |= set(names) - self.acknowledged
        self.catalog.commit_table = self.commit

    @rule()
    def retry_what_is_in_doubt(self):
        if self.in_doubt:
            self.append(sorted(self.in_doubt))

    @rule(names=INPUTS, rivals=INPUTS)
    def a_rival_commits_between_our_look_and_our_commit(self, names, rivals):
        turns = iter([rivals])

        def rival() -> None:
            if turn := next(turns, None):
                self.append(turn)

        self.append(names, before_commit=rival)

    @invariant()
    def every_acknowledged_row_is_there_once(self):
        found = Counter(self.catalog.load_table(TABLE).scan().to_arrow()["number"].to_pylist())
        wanted = Counter(value for name in self.acknowledged for value in make_input(name).rows["number"].to_pylist())
        doubtful = {value for name in self.in_doubt for value in make_input(name).rows["number"].to_pylist()}
        assert {value: count for value, count in found.items() if value not in doubtful} == dict(wanted)
        assert all(found[value] <= 1 for value in doubtful)


@pytest.mark.fault(1)
@pytest.mark.fault(2)
@pytest.mark.fault(3)
@pytest.mark.fault(11)
def test_every_interleaving_leaves_each_acknowledged_input_once(monkeypatch):
    monkeypatch.setattr(commits.time, "sleep", lambda _: None)
    Appends.TestCase.settings = settings(
        max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
    )
    Appends.TestCase().runTest()
