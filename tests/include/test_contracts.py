"""The lakehouse's own contracts and boards, held against the code that relies on them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from include import assets
from include.logs import to_row
from include.spark.option_ticks import TICK_SCHEMA
from lakehouse.contracts import Contract, load_folder
from lakehouse.dashboards.superset.files import read_folder
from lakehouse.iceberg.schema import partition_spec, schema, sort_order
from lakehouse.jsonlines import parse_lines
from lakehouse.ops.tables import CONTRACTS as OPS
from lakehouse.quality.scan import statement

SUPERSET_TYPES = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "int": "INTEGER",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamptz": "TIMESTAMP(6) WITH TIME ZONE",
}
REPO = Path(__file__).resolve().parents[2]
OURS = load_folder(REPO / "include" / "contracts")
EVERY = OURS | load_folder(OPS)
SUPERSET = REPO / "include" / "dashboards" / "superset"
BOARDS = read_folder(SUPERSET, {"TRINO_URI": "trino://x"})
DATASETS = {path: document for path, document in BOARDS.items() if path.startswith("datasets/")}


@pytest.mark.parametrize("contract", [pytest.param(contract, id=name) for name, contract in EVERY.items()])
def test_a_contract_makes_a_table_and_a_query(contract: Contract):
    made = schema(contract)
    assert [field.name for field in made.fields] == list(contract.column_names)
    assert len(partition_spec(contract, made).fields) == len(contract.partitioning) > 0
    assert len(sort_order(contract, made).fields) == len(contract.sort_order)
    assert set(contract.primary_key) <= {column.name for column in contract.columns if column.required}
    assert contract.freshness_column is None or contract.freshness_column in contract.column_names
    assert statement(contract, contract.checks, contract.table).startswith("SELECT count(*), ")
    assert all(column.description for column in contract.columns)


@pytest.mark.parametrize("contract", [pytest.param(contract, id=name) for name, contract in OURS.items()])
def test_a_contract_of_data_has_rules_and_a_runbook_that_is_there(contract: Contract):
    assert contract.checks
    assert (REPO / contract.runbook).is_file()


def test_the_tick_job_writes_the_columns_of_its_contract():
    contract = OURS["option_ticks_db.bronze_option_ticks"]
    spark = {"timestamptz": "timestamp", "long": "bigint"}
    wanted = {column.name: spark.get(column.type, column.type) for column in contract.columns}
    assert dict(field.split() for field in TICK_SCHEMA.split(", ")) == wanted


def test_a_parsed_line_has_the_columns_of_raw_logs():
    contract = OURS["logs_db.raw_logs"]
    (row,), _ = parse_lines(contract, b"{}", checksum="c", place="p", ingest_time=datetime.now(UTC), to_row=to_row)
    assert set(row) == set(contract.column_names)


def test_the_projects_boards_are_whole():
    kinds = [path.split("/")[0] for path in BOARDS]
    assert set(kinds) == {"alerts", "charts", "dashboards", "databases", "datasets", "security"}
    assert {document["slug"] for path, document in BOARDS.items() if path.startswith("dashboards/")} == {
        "lakehouse-analytics",
        "lakehouse-operations",
    }
    with pytest.raises(ValueError, match="TRINO_URI"):
        read_folder(SUPERSET, {})


def test_every_table_is_a_dataset_for_questions_without_sql():
    assert {f"{dataset['schema']}.{dataset['table_name']}" for dataset in DATASETS.values() if dataset["sql"] is None} == set(EVERY)


@pytest.mark.parametrize("path", [path for path, dataset in DATASETS.items() if dataset["sql"] is None])
def test_a_dataset_on_a_table_says_of_its_columns_what_the_contract_says(path: str):
    dataset = DATASETS[path]
    columns = [column for column in dataset["columns"] if "expression" not in column]
    assert [(column["column_name"], column["type"], column["description"]) for column in columns] == [
        (column.name, SUPERSET_TYPES[column.type], column.description)
        for column in EVERY[f"{dataset['schema']}.{dataset['table_name']}"].columns
    ]


@pytest.mark.parametrize("path", DATASETS)
def test_a_dataset_explains_itself(path: str):
    dataset = DATASETS[path]
    assert dataset["description"]
    assert set(dataset["extra"]["certification"]) == {"certified_by", "details"}
    assert dataset["metrics"]
    for entry in [*dataset["columns"], *dataset["metrics"]]:
        assert entry["verbose_name"]
        assert entry["description"]
    times = {column["column_name"] for column in dataset["columns"] if column["is_dttm"]}
    assert dataset["main_dttm_col"] in times or (dataset["main_dttm_col"] is None and not times)


@pytest.mark.parametrize("path", [path for path, document in BOARDS.items() if document.get("params", {}).get("query_mode") == "raw"])
def test_a_table_of_rows_shows_text_from_outside_as_text_and_the_newest_first(path: str):
    chart = BOARDS[path]
    (query,) = chart["query_context"]["queries"]
    assert chart["params"]["allow_render_html"] is False
    assert query["columns"] == chart["params"]["all_columns"]
    assert query["orderby"] == [[query["columns"][0], False]]
    assert query["row_limit"] == chart["params"]["row_limit"] == 1000


def test_the_list_of_tables_is_the_folder_of_contracts():
    assert {f"{name}.odcs.yaml" for name in assets.TABLES} == {path.name for path in assets.CONTRACTS.iterdir()}
