from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lakehouse.dashboards.superset.files import read_folder
from lakehouse.exceptions import ConfigurationError

VARIABLES = {"TRINO_URI": "trino://x@127.0.0.1:8080/hive_prod"}
DATABASE = {"uuid": "u-db", "database_name": "Lake", "sqlalchemy_uri": "${TRINO_URI}"}
DATASET = {"uuid": "u-set", "table_name": "ticks", "database_uuid": "u-db"}
CHART = {"uuid": "u-chart", "slice_name": "Volume", "dataset_uuid": "u-set"}
BOARD = {
    "uuid": "u-board",
    "dashboard_title": "Board",
    "slug": "board",
    "position": {
        "ROOT_ID": {"type": "ROOT"},
        "DASHBOARD_VERSION_KEY": "v2",
        "C": {"type": "CHART", "meta": {"uuid": "u-chart", "sliceName": "Volume"}},
    },
}
FILES = {
    "databases/lake.yaml": DATABASE,
    "datasets/lake/ticks.yaml": DATASET,
    "charts/volume.yaml": CHART,
    "dashboards/board.yaml": BOARD,
}


def read(folder: Path, changes: dict[str, object]) -> dict:
    for name, content in (FILES | changes).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return read_folder(folder, VARIABLES)


def filtered_by(*targets: dict[str, object]) -> dict[str, object]:
    return BOARD | {"metadata": {"native_filter_configuration": [{"id": "NATIVE_FILTER-x", "targets": list(targets)}]}}


def test_a_folder_is_read_with_its_variables_filled_in(tmp_path):
    documents = read(tmp_path, {"charts/notes.txt": "not ours"})
    assert sorted(documents) == sorted(FILES)
    assert documents["databases/lake.yaml"]["sqlalchemy_uri"] == "trino://x@127.0.0.1:8080/hive_prod"
    assert documents["dashboards/board.yaml"] == BOARD


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        pytest.param("charts/volume.yaml", "uuid: u\nparams: [\n", "line 3", id="broken YAML, with its line"),
        pytest.param("charts/volume.yaml", "", None, id="an empty file"),
        pytest.param("charts/volume.yaml", "- a\n- b\n", None, id="a list"),
        pytest.param("charts/volume.yaml", CHART | {"uuid": None}, "needs a `uuid` of its own", id="no UUID"),
        pytest.param("charts/volume.yaml", CHART | {"uuid": "u-set"}, "volume.yaml has it too", id="a UUID twice"),
        pytest.param("charts/volume.yaml", CHART | {"slice_name": "${NOWHERE}"}, "NOWHERE", id="an unknown variable"),
        pytest.param("charts/volume.yaml", CHART | {"slice_name": "5 $ a day"}, "Invalid placeholder", id="a lonely dollar"),
        pytest.param(
            "charts/volume.yaml",
            CHART | {"dataset_uuid": "u-gone"},
            "refers to u-gone, which no file has that is one of the datasets",
            id="a missing dataset",
        ),
        pytest.param("charts/volume.yaml", CHART | {"dataset_uuid": "u-db"}, "u-db", id="a dataset that is none"),
        pytest.param("charts/volume.yaml", {"uuid": "u-chart", "slice_name": "Volume"}, "dataset", id="a chart with no dataset"),
        pytest.param("datasets/lake/ticks.yaml", DATASET | {"database_uuid": "u-gone"}, "refers to u-gone", id="a missing database"),
        pytest.param("charts/volume.yaml", None, "refers to u-chart", id="a board whose chart has no file"),
        pytest.param("dashboards/board.yaml", filtered_by({"datasetUuid": "u-gone"}), "u-gone", id="a filter whose dataset is missing"),
        pytest.param("dashboards/board.yaml", filtered_by({"column": {}}), "refers to None", id="a filter that names no dataset"),
        pytest.param(
            "dashboards/board.yaml", BOARD | {"position": {"C": {"type": "CHART"}}}, None, id="a place for a chart that names none"
        ),
        pytest.param("dashboards/board.yaml", {key: BOARD[key] for key in BOARD if key != "slug"}, "slug", id="a board without a slug"),
    ],
)
def test_what_superset_would_choke_on_or_skip_is_refused_here_and_names_its_file(tmp_path, name, content, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        read(tmp_path, {name: content})
    named = "dashboards/board.yaml" if content is None else name
    assert str(tmp_path / named) in str(caught.value)


def test_a_dataset_that_only_a_filter_reads_is_used_and_a_filter_of_time_needs_none(tmp_path):
    other = DATASET | {"uuid": "u-values", "table_name": "values"}
    board = filtered_by({"datasetUuid": "u-values", "column": {"name": "symbol"}}, {})
    assert "datasets/lake/values.yaml" in read(tmp_path, {"datasets/lake/values.yaml": other, "dashboards/board.yaml": board})
