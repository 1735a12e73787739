from __future__ import annotations

import pytest
import yaml

from lakehouse.dashboards.superset.yaml_tree import Node, read_tree


def shown(text: str) -> list[tuple[str, str]]:
    root = read_tree(text)
    assert isinstance(root, Node)
    return [(node.kind, text[node.start : node.end]) for node in root.walk()]


def test_each_value_knows_where_it_stands():
    text = "a: &x\n- 'one'  # note\n- {b: 2}\nc: *x\nd: |\n  text\n\ne:\n"
    assert shown(text)[2:] == [
        ("sequence", "&x\n- 'one'  # note\n- {b: 2}"),
        ("scalar", "'one'"),
        ("mapping", "{b: 2}"),
        ("scalar", "b"),
        ("scalar", "2"),
        ("scalar", "c"),
        ("alias", "*x"),
        ("scalar", "d"),
        ("scalar", "|\n  text"),
        ("scalar", "e"),
        ("scalar", ""),
    ]


def test_values_are_those_that_a_loader_reads():
    text = "a: &x {n: 1, t: yes, s: '1', f: 1.5, d: 2024-01-01, z: ~}\nb: {<<: *x, n: 2}\nc: [*x, !!str 5]\n"
    root = read_tree(text)
    assert root is not None
    assert root.value == yaml.safe_load(text)


def test_a_block_is_as_far_in_as_its_entries():
    root = read_tree("a:\n  - b: 1\n    c: 2\n")
    assert root is not None
    ((_, listed),) = root.pairs
    assert (listed.column, listed.items[0].column) == (2, 4)


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_text_has_no_tree(text: str):
    assert read_tree(text) is None


@pytest.mark.parametrize("text", ["a: [", "a: 1\n---\nb: 2\n", "a: 1\na: 2\n", "? [a]\n: 1\n", "a: &a [*a]\n", "a: *b\n"])
def test_what_has_no_one_meaning_is_an_error(text: str):
    with pytest.raises(yaml.YAMLError):
        read_tree(text)
