"""The product's own roles, rules and alerts, without a server."""

from __future__ import annotations

import re
from unittest.mock import create_autospec

import pytest
import yaml

from lakehouse.dashboards.superset.alerts import Alerts
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.files import read_folder
from lakehouse.dashboards.superset.security import Security
from stack.installation import REPO

FOLDER = REPO / "include" / "dashboards" / "superset"
DOCUMENTS = read_folder(FOLDER, {"TRINO_URI": "trino://superset@localhost:8080/hive_prod"})
DATASETS = {path: document for path, document in DOCUMENTS.items() if path.startswith("datasets/")}
ROLES = {document["name"]: document for path, document in DOCUMENTS.items() if path.startswith("security/roles/")}
RULE = DOCUMENTS["security/row_level_security/symbols.yaml"]
SYMBOLS = re.compile(r"\b(bronze_option_ticks|collected_option_ticks|daily_option_summary)\b")


def shows_symbols(document: dict) -> bool:
    return bool(SYMBOLS.search(document.get("sql") or document["table_name"]))


def test_every_dataset_with_ticks_or_their_summary_is_under_the_rule():
    assert {path for path, document in DATASETS.items() if shows_symbols(document)} == set(RULE["datasets"])
    assert set(RULE["roles"]) == {"Analyst", "Viewer"}
    for path in RULE["datasets"]:
        assert "symbol" in {column["column_name"] for column in DATASETS[path]["columns"]}, path


def test_every_dataset_names_its_catalog_and_schema():
    """Superset looks the rule of a table inside a virtual dataset up by the dataset's own catalog: without one it finds none."""
    assert {(path, document.get("catalog"), bool(document.get("schema"))) for path, document in DATASETS.items()} == {
        (path, "hive_prod", True) for path in DATASETS
    }


def test_no_two_datasets_have_the_name_of_one_table():
    """SQL Lab opens a table to whoever may see any dataset of its name, and Superset looks for its rule at the only one."""
    names = [(document["schema"], document["table_name"]) for document in DATASETS.values()]
    assert len(names) == len(set(names))
    tables = {
        path.name.split(".")[0] for folder in ("include", "plugins/lakehouse/ops") for path in (REPO / folder / "contracts").glob("*")
    }
    assert not {name for (_, name), document in zip(names, DATASETS.values(), strict=True) if document.get("sql")} & tables


def test_the_analyst_has_sql_lab_on_certified_datasets_and_no_right_to_the_database():
    analyst = ROLES["Analyst"]
    assert set(analyst) == {"name", "like", "add", "remove", "datasets"}
    assert not any("_access" in permission.split(" on ")[0] and not permission.startswith("menu") for permission in analyst["add"])
    assert all((DATASETS[path].get("extra") or {}).get("certification") for path in analyst["datasets"])


def test_ops_has_no_ticks_and_the_boards_open_to_those_they_are_meant_for():
    assert not any(shows_symbols(DATASETS[path]) for path in ROLES["Ops"]["datasets"])
    of_uuid = {document["uuid"]: path for path, document in DATASETS.items()}
    charts = {document["uuid"]: of_uuid[document["dataset_uuid"]] for path, document in DOCUMENTS.items() if path.startswith("charts/")}
    for path, entry in DOCUMENTS["security/boards.yaml"].items():
        used = {charts[uuid] for uuid in re.findall(r"'uuid': '([0-9a-f-]{36})'", str(DOCUMENTS[path]["position"]))}
        assert used, path
        missing = used - set(ROLES[entry["meant_for"]]["datasets"])
        assert not missing, f"{entry['meant_for']} may not see {missing} of {path}"
    assert DOCUMENTS["security/boards.yaml"].keys() == {path for path in DOCUMENTS if path.startswith("dashboards/")}


@pytest.mark.parametrize("part", [Security, Alerts])
def test_the_files_are_taken_without_a_call(part):
    client = create_autospec(SupersetClient, instance=True)
    part(client, DOCUMENTS)
    client.request.assert_not_called()


def test_three_alerts_mail_someone_and_link_to_a_board():
    alerts = Alerts(create_autospec(SupersetClient, instance=True), DOCUMENTS).wanted()
    assert len(alerts) == 3
    for wanted in alerts.values():
        assert wanted.content["recipients"], wanted.path
        assert wanted.content["dashboard"].startswith("dashboards/")
        assert wanted.content["description"], wanted.path
        assert "coalesce" in wanted.content["sql"] or "count(" in wanted.content["sql"], "no row and NULL never trigger"


def test_what_is_granted_is_written_in_the_page():
    page = (REPO / "docs" / "access.md").read_text()
    for path in (FOLDER / "alerts").glob("*.yaml"):
        assert f"`{yaml.safe_load(path.read_text())['name']}`" in page
    for role in ("Admin", *ROLES):
        assert f"| {role} |" in page
