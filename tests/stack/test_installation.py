from __future__ import annotations

import base64
import json
import re
import stat
from pathlib import Path

import pytest

from stack import installation
from stack.errors import StackError
from stack.installation import CATALOGS, CONFIG, SECRETS, Installation, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_are_their_owners_alone(tmp_path):
    stack = Installation(tmp_path / "state")
    first = dict(stack.secrets)
    assert set(first) == set(SECRETS)
    assert len(set(first.values())) == len(SECRETS)
    assert mode(stack.secrets_file) == 0o600
    assert Installation(tmp_path / "state").secrets == first
    assert Installation(tmp_path / "other").secrets != first


def test_a_secret_that_a_newer_version_needs_is_added_and_the_others_stay(tmp_path):
    (tmp_path / "secrets.env").write_text("# mine\nS3_ACCESS_KEY=kept=as it is\n")
    assert Installation(tmp_path).secrets["S3_ACCESS_KEY"] == "kept=as it is"
    assert Installation(tmp_path).secrets == Installation(tmp_path).secrets
    assert set(Installation(tmp_path).secrets) == set(SECRETS)


def test_passwords_need_no_escaping_and_satisfy_the_strictest_server(tmp_path):
    for name, value in Installation(tmp_path).secrets.items():
        if name == "AIRFLOW_FERNET_KEY":
            assert len(base64.urlsafe_b64decode(value)) == 32
            continue
        if name == "BACKUP_IDENTITY":
            assert value.startswith("AGE-SECRET-KEY-1")
            continue
        assert value.isascii()
        assert value.isalnum()
        assert len(value) >= 16
        if name.endswith("PASSWORD"):
            assert any(map(str.isupper, value))
            assert any(map(str.islower, value))
            assert any(map(str.isdigit, value))


def test_ports_are_distinct_and_move_together(tmp_path):
    ports, moved = Installation(tmp_path).ports, Installation(tmp_path, 12_000).ports
    assert len(set(ports.values())) == len(ports)
    assert not set(ports.values()) & set(moved.values())
    assert moved == {name: port + 12_000 for name, port in ports.items()}
    assert max(moved.values()) < 65_536


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    """A small `config/` in the place of the project's."""
    folder = tmp_path / "repo" / "config"
    folder.mkdir(parents=True)
    (folder / "ports.toml").write_text("trino = 8080\n")
    monkeypatch.setattr(installation, "CONFIG", folder)
    return folder


def test_templates_are_filled_in_and_other_files_are_copied_for_the_owner_alone(tmp_path, config):
    (config / "trino").mkdir()
    (config / "trino" / "node.properties.tmpl").write_text("port=${PORT_TRINO}\npassword=$SECRET_POSTGRES_PASSWORD\ncost=$$5\nhash=$HASH\n")
    (config / "plain.json").write_text("$UNTOUCHED")
    stack = Installation(tmp_path / "state", 5, repo=config.parent)
    stack.render({"HASH": "abc"})
    rendered = stack.etc / "trino" / "node.properties"
    assert rendered.read_text() == f"port=8085\npassword={stack.secrets['POSTGRES_PASSWORD']}\ncost=$5\nhash=abc\n"
    assert (stack.etc / "plain.json").read_text() == "$UNTOUCHED"
    assert mode(rendered) == 0o600
    assert not (stack.etc / "trino" / "node.properties.tmpl").exists()


@pytest.mark.parametrize("text", ["a=${NOWHERE}", "a=$ 5"])
def test_a_template_that_names_what_does_not_exist_is_named(tmp_path, config, text):
    (config / "bad.conf.tmpl").write_text(text)
    with pytest.raises(StackError, match=r"config/bad\.conf\.tmpl: .*is not a variable of the stack"):
        Installation(tmp_path / "state", repo=config.parent).render()


def rendered(stack: Installation) -> Installation:
    """What `stack.lifecycle.up` adds are password hashes, Spark's jars, scrape targets and receivers; nothing else may be missing."""
    texts = [path.read_text() for path in CONFIG.rglob("*.tmpl")]
    added = {name for text in texts for name in re.findall(r"\$\{(HASH_\w+|SPARK_JARS)\}", text)}
    lists = {name for text in texts for name in re.findall(r"\$\{((?:TARGETS|ALERTS)_\w+)\}", text)}
    stack.keep_choices()
    stack.render(dict.fromkeys(added, "x") | dict.fromkeys(lists, "[]"))
    return stack


@pytest.mark.parametrize("catalog", CATALOGS)
def test_every_template_of_the_project_names_only_what_exists(tmp_path, catalog):
    stack = rendered(Installation(tmp_path / "state", wanted_catalog=catalog))
    assert json.loads((stack.etc / "connections.json").read_text())["lakehouse_catalog"]["extra"]["type"] == catalog
    assert [path for path in stack.etc.rglob("*") if path.is_file() and mode(path) != 0o600] == []
    # Parts of other files; alone they would only be more places with secrets.
    assert not (stack.etc / "catalogs").exists()


@pytest.mark.parametrize(("catalog", "address"), [("rest", "http://127.0.0.1:8182"), ("hive", "thrift://127.0.0.1:9084")])
def test_every_engine_gets_the_same_catalog(tmp_path, catalog, address):
    stack = rendered(Installation(tmp_path / "state", 1, wanted_catalog=catalog))
    connection = json.loads((stack.etc / "connections.json").read_text())["lakehouse_catalog"]
    spark = dict(
        line.split(None, 1) for line in (stack.etc / "spark" / "spark-defaults.conf").read_text().splitlines() if line.startswith("spark.")
    )
    trino = dict(line.split("=", 1) for line in (stack.etc / "trino" / "catalog" / "hive_prod.properties").read_text().splitlines())
    assert connection["host"] == spark["spark.sql.catalog.hive_prod.uri"] == address
    assert address in (trino.get("iceberg.rest-catalog.uri"), trino.get("hive.metastore.uri"))
    assert connection["extra"]["warehouse"] == spark["spark.sql.catalog.hive_prod.warehouse"]
    assert connection["extra"]["type"] == spark["spark.sql.catalog.hive_prod.type"] == catalog


def test_an_installation_keeps_its_catalog_and_another_is_refused_with_the_way_out(tmp_path):
    assert Installation(tmp_path).catalog == "rest"
    hive = Installation(tmp_path, wanted_catalog="hive")
    hive.keep_choices()
    assert Installation(tmp_path).catalog == "hive"
    Installation(tmp_path).keep_choices()
    with pytest.raises(StackError, match=r"keeps its tables in the catalog hive, not in rest: .*`make clean`.*STATE=") as refused:
        Installation(tmp_path, wanted_catalog="rest").keep_choices()
    assert "\n" not in str(refused.value)
    assert Installation(tmp_path, wanted_catalog="rest").catalog == "hive"


def test_an_installation_from_before_the_choice_has_the_rest_catalog(tmp_path):
    assert Installation(tmp_path).secrets
    with pytest.raises(StackError, match="catalog rest, not in hive"):
        Installation(tmp_path, wanted_catalog="hive").keep_choices()


def test_a_private_file_is_closed_even_when_it_was_open_before(tmp_path):
    path = tmp_path / "deep" / "secret"
    write_private(path, "one")
    assert (path.read_text(), mode(path)) == ("one", 0o600)
    path.chmod(0o644)
    write_private(path, "two")
    assert (path.read_text(), mode(path)) == ("two", 0o600)
    path.chmod(0o644)
    write_private(path, "two")
    assert mode(path) == 0o600


def test_a_private_file_that_says_so_already_is_not_touched(tmp_path):
    write_private(tmp_path / "x", "one")
    before = (tmp_path / "x").stat().st_mtime_ns
    write_private(tmp_path / "x", "one")
    assert (tmp_path / "x").stat().st_mtime_ns == before
