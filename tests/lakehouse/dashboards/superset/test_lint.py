from __future__ import annotations

import json

import pytest

from lakehouse.dashboards.superset.lint import lint

from .conftest import CHART, DATABASE, DATASET, FILES, OTHER, Lint, said

SECOND = f"params: {{}}\nslice_name: B\nviz_type: pie\nuuid: {CHART}\nversion: 1.0.0\ndataset_uuid: {DATASET}\n"
BOARD, SET, VOLUME, LAKE = "dashboards/board.yaml", "datasets/lake/ticks.yaml", "charts/volume.yaml", "databases/lake.yaml"


def test_a_whole_export_has_no_finding(broken: Lint):
    assert broken() == []


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        pytest.param(VOLUME, "metric: volume", "metric: [", ["volume.yaml:9 yaml"], id="broken YAML"),
        pytest.param(VOLUME, "", "", ["volume.yaml:1 mapping", "board.yaml:20 dangling"], id="an empty file"),
        pytest.param(VOLUME, "", "- a\n", ["volume.yaml:1 mapping", "board.yaml:20 dangling"], id="a list"),
        pytest.param(VOLUME, "viz_type: pie\n", "viz_type: pie\nviz_type: pie\n", ["volume.yaml:3 yaml"], id="a key twice"),
        pytest.param(VOLUME, f"uuid: {CHART}\n", "", ["board.yaml:20 dangling", "volume.yaml:1 missing-key"], id="no UUID"),
        pytest.param(VOLUME, CHART, "no-uuid", ["board.yaml:20 dangling", "volume.yaml:15 uuid"], id="a UUID that is none"),
        pytest.param("charts/b.yaml", "", SECOND, ["volume.yaml:15 uuid"], id="a UUID twice"),
        pytest.param(VOLUME, f"dataset_uuid: {DATASET}", "", ["volume.yaml:1 missing-key"], id="a chart without a dataset"),
        pytest.param(VOLUME, DATASET, OTHER, ["volume.yaml:17 dangling"], id="a dataset that is not there"),
        pytest.param(VOLUME, DATASET, DATABASE, ["volume.yaml:17 dangling"], id="a dataset that is a database"),
        pytest.param(SET, DATABASE, OTHER, ["ticks.yaml:19 dangling"], id="a database that is not there"),
        pytest.param(BOARD, CHART, OTHER, ["board.yaml:20 dangling"], id="a chart that is not there"),
        pytest.param(BOARD, DATASET, OTHER, ["board.yaml:28 dangling"], id="a filter's dataset that is not there"),
        pytest.param(
            VOLUME, "viz_type: pie", "vis_type: pie\nviz_type: pie", ["volume.yaml:2 unknown-key"], id="an unknown key of a chart"
        ),
        pytest.param(SET, "is_dttm: true", "is_time: true", ["ticks.yaml:14 unknown-key"], id="an unknown key of a column"),
        pytest.param(LAKE, "allows_virtual", "allow_virtual", ["lake.yaml:4 unknown-key"], id="an unknown key of a database's extra"),
        pytest.param(SET, "expression: SUM(volume)", "d3format: d", ["ticks.yaml:10 missing-key"], id="a metric without its expression"),
        pytest.param(VOLUME, "slice_name: Volume", "slice_name: 2024", ["volume.yaml:1 wrong-type"], id="a number as a title"),
        pytest.param(BOARD, "slug: board", "css:\n  a: 1", ["board.yaml:2 wrong-type"], id="a mapping where text belongs"),
        pytest.param(
            VOLUME, "version: 1.0.0", "cache_timeout: soon\nversion: 1.0.0", ["volume.yaml:16 wrong-type"], id="words as a number"
        ),
        pytest.param(SET, "schema: ticks_db", "offset: null\nschema: ticks_db", ["ticks.yaml:3 wrong-type"], id="null where none may be"),
        pytest.param(VOLUME, "'{\"queries", "'{queries", ["volume.yaml:14 wrong-type"], id="a stored query that is no JSON"),
        pytest.param(VOLUME, "version: 1.0.0", "version: 2.0.0", ["volume.yaml:16 version"], id="another version"),
        pytest.param(
            LAKE, "version: 1.0.0", "version: 1.0", ["lake.yaml:6 wrong-type", "lake.yaml:6 version"], id="a version that is a number"
        ),
        pytest.param("metadata.yaml", "", "version: 0.9.0", ["metadata.yaml:1 version"], id="another version of the whole"),
        pytest.param(
            SET,
            "name: symbol",
            "name: at",
            ["board.yaml:29 no-such-column", "volume.yaml:6 no-such-column", "ticks.yaml:15 doubled-name"],
            id="a column twice",
        ),
        pytest.param(LAKE, "superset@", "superset:hunter2@", ["lake.yaml:2 password"], id="a password in an address"),
        pytest.param(LAKE, "version:", "password: hunter2\nversion:", ["lake.yaml:6 password"], id="a password by itself"),
    ],
)
def test_a_fault_is_found_in_its_line(broken: Lint, name: str, old: str, new: str, found: list[str]):
    findings = broken(name, old, new)
    assert sorted(said(findings)) == sorted(found)
    assert not any("hunter2" in str(finding) for finding in findings)


def test_a_masked_password_and_a_template_are_no_secrets(broken: Lint):
    for name in ("superset:XXXXXXXXXX@", "superset:{{ PASSWORD }}@", "${NAME}:${PASSWORD}@"):
        assert said(broken(LAKE, "superset@", name)) == []


def test_names_that_the_tables_of_superset_hold_once_are_found_twice(broken: Lint):
    again = f"table_name: recent_ticks\nschema: ticks_db\ncatalog: lake\nuuid: {OTHER}\nversion: 1.0.0\ndatabase_uuid: {DATABASE}\n"
    assert said(broken("datasets/again.yaml", "", again)) == ["ticks.yaml:1 doubled-name"]


def test_keys_of_older_releases_that_6_1_still_takes_are_no_fault(broken: Lint):
    old = "allow_file_upload: true\nextra:\n  schemas_allowed_for_file_upload: []"
    assert broken(LAKE, "extra:", old) == []


def test_references_to_a_file_that_is_no_yaml_are_not_found_as_well(broken: Lint):
    assert said(broken(SET, "catalog: lake", "catalog: {% if a %}")) == ["ticks.yaml:4 yaml"]


def test_what_only_our_own_sync_asks_for_is_asked_for_where_there_are_variables(broken: Lint):
    assert said(broken(BOARD, "slug: board\n", "")) == []
    assert said(broken(BOARD, "slug: board\n", "", variables={})) == ["board.yaml:1 slug"]


def test_a_stored_query_may_be_a_mapping_for_our_own_sync_alone(broken: Lint):
    text = json.dumps({"queries": [{"columns": ["symbol"], "metrics": ["volume"]}]})
    change = (VOLUME, f"'{text}'", text)
    assert said(broken(*change)) == ["volume.yaml:14 wrong-type"]
    assert broken(*change, variables={}) == []


def test_a_variable_that_is_not_given_is_found_and_the_lines_stay(broken: Lint):
    uri = "sqlalchemy_uri: trino://superset@127.0.0.1:8080/lake"
    assert broken(LAKE, uri, "sqlalchemy_uri: ${URI}", variables={"URI": "trino://a\n@b"}) == []
    assert said(broken(LAKE, uri, "sqlalchemy_uri: ${URI}", variables={})) == ["lake.yaml:2 variable"]
    assert said(broken(LAKE, "name: Lake", "name: 5 $ a lake", variables={})) == ["lake.yaml:1 variable"]
    assert broken(LAKE, "name: Lake", "name: 5 $$ a lake", variables={}) == []


def test_files_that_security_and_alerts_name_are_there(broken: Lint):
    text = "dataset: datasets/lake/ticks.yaml\nboards:\n  dashboards/none.yaml: {}\ncharts: [charts/volume.yaml, charts/gone.yaml]\n"
    assert said(broken("security/rules.yaml", "", text)) == ["rules.yaml:3 dangling", "rules.yaml:4 dangling"]


def test_a_path_without_an_export_says_so(tmp_path):
    assert said(lint(tmp_path / "gone")) == ["gone:1 path"]
    assert [finding.rule for finding in lint(tmp_path)] == ["path"]


def test_exports_below_a_folder_are_found(tmp_path):
    for name in ("a", "b"):
        for path, text in FILES.items():
            (tmp_path / "assets" / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "assets" / name / path).write_text(text.replace("slice_name: Volume\n", "", 1))
    assert said(lint(tmp_path)) == ["volume.yaml:1 missing-key"] * 2


def test_a_finding_reads_as_a_compiler_would_say_it(broken: Lint):
    (finding,) = broken(VOLUME, "version: 1.0.0", "version: 2.0.0")
    assert str(finding).endswith("charts/volume.yaml:16: `version` is '2.0.0': this is no export of the format '1.0.0'")
