from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lakehouse.dashboards.superset.files import read_folder
from lakehouse.exceptions import ConfigurationError

DATABASE = {
    "uuid": "2cbd79a1-6f4a-4b6c-b83b-b9d6c5ea4b0d",
    "version": "1.0.0",
    "database_name": "Lake",
    "sqlalchemy_uri": "${TRINO_URI}",
    "extra": {},
}


def write(folder: Path, **values: object) -> Path:
    (folder / "databases").mkdir(exist_ok=True)
    (folder / "databases" / "lake.yaml").write_text(yaml.safe_dump(DATABASE | values, sort_keys=False))
    return folder


def test_a_folder_is_read_with_its_variables_filled_in(tmp_path):
    (tmp_path / "databases").mkdir()
    (tmp_path / "databases" / "notes.txt").write_text("not ours")
    documents = read_folder(write(tmp_path), {"TRINO_URI": "trino://x@127.0.0.1:8080/hive_prod"})
    assert documents == {"databases/lake.yaml": DATABASE | {"sqlalchemy_uri": "trino://x@127.0.0.1:8080/hive_prod"}}


def test_a_password_may_come_by_a_variable_and_not_by_a_file(tmp_path):
    address = "trino://x:planted@127.0.0.1:8080/hive_prod"
    assert read_folder(write(tmp_path), {"TRINO_URI": address})["databases/lake.yaml"]["sqlalchemy_uri"] == address
    with pytest.raises(ConfigurationError, match="a password stands in the address") as caught:
        read_folder(write(tmp_path, sqlalchemy_uri=address), {})
    assert "planted" not in str(caught.value)


@pytest.mark.fault(18)
def test_every_mistake_is_named_with_its_file_and_line_before_anything_is_sent(tmp_path):
    write(tmp_path, uuid="none", sqlalchemy_uri="${NOWHERE}")
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "one.yaml").write_text("uuid: u\nparams: [\n")
    with pytest.raises(ConfigurationError, match="mistakes in the files; nothing was sent") as caught:
        read_folder(tmp_path, {})
    text = str(caught.value)
    for words in ("databases/lake.yaml:1: ", "databases/lake.yaml:4: ", "NOWHERE", "charts/one.yaml:3: "):
        assert words in text
