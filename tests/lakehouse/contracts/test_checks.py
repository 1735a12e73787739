"""Rules as the standard writes them, and our conventions within it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from open_data_contract_standard.model import SchemaObject

from lakehouse.contracts.checks import Check, read_checks
from lakehouse.exceptions import ConfigurationError

PATH = Path("t.odcs.yaml")


def custom(measure: str, engine: str = "lakehouse", **implementation: Any) -> dict[str, Any]:
    return {"type": "custom", "engine": engine, "implementation": {"measure": measure} | implementation}


def read(rule: dict[str, Any], *, column: str | None = None) -> Check:
    rules = [{"id": "r", "severity": "error"} | rule]
    table = {"quality": rules} if column is None else {"properties": [{"name": column, "quality": rules}]}
    (check,) = read_checks(PATH, SchemaObject.model_validate({"name": "t"} | table))
    return check


@pytest.mark.parametrize(
    ("rule", "wanted", "passing", "breaking"),
    [
        pytest.param({"metric": "rowCount", "mustBeBetween": [5, 10]}, "between 5 and 10", [5, 7, 10], [4.9, 10.1], id="between"),
        pytest.param({"metric": "rowCount", "mustNotBeBetween": [5, 10]}, "not between 5 and 10", [4, 11], [5, 10], id="not between"),
        pytest.param(
            {"metric": "nullValues", "arguments": {"properties": ["a"]}, "mustBeLessOrEqualTo": 2.5, "unit": "percent"},
            "<= 2.5 %",
            [0, 2.5],
            [2.6, 100],
            id="percent",
        ),
        pytest.param(custom("rows_like_weekday", mustBeLessThan=50), "< 50 %", [49], [50], id="a weekday"),
    ],
)
def test_a_threshold_reads_as_people_say_it_and_holds_at_its_edges(rule, wanted, passing, breaking):
    check = read(rule)
    assert check.wanted == wanted
    assert [check.passes(value) for value in (*passing, *breaking)] == [True] * len(passing) + [False] * len(breaking)


def test_a_rule_may_be_held_against_every_partition():
    per = [{"property": "per", "value": "partition"}]
    assert read({"metric": "rowCount", "mustBe": 1, "customProperties": per}).per_partition
    assert not read({"metric": "rowCount", "mustBe": 1}).per_partition


def test_a_custom_rule_has_its_measure_threshold_and_arguments():
    check = read(custom("objects_exist", sample=9, mustBe=0), column="path")
    assert (check.measure, check.column, dict(check.arguments)["sample"], check.operator) == ("objects_exist", "path", 9, "=")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        pytest.param({"metric": "rowCount", "mustBeBetween": [9, 5]}, "a smaller and a larger one", id="a range backwards"),
        pytest.param({"metric": "rowCount", "mustBe": 1, "unit": "percents"}, "`unit` must be `rows` or `percent`", id="a unit"),
        pytest.param(custom("rows_like_weekday", "soda", mustBe=1), "engine: lakehouse", id="engine"),
        pytest.param(custom("median", mustBe=1), "with a `measure`: rows_like_weekday", id="a measure"),
        pytest.param({**custom(""), "implementation": "some code"}, "exactly one of mustBe", id="an implementation that is text"),
        pytest.param(custom("objects_exist", mustBe=0), "put it under one", id="objects of no column"),
        pytest.param(
            {"metric": "rowCount", "mustBe": 1, "customProperties": [{"property": "by", "value": "day"}]},
            "only custom property",
            id="a property",
        ),
        pytest.param(
            {"type": "sql", "query": "SELECT 1", "mustBe": 1, "customProperties": [{"property": "per", "value": "partition"}]},
            "only a library metric",
            id="a query per partition",
        ),
    ],
)
def test_a_wrong_rule_is_refused_and_says_what_to_write(rule, words):
    with pytest.raises(ConfigurationError, match=rf"(?s)t\.odcs\.yaml: rule 'r'.*{words}"):
        read(rule)
