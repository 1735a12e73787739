"""SQLite reads quoted identifiers, string literals and NULL by the same rule as Trino (SQL:2016), so it judges the quoting here."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakehouse import sql
from lakehouse.exceptions import ConfigurationError

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
ATTACK = """x"'; DROP TABLE y; -- /*"""


def one(statement: str) -> tuple[str, object]:
    """Name and value of a SELECT's only column; more than one statement is an error."""
    with closing(sqlite3.connect(":memory:")) as connection:
        cursor = connection.execute(statement)
        return cursor.description[0][0], cursor.fetchone()[0]


@pytest.mark.fault(25)
@given(TEXT.filter(bool))
@example(ATTACK)
@example('"')
@example('""')
def test_any_name_stays_one_identifier(name):
    assert one(f"SELECT 1 AS {sql.identifier(name)}") == (name, 1)


@pytest.mark.fault(25)
@given(TEXT)
@example(ATTACK)
@example("'")
@example("\\'")
def test_any_text_stays_one_literal(text):
    assert one(f"SELECT {sql.literal(text)} AS it") == ("it", text)


@given(st.one_of(st.none(), st.booleans(), st.integers(-(2**63) + 1, 2**63 - 1), st.floats(-1e15, 1e15, allow_subnormal=False)))
def test_a_plain_value_is_read_back_as_itself(value):
    # SQLite may miss a float's last bit when it reads one.
    assert one(f"SELECT {sql.literal(value)} AS it")[1] == (pytest.approx(value, rel=1e-14) if isinstance(value, float) else value)


@pytest.mark.fault(25)
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_without_a_literal_is_refused(number):
    with pytest.raises(ConfigurationError):
        sql.literal(number)


@pytest.mark.fault(25)
@pytest.mark.parametrize("name", ["", "a\x00b"])
def test_a_name_that_cannot_be_one_is_refused(name):
    with pytest.raises(ConfigurationError, match="cannot be a column or table name"):
        sql.identifier(name)


def test_a_value_with_a_nul_character_is_refused():
    with pytest.raises(ConfigurationError, match="NUL"):
        sql.literal("a\x00b")


@pytest.mark.parametrize(
    ("name", "quoted"),
    [("s.t", '"s"."t"'), ("hive_prod.s.t", '"hive_prod"."s"."t"'), ('s.t"; --', '"s"."t""; --"')],
)
def test_a_tables_name_is_quoted_part_by_part(name, quoted):
    assert sql.table(name) == quoted


def test_a_tables_name_with_an_empty_part_is_refused():
    with pytest.raises(ConfigurationError):
        sql.table("s..t")
