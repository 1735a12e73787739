from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from lakehouse.contracts import Column, Contract, load, load_folder
from lakehouse.contracts.contract import DEFAULT_PROPERTIES
from lakehouse.exceptions import ConfigurationError

DOCUMENT = {
    "apiVersion": "v3.1.0",
    "kind": "DataContract",
    "id": "lines",
    "description": {"purpose": "Lines of logs."},
    "schema": [
        {
            "name": "lines",
            "physicalName": "logs_db.lines",
            "properties": [
                {"name": "at", "physicalType": "timestamptz", "primaryKey": True, "primaryKeyPosition": 2},
                {
                    "name": "id",
                    "physicalType": "string",
                    "required": True,
                    "primaryKey": True,
                    "primaryKeyPosition": 1,
                    "description": "Key",
                    "classification": "confidential",
                    "quality": [{"id": "id_known", "metric": "nullValues", "mustBe": 0, "severity": "warning"}],
                },
            ],
            "quality": [
                {"id": "rows", "metric": "rowCount", "mustBeGreaterThan": 5, "severity": "error", "description": "there are rows"},
                {"id": "own", "type": "sql", "query": "SELECT 1 FROM {table}", "mustBeLessOrEqualTo": 2.5, "severity": "error"},
            ],
            "customProperties": [
                {"property": "iceberg.partitioning", "value": ["day(at)"]},
                {"property": "iceberg.sortOrder", "value": ["id"]},
                {"property": "iceberg.properties", "value": {"write.target-file-size-bytes": 1000}},
                {"property": "refusedThreshold", "value": 0.05},
                {"property": "runbook", "value": "docs/runbooks/lines.md"},
            ],
        }
    ],
    "slaProperties": [
        {"property": "freshness", "value": 2, "unit": "d", "element": "lines.at"},
        {"property": "retention", "value": 30, "unit": "d"},
    ],
}


def write(folder: Path, document: object, name: str = "lines") -> Path:
    path = folder / f"{name}.odcs.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


def changed(place: str, value: object) -> dict:
    """The document with another value at `a.0.b`; None takes it out."""
    document = copy.deepcopy(DOCUMENT)
    *parents, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    target = document
    for part in parents:
        target = target[part]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return document


@pytest.fixture
def contract(tmp_path) -> Contract:
    return load(write(tmp_path, DOCUMENT))


def test_a_contract_says_all_that_the_engines_ask(contract):
    assert (contract.table, contract.description) == ("logs_db.lines", "Lines of logs.")
    assert contract.columns == (
        Column("at", "timestamptz", required=False, description="", classification=None),
        Column("id", "string", required=True, description="Key", classification="confidential"),
    )
    assert contract.column_names == ("at", "id")
    assert contract.primary_key == ("id", "at")
    assert (contract.partitioning, contract.sort_order) == (("day(at)",), ("id",))
    assert contract.properties == DEFAULT_PROPERTIES | {"write.target-file-size-bytes": "1000"}
    assert (contract.refused_threshold, contract.runbook) == (0.05, "docs/runbooks/lines.md")
    assert (contract.freshness_hours, contract.freshness_column, contract.retention_days) == (48.0, "at", 30)


def test_rules_are_those_of_the_table_then_those_of_its_columns(contract):
    assert [(c.check_id, c.metric, c.query, c.column, c.operator, c.threshold, c.severity, c.description) for c in contract.checks] == [
        ("rows", "rowCount", None, None, ">", 5.0, "error", "there are rows"),
        ("own", None, "SELECT 1 FROM {table}", None, "<=", 2.5, "error", "own"),
        ("id_known", "nullValues", None, "id", "=", 0.0, "warning", "id_known"),
    ]


def test_what_a_contract_leaves_out_has_a_plain_default(tmp_path):
    document = changed("slaProperties", None)
    document["schema"][0] = {"name": "t", "physicalName": "a.t", "properties": [{"name": "x", "physicalType": "int"}]}
    made = load(write(tmp_path, document))
    assert (made.checks, made.partitioning, made.properties, made.primary_key) == ((), (), DEFAULT_PROPERTIES, ())
    assert (made.refused_threshold, made.freshness_hours, made.freshness_column, made.retention_days) == (0.0, None, None, None)


TABLE = "schema.0"
RULE = f"{TABLE}.quality.0"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        pytest.param("a: [", "not a contract of the standard", id="broken YAML"),
        pytest.param("just words", None, id="a text"),
        pytest.param("- a\n", None, id="a list"),
        pytest.param("", None, id="an empty file"),
        pytest.param(changed("apiVersion", "v2.0.0"), r"apiVersion: v3\.1\.0", id="another version of the standard"),
        pytest.param(changed("schema", [*DOCUMENT["schema"], *DOCUMENT["schema"]]), "exactly one table", id="two tables"),
        pytest.param(changed("schema", None), "exactly one table", id="no table"),
        pytest.param(changed(f"{TABLE}.physicalName", "lines"), "must be `<schema>.<table>`, not 'lines'", id="a table without its schema"),
        pytest.param(changed(f"{TABLE}.properties", None), "no columns", id="no columns"),
        pytest.param(changed(f"{TABLE}.properties.0.physicalType", None), "every column needs", id="a column without a type"),
        pytest.param(changed(f"{RULE}.id", None), "a rule needs an `id`", id="a rule without an id"),
        pytest.param(changed(f"{RULE}.mustBeGreaterThan", None), "rule 'rows'.*exactly one of mustBe", id="a rule without a threshold"),
        pytest.param(changed(f"{RULE}.mustBe", 1), "exactly one of", id="a rule with two thresholds"),
        pytest.param(changed(f"{RULE}.severity", "fatal"), "must be `error` or `warning`, not 'fatal'", id="an unknown severity"),
        pytest.param(changed(f"{RULE}.metric", "median"), "write a `metric`", id="an unknown metric"),
        pytest.param(changed(f"{RULE}.id", "own"), r"\['own'\] are there more than once", id="two rules with one id"),
        pytest.param(changed("slaProperties.0.unit", "m"), "freshness", id="freshness in a unit that is not read"),
        pytest.param(changed("slaProperties.1.unit", "y"), "retention", id="retention in a unit that is not read"),
        pytest.param(changed(f"{TABLE}.customProperties.3.value", "5%"), "refusedThreshold", id="a threshold that is no number"),
        pytest.param(changed(f"{RULE}.metric", "nullValues"), "column", id="a metric of a column on the table"),
    ],
)
def test_a_wrong_contract_is_refused_and_its_file_is_named(tmp_path, document, words):
    path = write(tmp_path, document)
    with pytest.raises(ConfigurationError, match=words) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_contract_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"gone\.odcs\.yaml: there is no such contract"):
        load(tmp_path / "gone.odcs.yaml")


def test_a_folder_is_read_by_table_and_other_files_are_left_alone(tmp_path):
    write(tmp_path, DOCUMENT, "one")
    write(tmp_path, changed(f"{TABLE}.physicalName", "a.b"), "two")
    (tmp_path / "notes.yaml").write_text("not a contract")
    assert sorted(load_folder(tmp_path)) == ["a.b", "logs_db.lines"]
