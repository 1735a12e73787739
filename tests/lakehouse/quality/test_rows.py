from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakehouse.contracts import Check, Column, Contract, load
from lakehouse.quality.rows import RowRules

TICKS = Path(__file__).resolve().parents[3] / "include" / "contracts" / "collected_option_ticks.odcs.yaml"
SCHEMA = pa.schema([("symbol", pa.string()), ("bid", pa.float64()), ("ask", pa.float64()), ("size", pa.int64())])
COLUMNS = tuple(Column(field.name, "string", required=False, description="", classification=None) for field in SCHEMA)
PLAIN = Contract("db.quotes", "", COLUMNS, (), (), (), {}, (), 0.0, "", None, None, None)
CROSSED = "SELECT count(*) FROM {table} WHERE bid > ask"


def check(check_id: str = "rule", **changes: Any) -> Check:
    return dataclasses.replace(Check(check_id, "the rule in words", "error", "=", 0.0), **changes)


def rules(*checks: Check, required: tuple[str, ...] = (), known: dict[str, frozenset[str]] | None = None) -> RowRules:
    columns = tuple(dataclasses.replace(column, required=column.name in required) for column in PLAIN.columns)
    return RowRules(dataclasses.replace(PLAIN, columns=columns, checks=checks), known)


def quotes(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def of_column(metric: str, column: str, **arguments: Any) -> Check:
    return check(metric=metric, column=column, arguments=tuple(arguments.items()))


@pytest.mark.parametrize(
    ("rule", "column", "values", "broken"),
    [
        pytest.param(check(query="SELECT count(*) FROM {table} WHERE bid > 1"), "bid", [2.0, 1.0, None], [0], id="a query of its own"),
        pytest.param(
            check(query="SELECT count(*) FROM {table} WHERE bid < 0 OR bid IS NULL"), "bid", [1.0, -1.0, None], [1, 2], id="one of two"
        ),
        pytest.param(of_column("nullValues", "bid"), "bid", [0.0, None], [1], id="no value"),
        pytest.param(of_column("missingValues", "symbol"), "symbol", ["A", "", None], [1, 2], id="missing"),
        pytest.param(
            of_column("missingValues", "symbol", missingValues=["n/a", "it's"]),
            "symbol",
            ["", "n/a", "it's"],
            [1, 2],
            id="missing by a list",
        ),
        pytest.param(
            of_column("invalidValues", "symbol", validValues=["A", "O'N"]), "symbol", ["O'N", "B", None], [1], id="not on the list"
        ),
        pytest.param(of_column("invalidValues", "size", validValues=[1, 2]), "size", [1, 3, None], [1], id="not among the numbers"),
        pytest.param(of_column("invalidValues", "symbol", pattern="^[A-Z]+$"), "symbol", ["AB", "a", None], [1], id="another pattern"),
    ],
)
def test_a_row_that_breaks_a_rule_gets_the_rules_id_and_the_others_none(rule, column, values, broken):
    found = rules(rule).broken(quotes(*({column: value} for value in values)))
    assert found == ["rule" if number in broken else None for number in range(len(values))]


def test_a_column_that_must_have_a_value_is_looked_at_first():
    made = rules(check("crossed", query=CROSSED), required=("symbol", "size"), known={"symbol": frozenset({"A"})})
    assert made.broken(
        quotes(
            {"bid": 2, "ask": 1},
            {"symbol": "X", "bid": 2, "ask": 1},
            {"symbol": "X", "size": 1, "bid": 2, "ask": 1},
            {"symbol": "A", "size": 1, "bid": 2, "ask": 1},
            {"symbol": "A", "size": 1, "bid": 1, "ask": 2},
        )
    ) == ["missing_symbol", "missing_size", "unknown_symbol", "crossed", None]


def test_of_several_rules_the_contracts_first_one_counts():
    first, second = (
        check("first", query="SELECT count(*) FROM {table} WHERE bid > 1"),
        check("second", query="SELECT count(*) FROM {table} WHERE bid > 2"),
    )
    rows = quotes({"bid": 3}, {"bid": 2}, {"bid": 1})
    assert rules(first, second).broken(rows) == ["first", "first", None]
    assert rules(second, first).broken(rows) == ["second", "first", None]


def test_a_known_value_is_wanted_only_where_there_is_a_value():
    known = {"symbol": frozenset({"A", "B"})}
    assert rules(known=known).broken(quotes({"symbol": "A"}, {"symbol": "a"}, {"symbol": " A"}, {"symbol": ""}, {})) == [
        None,
        *["unknown_symbol"] * 3,
        None,
    ]


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(check(query=CROSSED, severity="warning"), id="a warning"),
        pytest.param(check(query=CROSSED, operator="<", threshold=100.0), id="some rows may break it"),
        pytest.param(check(query=CROSSED, operator="=", threshold=5.0), id="exactly five rows break it"),
        pytest.param(check(query=CROSSED, operator=">="), id="any number of rows may break it"),
        pytest.param(check(metric="rowCount", operator=">"), id="a number of rows"),
        pytest.param(check(metric="duplicateValues", column="symbol"), id="values twice"),
        pytest.param(check(query="SELECT count(*) - count(DISTINCT symbol) FROM {table} WHERE bid > ask"), id="a query about the whole"),
        pytest.param(check(query="SELECT count(*) FROM {table} WHERE bid > (SELECT max(ask) FROM {table})"), id="a query within a query"),
    ],
)
def test_a_rule_about_the_table_refuses_no_row(rule):
    assert rules(rule).broken(quotes({"bid": 2, "ask": 1, "symbol": "A"}, {"bid": 2, "ask": 1, "symbol": "A"})) == [None, None]


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_no_rows_have_no_verdicts(chunks):
    made = rules(check(query=CROSSED), required=("symbol",), known={"symbol": frozenset({"A"})})
    assert made.broken(pa.Table.from_batches([pa.RecordBatch.from_pylist([], schema=SCHEMA)] * chunks, SCHEMA)) == []


def test_a_contract_without_rules_refuses_nothing():
    assert rules().broken(quotes({}, {"bid": 2, "ask": 1})) == [None, None]


def test_verdicts_stay_in_the_order_of_the_rows_however_many_and_in_whatever_chunks():
    rows = 300_000
    bids = pa.array(range(rows), pa.float64())
    table = pa.table(
        {"symbol": pa.nulls(rows, pa.string()), "bid": bids, "ask": pa.nulls(rows, pa.float64()), "size": pa.nulls(rows, pa.int64())}
    )
    table = pa.concat_tables([table.slice(0, 7), table.slice(7, 150_000), table.slice(150_007)])
    found = rules(check(query="SELECT count(*) FROM {table} WHERE CAST(bid AS bigint) % 1000 = 7")).broken(table)
    assert [number for number, verdict in enumerate(found) if verdict] == list(range(7, rows, 1000))


def test_the_same_rules_are_used_for_batch_after_batch():
    made = rules(check(query=CROSSED))
    assert [made.broken(quotes({"bid": bid, "ask": 1})) for bid in (1, 2, 1)] == [[None], ["rule"], [None]]


PRICES = st.none() | st.floats(allow_nan=False, width=32) | st.sampled_from([0.0, -0.0, 1.0])
ROWS = st.lists(
    st.fixed_dictionaries(
        {"symbol": st.sampled_from([None, "", "A", "B"]), "bid": PRICES, "ask": PRICES, "size": st.none() | st.integers(-3, 3)}
    )
)


def model(row: dict[str, Any]) -> str | None:
    """The rules below in plain Python: a comparison with null is not true."""
    bid, ask, size = row["bid"], row["ask"], row["size"]
    if row["symbol"] is None:
        return "missing_symbol"
    if row["symbol"] not in ("A", ""):
        return "unknown_symbol"
    if bid is not None and ask is not None and bid > ask:
        return "crossed"
    if bid is None or (size is not None and size < 0):
        return "odd"
    return None


@settings(max_examples=80, deadline=None)
@given(rows=ROWS, cut=st.integers(0, 20))
@example(rows=[{"symbol": "A", "bid": float("inf"), "ask": float("-inf"), "size": None}], cut=0)
@example(rows=[{"symbol": "A", "bid": 0.0, "ask": -0.0, "size": 0}], cut=0)
def test_duckdb_and_plain_python_agree_on_every_row(rows, cut):
    made = rules(
        check("crossed", query=CROSSED),
        check("odd", query="SELECT count(*) FROM {table} WHERE bid IS NULL OR size < 0"),
        required=("symbol",),
        known={"symbol": frozenset({"A", ""})},
    )
    table = quotes(*rows)
    assert made.broken(pa.concat_tables([table.slice(0, cut), table.slice(cut)])) == [model(row) for row in rows]


# The contract of the feed.


def tick(**changes: Any) -> dict[str, Any]:
    moment = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
    return {"timestamp": moment, "symbol": "A", "bid_price": 1.0, "ask_price": 1.5, "ingest_time": moment, "source_file": "f"} | changes


@pytest.mark.fault(13)
@pytest.mark.fault(29)
@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        pytest.param(tick(), None, id="a good one"),
        pytest.param(tick(ask_price=1.0), None, id="bid and ask are one"),
        pytest.param(tick(ask_price=0.99), "bid_at_most_ask", id="ask below bid"),
        pytest.param(tick(bid_price=None), "bid_not_null", id="no bid"),
        pytest.param(tick(ask_price=None), "ask_not_null", id="no ask"),
        pytest.param(tick(symbol="XYZ99C1"), "unknown_symbol", id="an unknown symbol"),
        pytest.param(tick(symbol=None), "missing_symbol", id="no symbol"),
        pytest.param(tick(timestamp=None), "missing_timestamp", id="no time"),
        pytest.param(
            tick(timestamp=datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)), "time_plausible", id="the last century's end"
        ),
        pytest.param(tick(timestamp=datetime(2000, 1, 1, tzinfo=UTC)), None, id="this century's beginning"),
        pytest.param(tick(timestamp=datetime(2099, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)), None, id="this century's end"),
        pytest.param(tick(timestamp=datetime(2100, 1, 1, tzinfo=UTC)), "time_plausible", id="the next century's beginning"),
        pytest.param(tick(timestamp=datetime(1970, 1, 1, tzinfo=UTC)), "time_plausible", id="the epoch"),
        pytest.param(tick(timestamp=datetime(9999, 12, 31, tzinfo=UTC)), "time_plausible", id="the year 9999"),
    ],
)
def test_a_tick_is_held_against_its_contract(row, verdict):
    stamp, number, text = pa.timestamp("us", "UTC"), pa.float64(), pa.string()
    types = {"timestamp": stamp, "symbol": text, "bid_price": number, "ask_price": number, "ingest_time": stamp, "source_file": text}
    made = RowRules(load(TICKS), {"symbol": frozenset({"A"})})
    assert made.broken(pa.Table.from_pylist([tick(), row, tick()], schema=pa.schema(types))) == [None, verdict, None]


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the zone of this machine for one test."""

    def to(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield to
    monkeypatch.undo()
    time.tzset()


@pytest.mark.fault(13)
@pytest.mark.parametrize("name", ["Asia/Seoul", "America/New_York"])
def test_a_day_is_a_day_of_utc_wherever_the_worker_runs(zone, name):
    zone(name)
    contract = dataclasses.replace(
        PLAIN, columns=(), checks=(check(query="SELECT count(*) FROM {table} WHERE date(at) <> DATE '2026-11-20'"),)
    )
    moments = [datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 20, 23, 59, tzinfo=UTC)]
    assert RowRules(contract).broken(pa.table({"at": pa.array(moments, pa.timestamp("us", "UTC"))})) == [None, None]
