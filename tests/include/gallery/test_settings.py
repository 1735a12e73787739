from __future__ import annotations

import json
import string

import pytest

from include.gallery import settings
from lakehouse.exceptions import ConfigurationError
from stack.installation import CONFIG, Installation


@pytest.mark.parametrize("catalog", ["rest", "hive"])
def test_the_stacks_own_templates_make_settings(tmp_path, catalog):
    stack = Installation(tmp_path, wanted_catalog=catalog)
    stack.keep_choices()
    values = stack.variables
    path = tmp_path / "gallery.json"
    path.write_text(string.Template((CONFIG / "gallery" / "gallery.json.tmpl").read_text()).substitute(values))
    made = settings.load(path)
    assert made.table == "media_db.image_metadata"
    assert made.catalog["type"] == catalog
    assert made.store.public_url == f"http://localhost:{stack.ports['s3']}"
    text = path.read_text()
    assert stack.secrets["S3_READONLY_SECRET_KEY"] in text
    assert stack.secrets["S3_SECRET_KEY"] not in text


@pytest.mark.parametrize("text", ["", "{}", '{"table": 1}', '{"table": "t", "colour": "very-secret", "store": {}}'])
def test_a_wrong_file_is_named_without_its_secrets(tmp_path, text):
    path = tmp_path / "gallery.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"gallery\.json has a wrong or missing field") as error:
        settings.load(path)
    assert "very-secret" not in str(error.value)


def test_no_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_GALLERY", str(tmp_path / "none.json"))
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        settings.load()


def test_every_key_of_the_template_is_json(tmp_path):
    stack = Installation(tmp_path, wanted_catalog="rest")
    made = json.loads(string.Template((CONFIG / "gallery" / "gallery.json.tmpl").read_text()).substitute(stack.variables))
    assert set(made) == {"table", "catalog_name", "catalog", "store"}
