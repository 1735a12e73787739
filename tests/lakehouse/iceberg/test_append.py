from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType

from lakehouse.exceptions import SchemaMismatchError, TransientError
from lakehouse.iceberg.append import LOADED_FILES, Input, append_once
from lakehouse.iceberg.schema import to_table_types
from lakehouse.ops.tables import ensure_ops_tables

TABLE = "db.things"


@pytest.fixture
def catalog(catalog: SqlCatalog) -> SqlCatalog:
    """The catalog with an empty table and the ledger."""
    ensure_ops_tables(catalog)
    catalog.create_namespace("db")
    fields = [NestedField(1, "key", StringType(), required=True), NestedField(2, "number", LongType())]
    catalog.create_table(TABLE, schema=Schema(*fields), properties={"commit.retry.num-retries": "20"})
    return catalog


def entry(name: str, *numbers: int) -> Input:
    checksum = sha256(name.encode()).hexdigest()
    return Input(checksum, name, pa.table({"key": [checksum] * len(numbers), "number": pa.array(numbers, pa.int64())}))


def numbers(catalog: SqlCatalog) -> list[int]:
    return sorted(catalog.load_table(TABLE).scan().to_arrow()["number"].to_pylist())


def ledger(catalog: SqlCatalog) -> list[str]:
    return sorted(catalog.load_table(LOADED_FILES).scan().to_arrow()["name"].to_pylist())


class Fault:
    """The catalog's commit to one table, with one thing going wrong; afterwards all is well."""

    def __init__(self, catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch, error: BaseException, *, applied: bool, table: str = TABLE):
        self.commits = 0
        commit = catalog.commit_table

        def faulty(target, requirements, updates):
            if ".".join(target.name()) != table:
                return commit(target, requirements, updates)
            self.commits += 1
            if self.commits == 1:
                if applied:
                    commit(target, requirements, updates)
                raise error
            return commit(target, requirements, updates)

        monkeypatch.setattr(catalog, "commit_table", faulty)


@pytest.fixture(params=[None, "key"], ids=["by summary and ledger", "by key column"])
def key_column(request) -> str | None:
    return request.param


def test_inputs_go_in_with_one_commit_and_are_noted(catalog):
    result = append_once(catalog, TABLE, [entry("a", 1, 2), entry("b", 3)])
    table = catalog.load_table(TABLE)
    assert len(table.snapshots()) == 1
    assert (set(result.loaded), result.already_there, result.rows) == ({entry("a").checksum, entry("b").checksum}, (), 3)
    assert result.snapshot_id == table.current_snapshot().snapshot_id
    assert numbers(catalog) == [1, 2, 3]
    assert ledger(catalog) == ["a", "b"]


@pytest.mark.fault(9)
def test_a_replay_adds_only_what_is_new(catalog, key_column):
    append_once(catalog, TABLE, [entry("a", 1, 2)], key_column=key_column)
    result = append_once(catalog, TABLE, [entry("a", 1, 2), entry("b", 3)], key_column=key_column)
    assert (result.loaded, result.already_there, result.rows) == ((entry("b").checksum,), (entry("a").checksum,), 1)
    again = append_once(catalog, TABLE, [entry("a", 1, 2), entry("b", 3)], key_column=key_column)
    assert (again.loaded, again.rows, again.snapshot_id) == ((), 0, None)
    assert numbers(catalog) == [1, 2, 3]
    assert len(catalog.load_table(TABLE).snapshots()) == 2


def test_a_checksum_given_twice_in_one_call_counts_once(catalog, key_column):
    result = append_once(catalog, TABLE, [entry("a", 1), entry("a", 1)], key_column=key_column)
    assert result.rows == 1
    assert numbers(catalog) == [1]


@pytest.mark.fault(1)
def test_two_writers_of_the_same_input_add_it_once(catalog, key_column, waits):
    def rival() -> None:
        if not numbers(catalog):
            append_once(catalog, TABLE, [entry("a", 1, 2)], key_column=key_column)

    result = append_once(catalog, TABLE, [entry("a", 1, 2), entry("b", 3)], key_column=key_column, before_commit=rival)
    assert (result.loaded, result.already_there) == ((entry("b").checksum,), (entry("a").checksum,))
    assert numbers(catalog) == [1, 2, 3]


@pytest.mark.fault(3)
def test_two_writers_of_different_inputs_both_get_theirs_in(catalog, key_column, waits):
    rivals = iter("bcd")

    def rival() -> None:
        if name := next(rivals, None):
            append_once(catalog, TABLE, [entry(name, ord(name))], key_column=key_column)

    result = append_once(catalog, TABLE, [entry("a", 1)], key_column=key_column, before_commit=rival)
    assert result.loaded == (entry("a").checksum,)
    assert numbers(catalog) == [1, *map(ord, "bcd")]
    assert len(waits) == 3


@pytest.mark.fault(3)
def test_an_append_that_never_wins_gives_up_and_has_added_nothing(catalog, waits):
    turns = iter(range(1000))

    def rival() -> None:
        turn = next(turns)
        catalog.load_table(TABLE).append(to_table_types(entry(f"rival {turn}", turn).rows, catalog.load_table(TABLE)))

    with pytest.raises(TransientError, match=r"no commit to db.things went through in \d+ tries") as caught:
        append_once(catalog, TABLE, [entry("a", -1)], before_commit=rival, ledger=None)
    assert isinstance(caught.value.__cause__, CommitFailedException)
    assert -1 not in numbers(catalog)
    assert sum(waits) < 90


@pytest.mark.fault(1)
@pytest.mark.parametrize(
    "error",
    [
        pytest.param(OSError("connection reset"), id="the connection is lost"),
        pytest.param(CommitStateUnknownException("502"), id="the catalog answers 502"),
        pytest.param(ValueError("the answer is no JSON"), id="the answer cannot be read"),
    ],
)
def test_a_commit_that_was_applied_and_whose_reply_was_lost_counts_once(catalog, key_column, monkeypatch, waits, error):
    fault = Fault(catalog, monkeypatch, error, applied=True)
    result = append_once(catalog, TABLE, [entry("a", 1, 2)], key_column=key_column)
    assert fault.commits == 1
    assert numbers(catalog) == [1, 2]
    assert (*result.loaded, *result.already_there) == (entry("a").checksum,)
    assert ledger(catalog) == ([] if key_column else ["a"])


@pytest.mark.fault(2)
@pytest.mark.parametrize("error", [OSError("connection reset"), CommitStateUnknownException("500"), CommitFailedException("conflict")])
def test_a_commit_that_was_not_applied_is_made_again(catalog, key_column, monkeypatch, waits, error):
    fault = Fault(catalog, monkeypatch, error, applied=False)
    assert append_once(catalog, TABLE, [entry("a", 1, 2)], key_column=key_column).rows == 2
    assert fault.commits == 2
    assert numbers(catalog) == [1, 2]


def test_a_programming_error_is_raised_at_once(catalog, key_column, monkeypatch, waits):
    fault = Fault(catalog, monkeypatch, TypeError("no such argument"), applied=False)
    with pytest.raises(TypeError, match="no such argument"):
        append_once(catalog, TABLE, [entry("a", 1)], key_column=key_column)
    assert fault.commits == 1
    assert numbers(catalog) == []


@pytest.mark.fault(2)
def test_a_catalog_that_is_away_while_we_look_is_waited_for(catalog, monkeypatch, waits):
    load, answers = catalog.load_table, iter([OSError("connection refused")])

    def flaky(name):
        if error := next(answers, None):
            raise error
        return load(name)

    monkeypatch.setattr(catalog, "load_table", flaky)
    assert append_once(catalog, TABLE, [entry("a", 1)]).rows == 1


@pytest.mark.fault(9)
def test_a_kill_between_append_and_ledger_note_is_repaired_by_the_replay(catalog, monkeypatch):
    class Killed(BaseException):
        """SIGKILL, as far as one process can play it."""

    with monkeypatch.context() as patch:
        Fault(catalog, patch, Killed(), applied=False, table=LOADED_FILES)
        with pytest.raises(Killed):
            append_once(catalog, TABLE, [entry("a", 1), entry("b", 2)])
    assert (numbers(catalog), ledger(catalog)) == ([1, 2], [])
    result = append_once(catalog, TABLE, [entry("a", 1)])
    assert result.already_there == (entry("a").checksum,)
    assert (numbers(catalog), ledger(catalog)) == ([1, 2], ["a"])
    append_once(catalog, TABLE, [entry("a", 1), entry("b", 2)])
    assert (numbers(catalog), ledger(catalog)) == ([1, 2], ["a", "b"])


@pytest.mark.fault(9)
def test_a_replay_that_brings_new_inputs_notes_the_forgotten_ones_too(catalog, monkeypatch):
    class Killed(BaseException):
        """SIGKILL, as far as one process can play it."""

    with monkeypatch.context() as patch:
        Fault(catalog, patch, Killed(), applied=False, table=LOADED_FILES)
        with pytest.raises(Killed):
            append_once(catalog, TABLE, [entry("a", 1)])
    append_once(catalog, TABLE, [entry("a", 1), entry("b", 2)])
    assert (numbers(catalog), ledger(catalog)) == ([1, 2], ["a", "b"])


@pytest.mark.fault(12)
def test_a_snapshot_that_was_rolled_back_counts_for_nothing(catalog):
    append_once(catalog, TABLE, [entry("a", 1)], ledger=None)
    first = catalog.load_table(TABLE).current_snapshot().snapshot_id
    append_once(catalog, TABLE, [entry("b", 2)], ledger=None)
    catalog.load_table(TABLE).manage_snapshots().rollback_to_snapshot(first).commit()
    assert append_once(catalog, TABLE, [entry("b", 2)], ledger=None).rows == 1
    assert numbers(catalog) == [1, 2]


@pytest.mark.fault(12)
def test_what_was_rolled_back_is_loaded_again_although_the_ledger_has_it(catalog):
    append_once(catalog, TABLE, [entry("a", 1)])
    first = catalog.load_table(TABLE).current_snapshot().snapshot_id
    append_once(catalog, TABLE, [entry("b", 2)])
    catalog.load_table(TABLE).manage_snapshots().rollback_to_snapshot(first).commit()
    assert append_once(catalog, TABLE, [entry("b", 2)]).rows == 1
    assert append_once(catalog, TABLE, [entry("b", 2)]).rows == 0
    assert numbers(catalog) == [1, 2]


@pytest.mark.fault(12)
def test_a_table_that_was_made_anew_is_loaded_again(catalog):
    append_once(catalog, TABLE, [entry("a", 1)])
    old = catalog.load_table(TABLE)
    catalog.drop_table(TABLE)
    catalog.create_table(TABLE, schema=old.schema())
    assert append_once(catalog, TABLE, [entry("a", 1)]).rows == 1
    assert append_once(catalog, TABLE, [entry("a", 1)]).rows == 0
    assert numbers(catalog) == [1]


@pytest.mark.fault(12)
def test_the_ledger_remembers_what_expired_snapshots_have_forgotten(catalog):
    append_once(catalog, TABLE, [entry("a", 1)])
    append_once(catalog, TABLE, [entry("b", 2)])
    catalog.load_table(TABLE).maintenance.expire_snapshots().older_than(datetime.now(UTC) + timedelta(days=1)).commit()
    assert len(catalog.load_table(TABLE).snapshots()) == 1
    assert append_once(catalog, TABLE, [entry("a", 1)]).already_there == (entry("a").checksum,)
    assert numbers(catalog) == [1, 2]


def test_an_input_without_rows_is_remembered_too(catalog):
    empty = Input(entry("empty").checksum, "empty", pa.table({}))
    assert append_once(catalog, TABLE, [empty]).loaded == (empty.checksum,)
    assert append_once(catalog, TABLE, [empty]).already_there == (empty.checksum,)


def test_nothing_to_append_is_no_commit(catalog, key_column):
    assert append_once(catalog, TABLE, [], key_column=key_column).snapshot_id is None
    assert catalog.load_table(TABLE).current_snapshot() is None


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param({"key": ["a"], "colour": ["red"]}, id="a column that the table lacks"),
        pytest.param({"key": ["a"], "number": ["many"]}, id="text in a column of numbers"),
        pytest.param({"key": ["a"], "number": [2.5]}, id="a fraction in a column of whole numbers"),
        pytest.param({"key": [None], "number": [1]}, id="no value in a required column"),
        pytest.param({"number": [1]}, id="no required column"),
    ],
)
def test_rows_that_do_not_fit_the_table_are_a_schema_mismatch(catalog, waits, rows):
    with pytest.raises(SchemaMismatchError, match=r"db\.things"):
        append_once(catalog, TABLE, [Input("c" * 64, "odd", pa.table(rows))])
    assert numbers(catalog) == []
