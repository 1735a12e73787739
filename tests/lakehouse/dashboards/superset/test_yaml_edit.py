from __future__ import annotations

import json
import random
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakehouse.dashboards.superset.yaml_dump import dump
from lakehouse.dashboards.superset.yaml_edit import edit, same

TEXT = """\
# Chart of the volume.
slice_name: 'Volume: all'   # shown on the board
description: A text that someone has
  written over two lines.
params:
  metrics: &m
  - volume   # the first
  - "price"
  # a note between
  - ticks
  limits: {low: 1, high: 10}
  wide: [1, 2,
    3]
  empty:
query:
    metrics: *m
sql: |
  SELECT 1

  FROM t
rules:
  - name: a
    hot: true
  - hot: false
    name: b

last: 1.0.0
"""


def changed(text: str, *place: Any, to: Any) -> tuple[list[str], list[str]]:
    """Lines that go and lines that come when one value is set (None: removed)."""
    wanted = json.loads(json.dumps(yaml.safe_load(text)))  # what aliases share is no longer shared
    at = wanted
    for step in place[:-1]:
        at = at[step]
    if to is None:
        del at[place[-1]]
    elif isinstance(at, list) and place[-1] == len(at):
        at.append(to)
    else:
        at[place[-1]] = to
    result = edit(text, wanted)
    assert same(yaml.safe_load(result), wanted)
    old, new = text.split("\n"), result.split("\n")
    return [line for line in old if old.count(line) > new.count(line)], [line for line in new if new.count(line) > old.count(line)]


def test_a_text_that_says_it_already_is_left_as_it_is():
    assert edit(TEXT, yaml.safe_load(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("place", "to", "gone", "come"),
    [
        pytest.param(
            ("slice_name",),
            "Volume",
            ["slice_name: 'Volume: all'   # shown on the board"],
            ["slice_name: 'Volume'   # shown on the board"],
            id="a text, in its quotes, with its comment",
        ),
        pytest.param(
            ("slice_name",),
            "a\nb\n",
            ["slice_name: 'Volume: all'   # shown on the board"],
            ["slice_name: |  # shown on the board", "  a", "  b"],
            id="a text that gets a second line",
        ),
        pytest.param(
            ("description",),
            "Short",
            ["description: A text that someone has", "  written over two lines."],
            ["description: Short"],
            id="a text over two lines",
        ),
        pytest.param(("sql",), "SELECT 1\n\nFROM u\n", ["  FROM t"], ["  FROM u"], id="one line of a long text"),
        pytest.param(
            ("params", "limits", "high"), 20, ["  limits: {low: 1, high: 10}"], ["  limits: {low: 1, high: 20}"], id="a value within braces"
        ),
        pytest.param(("params", "empty"), [{"a": 1}], [], ["    - a: 1"], id="a value where there was none"),
        pytest.param(("rules", 1, "name"), "c", ["    name: b"], ["    name: c"], id="a value in an entry of a list"),
        pytest.param(("rules", 2), {"name": "c"}, [], ["  - name: c"], id="a new entry at the end of a list"),
        pytest.param(("rules", 0), None, ["  - name: a", "    hot: true"], [], id="an entry less"),
        pytest.param(("rules", 1, "hot"), None, ["  - hot: false", "    name: b"], ["  - name: b"], id="the key beside a dash"),
        pytest.param(("params", "wide"), None, ["  wide: [1, 2,", "    3]"], [], id="a key less"),
        pytest.param(("query", "new"), "x", [], ["    new: x"], id="a new key, as far in as its neighbours"),
        pytest.param(("last",), "1.0.1", ["last: 1.0.0"], ["last: 1.0.1"], id="the last line"),
    ],
)
def test_only_the_lines_that_say_something_else_change(place: tuple[Any, ...], to: Any, gone: list[str], come: list[str]):
    assert changed(TEXT, *place, to=to) == (gone, come)


def test_an_alias_is_written_out_when_only_one_of_the_two_changes():
    gone, come = changed(TEXT, "params", "metrics", 3, to="new")
    assert gone == ["    metrics: *m"]
    assert "  - new" in come
    wanted = yaml.safe_load(TEXT)
    wanted["params"]["metrics"].append("new")  # one list in two places
    result = edit(TEXT, wanted)
    assert same(yaml.safe_load(result), wanted)
    assert set(result.split("\n")) - set(TEXT.split("\n")) == {"  - new"}


def test_an_anchor_that_goes_leaves_its_aliases_the_value():
    text = "a: &x [1]\nb: *x\nc: 3  # note\n"
    assert edit(text, {"b": [1], "c": 3}) == "b:\n- 1\nc: 3  # note\n"
    assert edit(text, {"a": {"k": 1}, "b": [1], "c": 3}) == "a:\n  k: 1\nb:\n- 1\nc: 3  # note\n"
    # The same for both, but the anchor is not kept.
    assert edit(text, {"a": {"k": 1}, "b": {"k": 1}, "c": 3}) == "a:\n  k: 1\nb:\n  k: 1\nc: 3  # note\n"
    assert edit("a: &x 1\nb: *x\n", {"a": 2, "b": 1}) == "a: &x 2\nb: 1\n"


def test_windows_line_ends_and_a_missing_last_one_stay():
    assert edit("a: 1\r\nb: 2\r\n", {"a": 1, "b": 3}) == "a: 1\r\nb: 3\r\n"
    assert edit("a: 1\nb: 2", {"a": 1, "b": 3}) == "a: 1\nb: 3"
    assert edit("a: 1\nb: 2", {"a": 1}) == "a: 1"
    assert edit("a: 1\nb: 2", {"a": 1, "b": 2, "c": 3}) == "a: 1\nb: 2\nc: 3"


@pytest.mark.parametrize(
    ("text", "wanted", "new"),
    [
        pytest.param("a:\n- b: 1\n  c: 2\n", {"a": [{"b": 1}, None]}, "a:\n- b: 1\n- null\n", id="an entry comes where a key goes"),
        pytest.param("a:\n- 1  # note\nb: 2\n", {"a": "x\ny\n", "b": 2}, "a: |  # note\n  x\n  y\nb: 2\n", id="a note would become text"),
        pytest.param("a: {}\nb: 1\nc: 2\n", {"c": 2}, "c: 2\n", id="the first two keys go"),
        pytest.param("a:  # note\n- 1\n", {"a": "\n"}, 'a: "\\n"  # note\n', id="a text that is an empty line"),
        pytest.param("a: 1\n", {"a": "x\x85y"}, 'a: "x\\Ny"\n', id="a line end of another kind"),
    ],
)
def test_what_hypothesis_found_once(text: str, wanted: dict[str, Any], new: str):
    assert edit(text, wanted) == new


def test_true_is_not_one_and_text_is_no_number():
    assert edit("a: 1\n", {"a": True}) == "a: true\n"
    assert edit("a: 1\n", {"a": "1"}) == "a: '1'\n"
    assert edit("a: 1\n", {"a": 1.0}) == "a: 1\n"


def test_merge_keys_and_explicit_keys_end_in_the_right_values():
    for text in ("a: &x {b: 1}\nc:\n  <<: *x\n  d: 2\n", "? a\n: 1\nc: 2\n", "!!map\na: 1\n", "--- # head\na: 1\n...\n"):
        wanted = yaml.safe_load(text) | {"c": {"b": 5}}
        assert same(yaml.safe_load(edit(text, wanted)), wanted)


def test_what_is_not_yaml_is_an_error():
    for text in ("a: [", "a: 1\n---\nb: 2\n", "a: 1\na: 2\n", "a: &a [*a]\n"):
        with pytest.raises(yaml.YAMLError):
            edit(text, {"a": 3})


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.sampled_from(["", "a", "b: c", "- d", "#e", "it's", 'say "x"', "1.0", "yes", "null", "2024-01-01", "*x", "&y", "${A}", "$$"]),
    st.sampled_from(
        ["SELECT 1\nFROM t\n", "a\n\n  b\n", "x\n", "\n", "a\n\n", "  a\nb", "tab\there", "end ", "é😀", "a\r\nb", "|", ">", "\x85"]
    ),
)
KEYS = st.sampled_from(["a", "b", "c", "column_name", "metrics", "id", "key with spaces", "true", "1", "x:y", "é"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=6)


def written(value: dict[str, Any], seed: int) -> str:
    """The document as someone might have written it: any quotes, braces or blocks, any indentation, comments and empty lines."""
    rng = random.Random(seed)  # noqa: S311  # a guess does no harm

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return not isinstance(data, list | dict) or rng.random() < 0.5

        def increase_indent(self, *places: bool, **options: bool) -> Any:
            flow, indentless = [*places, *options.values(), False, False][:2]
            return super().increase_indent(flow, indentless and seed % 2 == 0)

        def represent_scalar(self, tag: str, value: str, *_: str | None, **__: Any) -> yaml.ScalarNode:
            styles = (None, None, "'", '"', "|", ">") if tag.endswith(":str") else (None,)
            return super().represent_scalar(tag, value, rng.choice(styles))

        def represent_mapping(self, tag: str, mapping: Any, *_: Any, **__: Any) -> yaml.MappingNode:
            return super().represent_mapping(tag, mapping, rng.random() < 0.2)

        def represent_sequence(self, tag: str, sequence: Any, *_: Any, **__: Any) -> yaml.SequenceNode:
            return super().represent_sequence(tag, sequence, rng.random() < 0.3)

    text = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=rng.choice([30, 80, 1000]), indent=rng.choice([2, 4]))
    lines = []
    for line in text.split("\n"):
        with_note = f"{line}  # note" if rng.random() < 0.1 and line and not line.lstrip().startswith("#") else line
        spaced = [*lines, with_note, *([""] if rng.random() < 0.05 else []), *(["# a line of its own"] if rng.random() < 0.05 else [])]
        try:  # a comment in the midst of a text is text
            rest = text.split("\n")[text.split("\n").index(line) + 1 :] if text.count(line) == 1 else None
            whole = yaml.safe_load("\n".join([*spaced, *rest])) if rest is not None else None
        except yaml.YAMLError:
            whole = None
        lines = spaced if whole is not None and same(whole, value) else [*lines, line]
    return "\n".join(lines)


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, DOCUMENTS, st.integers(0, 10_000))
@example({"a": [{"a": None}]}, {"a": [{"a": [1]}]}, 0)
def test_any_text_edited_to_any_values_says_exactly_these(before: dict[str, Any], after: dict[str, Any], seed: int):
    text = written(before, seed)
    said = yaml.safe_load(text)
    assert edit(text, said) == text
    assert same(yaml.safe_load(edit(text, after)), after)


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, st.integers(0, 10_000), st.data())
def test_one_change_leaves_the_text_of_every_other_key_as_it_was(before: dict[str, Any], seed: int, data: st.DataObject):
    text = written(before, seed)
    after = yaml.safe_load(text)
    key = data.draw(st.sampled_from(sorted(after)))
    after[key] = data.draw(VALUES)
    result = edit(text, after)
    assert same(yaml.safe_load(result), after)
    if "*" in text:  # an alias elsewhere may have to be written out
        return
    ours, theirs = _blocks(text), _blocks(result)
    for other in after.keys() - {key}:
        assert theirs[other] == ours[other]


def _blocks(text: str) -> dict[Any, str]:
    """The text of each key of a document."""
    node = yaml.compose(text, yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    constructor = yaml.SafeLoader("")
    return {
        constructor.construct_object(key, deep=True): text[key.start_mark.index : value.end_mark.index].rstrip()
        for key, value in node.value
    }


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_a_value_dumped_reads_back(value: Any):
    for indented in (False, True):
        assert same(yaml.safe_load(dump({"k": [value, {"a": value}]}, indented=indented)), {"k": [value, {"a": value}]})
