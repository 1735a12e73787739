from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.opensearch.json_objects import MAX_CHARACTERS, MAX_DEPTH, MAX_KEYS, dump, open_object


def nested(levels: int, inner: object = 1) -> dict:
    made = inner
    for _ in range(levels):
        made = {"a": made}
    return made


def lists(levels: int) -> str:
    return '{"a": ' + "[" * levels + "1" + "]" * levels + "}"


def numbered(count: int) -> dict[str, int]:
    return {f"key{number}": number for number in range(count)}


OPENED = [
    pytest.param("{}", id="an empty object"),
    pytest.param('{"a": 1, "b": "x", "c": null, "d": true, "e": 0.5}', id="plain values"),
    pytest.param(json.dumps({"a": "x" * (MAX_CHARACTERS - 9)}), id="8,000 characters"),
    pytest.param(json.dumps(numbered(MAX_KEYS)), id="50 keys"),
    pytest.param(json.dumps({"a": numbered(MAX_KEYS - 1)}), id="50 keys on two levels"),
    pytest.param(json.dumps(nested(MAX_DEPTH)), id="5 levels"),
    pytest.param(json.dumps(nested(MAX_DEPTH, {})), id="5 levels, the last one empty"),
    pytest.param('{"a.b.c.d.e": 1}', id="5 levels by dots"),
    pytest.param(lists(MAX_DEPTH - 1), id="lists on 4 levels below a key"),
    pytest.param('{"a": [{"b": 1}, {"b": 2}]}', id="objects in a list"),
    pytest.param('{"a.b": 1, "a.c": 2, "ab": 3}', id="dots without a clash"),
    pytest.param('{" ": 1, "a b": {" ": 2}}', id="white space without a dot"),
    pytest.param('{"a": 18446744073709551615, "b": -9223372036854775808}', id="integers of 64 bits"),
    pytest.param('{"a": 123456789012345678901234567890}', id="an integer over 64 bits"),
    pytest.param('{"a": {"b": [-9223372036854775809]}}', id="an integer over 64 bits, deep"),
    pytest.param('{"a": "12345678901234567890", "b": 1e300, "c": 0.1}', id="digits in a text, and large floats"),
    pytest.param('{"a": "\\u0000\\n\\"\\\\ \\ud83d\\ude00"}', id="escapes"),
]
KEPT_AS_TEXT = [
    pytest.param("not JSON", id="not JSON"),
    pytest.param("", id="nothing"),
    pytest.param("[1, 2]", id="a list"),
    pytest.param('"text"', id="a text"),
    pytest.param("null", id="null"),
    pytest.param('{"a": NaN}', id="NaN"),
    pytest.param('{"a": -Infinity}', id="Infinity"),
    pytest.param('{"a": 1e400}', id="a float that is infinite"),
    pytest.param('{"a": "\\ud800"}', id="a lone surrogate in a value"),
    pytest.param('{"\\ud800": 12345678901234567890}', id="a lone surrogate in a key"),
    pytest.param('{"a": ' + "1" * 5_000 + "}", id="5,000 digits"),
    pytest.param(json.dumps({"a": "x" * (MAX_CHARACTERS - 8)}), id="8,001 characters"),
    pytest.param(json.dumps({"a": "x" * 40_000}), id="40 kB"),
    pytest.param(json.dumps(numbered(MAX_KEYS + 1)), id="51 keys"),
    pytest.param(json.dumps({"a": numbered(25), "b": numbered(24)}), id="51 keys on two levels"),
    pytest.param(json.dumps({"a": [numbered(25), numbered(25)]}), id="51 keys of objects in a list"),
    pytest.param(json.dumps(numbered(1_000)), id="1,000 keys"),
    pytest.param(json.dumps(nested(MAX_DEPTH + 1)), id="6 levels"),
    pytest.param('{"a.b.c.d.e.f": 1}', id="6 levels by dots"),
    pytest.param('{"a.b.c": {"d": {"e": {"f": 1}}}}', id="6 levels by dots and objects"),
    pytest.param(lists(MAX_DEPTH), id="lists on 5 levels below a key"),
    pytest.param(lists(50), id="nested 50 deep"),
    pytest.param(lists(3_000), id="nested 3,000 deep"),
    pytest.param('{"a": 1, "a.b": 2}', id="a value and a path below it"),
    pytest.param('{"a": {"b": {"c": 1}}, "a.b": 2}', id="a path and a value above it"),
    pytest.param('{"a": {"b": 1}, "a.b": 2}', id="one path twice"),
    pytest.param('{"a": {}, "a.b": 2}', id="an empty object and a path below it"),
    pytest.param('{"": 1}', id="an empty key"),
    pytest.param('{"a": {"": 1}}', id="an empty key, deep"),
    pytest.param('{"a": [{"": 1}]}', id="an empty key in a list"),
    pytest.param('{"a": [{"b": 1, "b.c": 2}]}', id="a clash in a list"),
    pytest.param('{"a..b": 1}', id="an empty part"),
    pytest.param('{".a": 1}', id="a dot in front"),
    pytest.param('{"a.": 1}', id="a dot at the end"),
    pytest.param('{".": 1}', id="a dot alone"),
    pytest.param('{"a. .b": 1}', id="a part of white space"),
    pytest.param('{"a.\\t": 1}', id="a tab after a dot"),
    pytest.param('{" .b": {"c": 1}}', id="white space before a dot"),
]


@pytest.mark.fault(8)
@pytest.mark.parametrize("text", OPENED)
def test_an_object_within_the_limits_is_opened_as_it_is(text):
    opened = open_object(text)
    assert opened == json.loads(text)
    assert json.loads(dump(opened)) == json.loads(text)


@pytest.mark.fault(8)
@pytest.mark.parametrize("text", KEPT_AS_TEXT)
def test_anything_else_stays_text(text):
    assert open_object(text) is None


def test_no_text_is_no_object():
    assert open_object(None) is None


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    ("text", "opened"),
    [
        ('{"user": "u", "more": {"user": {"x": 1}}}', True),
        ('{"user": ["a", "b"], "more": 1}', True),
        ('{"user": null}', True),
        ('{"user": {"id": 1}}', False),
        ('{"user": {}}', False),
        ('{"user.id": 1}', False),
        ('{"user": [{"id": 1}]}', False),
        ('{"user": [["a"]]}', False),
    ],
)
def test_a_field_with_a_plain_type_takes_plain_values_only(text, opened):
    assert (open_object(text, frozenset({"user"})) is not None) == opened


KEYS = st.text(alphabet="ab. \u00e9\u0000", max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=True) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def paths(value: object, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of the values as an index reads them."""
    if isinstance(value, dict) and value:
        return [path for key, below in value.items() for path in paths(below, (*above, *key.split(".")))]
    return [above]


@pytest.mark.fault(8)
@settings(max_examples=300)
@given(st.dictionaries(KEYS, VALUES, max_size=5).map(json.dumps) | VALUES.map(json.dumps) | st.text())
def test_whatever_is_opened_equals_what_was_written_and_an_index_can_read_it(text):
    opened = open_object(text)
    if opened is None:
        return
    assert opened == json.loads(text)
    assert orjson.loads(dump(opened)) is not None
    assert json.loads(dump(opened)) == opened
    found = paths(opened) if opened else []
    assert len(set(found)) == len(found)
    assert all(all(path) for path in found)
    assert not any(one != other and other[: len(one)] == one for one in found for other in found)


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 2**70}, '{"a":1180591620717411303424}'),
        ({"at": datetime(2026, 11, 20, 9, 30, 0, 5, UTC)}, '{"at":"2026-11-20T09:30:00.000005Z"}'),
        ({"a": float("nan"), "b": float("-inf")}, '{"a":null,"b":null}'),
        ({"a": Decimal("12345678901234567890.10"), "b": Decimal("NaN")}, '{"a":12345678901234567890.10,"b":"NaN"}'),
        ({"raw": b"\xff"}, '{"raw":"/w=="}'),
        ({1: "x"}, '{"1":"x"}'),
        ('quote " and \n line', '"quote \\" and \\n line"'),
    ],
)
def test_values_become_json_on_one_line(value, text):
    assert dump(value) == text
