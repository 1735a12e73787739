from __future__ import annotations

import re

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from lakehouse.dashboards.superset.clause import checked, clause_of, series_of
from lakehouse.exceptions import ConfigurationError


def test_a_rule_of_underlyings_is_a_condition_on_their_series():
    clause = clause_of({"column": "symbol", "underlyings": ["SPY", "QQQ"]})
    assert clause == "REGEXP_LIKE(symbol, '^(QQQ|SPY)[0-9][0-9][CP][0-9]')"
    pattern = re.compile(re.search(r"'(.*)'", clause)[1])
    seen = [symbol for symbol in ("SPY25C400", "QQQ26P310", "SPYG25C400", "XSPY25C400", "SPY", "spy25c400") if pattern.match(symbol)]
    assert seen == ["SPY25C400", "QQQ26P310"]


@pytest.mark.fault(25)
@given(st.lists(st.text(alphabet="SPYQ'\";-%_|.*)( $\\", max_size=8), max_size=4), st.text(alphabet="symbol'\";- .", max_size=10))
def test_a_symbol_list_is_refused_or_is_one_call_on_one_column(underlyings, column):
    try:
        clause = series_of(column, underlyings)
    except ConfigurationError:
        return
    (parsed,) = sqlglot.parse(clause, read="trino")
    assert isinstance(parsed, exp.RegexpLike)
    assert [found.name for found in parsed.find_all(exp.Column)] == [column]
    assert all(re.fullmatch("[A-Z0-9]+", name) for name in underlyings)


@pytest.mark.fault(25)
@pytest.mark.parametrize("underlyings", [[], None, "SPY", ["SPY", "Q'"], ["SPY;"], ["SPY--"], [".*"], ["spy"], [7]])
def test_what_is_no_plain_name_is_refused(underlyings):
    with pytest.raises(ConfigurationError, match="underlyings"):
        series_of("symbol", underlyings)


@pytest.mark.parametrize(
    "clause", ["symbol = 'SPY25C400'", "symbol IN ('a', 'b;c')", "level <> 'INFO' AND event_time > now() - INTERVAL '1' DAY"]
)
def test_a_condition_is_left_as_it_is(clause):
    assert checked(clause) == clause


@pytest.mark.fault(25)
@pytest.mark.parametrize(
    "clause",
    [
        "1 = 1; DROP TABLE a",
        "1 = 1 -- all of it",
        "1 = 1 /* all of it */",
        "1 = 1) OR (1 = 1",
        "symbol = 'a",
        "symbol IN (SELECT symbol FROM b)",
        "EXISTS (SELECT 1)",
        "b.symbol = 'a'",
        "1 = 1 UNION SELECT 2",
        "{{ 1 }}",
        "symbol = ?",
        "",
    ],
)
def test_a_clause_that_is_more_than_a_condition_is_refused(clause):
    with pytest.raises(ConfigurationError, match="clause"):
        checked(clause)


@pytest.mark.parametrize("rule", [{}, {"clause": "a", "underlyings": ["SPY"]}])
def test_a_rule_has_one_condition(rule):
    with pytest.raises(ConfigurationError, match="either"):
        clause_of(rule)
