from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.dashboards.objects import Key
from lakehouse.dashboards.superset.merge import updated_text
from lakehouse.dashboards.superset.normal import normalise
from lakehouse.dashboards.superset.pull import changes, patch, pull
from lakehouse.dashboards.superset.yaml_edit import same
from lakehouse.exceptions import ConfigurationError

from .conftest import BOARD, CHART, DATABASE, DATASET, FILES, OTHER

REPO = Path(__file__).resolve().parents[4]
OURS = {str(path.relative_to(REPO)): path for path in sorted((REPO / "include/dashboards/superset").glob("*s/**/*.yaml"))}
ASSETS = [name for name in OURS if name.split("/")[3] in ("databases", "datasets", "charts", "dashboards")]
VOLUME = FILES["charts/volume.yaml"]


def live_of(text: str, **changed: Any) -> dict[str, Any]:
    """What a server that got this file would say: null and its defaults beside it."""
    content = normalise(yaml.safe_load(text.replace("$$", "$")))
    for entry in content.get("columns", []):
        entry.update({"is_active": True, "advanced_data_type": None, "groupby": True} | entry)
    return {"certified_by": None, "cache_timeout": None, "tags": []} | content | changed


def lines(old: str, new: str) -> tuple[list[str], list[str]]:
    return (
        [line for line in old.split("\n") if line not in new.split("\n")],
        [line for line in new.split("\n") if line not in old.split("\n")],
    )


@pytest.mark.parametrize("name", ASSETS)
def test_nothing_edited_leaves_a_file_of_ours_byte_for_byte(name: str):
    text = OURS[name].read_text()
    assert updated_text(text, live_of(text)) == text


def test_an_edit_changes_its_line_and_no_other():
    assert lines(VOLUME, updated_text(VOLUME, live_of(VOLUME, slice_name="Turnover"))) == (["slice_name: Volume"], ["slice_name: Turnover"])


def test_what_the_server_adds_with_its_default_is_no_edit_and_anything_else_is():
    text = FILES["datasets/lake/ticks.yaml"]
    live = live_of(text, filter_select_enabled=True, offset=0, description="")
    assert updated_text(text, live) == text
    live["columns"][1]["verbose_name"] = "Symbol"
    live["description"] = "Ticks"
    assert lines(text, updated_text(text, live)) == ([], ["  verbose_name: Symbol", "description: Ticks"])


def test_a_new_column_comes_without_what_a_server_writes_beside_it_and_the_order_stays():
    text = FILES["datasets/lake/ticks.yaml"]
    live = live_of(text)
    live["columns"] = [{"column_name": "new", "type": "DOUBLE", "is_active": True, "expression": None}, *reversed(live["columns"])]
    new = updated_text(text, live)
    assert lines(text, new) == ([], ["- column_name: new", "  type: DOUBLE"])
    assert [column["column_name"] for column in yaml.safe_load(new)["columns"]] == ["at", "symbol", "volume", "big", "new"]


def test_a_key_that_someone_took_out_of_a_chart_goes():
    live = live_of(VOLUME)
    del live["params"]["adhoc_filters"]
    assert len(lines(VOLUME, updated_text(VOLUME, live))[0]) == 6


def test_a_stored_query_stays_text_where_it_is_text():
    live = live_of(VOLUME)
    live["query_context"]["queries"][0]["row_limit"] = 5
    new = updated_text(VOLUME, live)
    assert json.loads(yaml.safe_load(new)["query_context"])["queries"][0]["row_limit"] == 5
    assert len(lines(VOLUME, new)[1]) == 1


def test_variables_stay_where_they_say_what_is_live_and_where_nobody_knows():
    text = "database_name: Lake\nsqlalchemy_uri: ${URI}\ncache_timeout: 1\n"
    live = {"database_name": "Lake", "sqlalchemy_uri": "trino://a:XXXXXXXXXX@b", "cache_timeout": 2}
    for variables in ({"URI": "trino://a:secret@b"}, {}):
        assert updated_text(text, live, variables) == text.replace("cache_timeout: 1", "cache_timeout: 2")
    other = updated_text(text, live, {"URI": "trino://c"})
    assert yaml.safe_load(other)["sqlalchemy_uri"] == "trino://a:XXXXXXXXXX@b"


def test_a_dollar_of_someones_text_is_written_as_a_file_says_it():
    new = updated_text(VOLUME, live_of(VOLUME, slice_name="5 $ ${a}"))
    assert yaml.safe_load(new)["slice_name"] == "5 $$ $${a}"
    assert updated_text(new, live_of(VOLUME, slice_name="5 $ ${a}")) == new


def test_with_what_was_applied_last_only_edits_made_since_are_taken():
    base = live_of(VOLUME)
    ahead = VOLUME.replace("slice_name: Volume", "slice_name: Better\ndescription: New in the file")
    live = copy.deepcopy(base)
    live["params"]["groupby"] = ["at"]
    live["cache_timeout"] = 60
    new = updated_text(ahead, live, {}, base)
    assert lines(ahead, new) == (["  - symbol"], ["  - at", "cache_timeout: 60"])


EDITS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=12), st.lists(st.integers(), max_size=2), st.just({"a": "${B} $c"})
)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(ASSETS), st.data())
def test_any_edit_of_one_of_our_files_is_taken_exactly(name: str, data: st.DataObject):
    text = OURS[name].read_text()
    live = live_of(text)
    places = list(_places(live))
    place = data.draw(st.sampled_from(places))
    at: Any = live
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = data.draw(EDITS)
    new = updated_text(text, live)
    said = normalise(json.loads(json.dumps(yaml.safe_load(new), default=str).replace("$$", "$")))
    assert updated_text(new, live) == new
    for key in ("params", "query_context", "position"):
        if key in live:
            assert same(_solid(said[key]), _solid(live[key])) or _is_empty(live[key])
    for key, value in live.items():
        if key in yaml.safe_load(text) and not isinstance(value, dict | list):
            assert same(said.get(key), value) or (_is_empty(value) and _is_empty(said.get(key)))


def _places(value: Any, place: tuple[Any, ...] = ()) -> Any:
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
        if key in ("uuid", "type", "meta", "column_name", "metric_name", "sqlalchemy_uri", "id") or (key == "columns" and not place):
            continue
        if not (place == () and isinstance(entry, dict | list)) and key != "form_data":
            yield (*place, key)
        if isinstance(entry, dict | list):
            yield from _places(entry, (*place, key))


def _solid(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _solid(entry) for key, entry in value.items() if not _is_empty(entry)}
    return [_solid(entry) for entry in value] if isinstance(value, list) else None if _is_empty(value) else value


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


class Server:
    """Stands for the client; what it has is asked for by the part that reads assets."""

    def __init__(self, live: dict[Key, dict[str, Any]]) -> None:
        self.live = live

    def list(self, resource: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
        return [{name: content.get(name) for name in columns} for key, content in self.live.items() if key.kind == f"{resource}s"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / "boards" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "boards" / name).write_text(text)
    return tmp_path / "boards"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    keys = {
        "databases/lake.yaml": DATABASE,
        "datasets/lake/ticks.yaml": DATASET,
        "charts/volume.yaml": CHART,
        "dashboards/board.yaml": BOARD,
    }
    there = Server({Key(name.split("/")[0], uuid): live_of(FILES[name]) for name, uuid in keys.items()})

    class Live:
        def __init__(self, content: dict[str, Any]) -> None:
            self.content = content

    class Assets:
        def __init__(self, client: Server, _: object) -> None:
            self.client = client

        def live(self, keys: set[Key], _: object) -> dict[Key, Live]:
            return {key: Live(self.client.live[key]) for key in keys if key in self.client.live}

    monkeypatch.setattr("lakehouse.dashboards.superset.pull.Assets", Assets)
    return there


def with_a_new_chart(server: Server) -> None:
    board = server.live[Key("dashboards", BOARD)]
    board["position"]["GRID_ID"]["children"].append("CHART-b")
    board["position"]["CHART-b"] = {"type": "CHART", "id": "CHART-b", "children": [], "meta": {"uuid": OTHER, "sliceName": "Ünlike, any!"}}
    server.live[Key("charts", OTHER)] = live_of(VOLUME, uuid=OTHER, slice_name="Ünlike, any!")


def test_nothing_edited_writes_nothing(folder: Path, server: Server):
    assert pull(server, folder) == []


def test_a_new_chart_on_a_board_becomes_a_file_named_after_its_title(folder: Path, server: Server):
    with_a_new_chart(server)
    written = pull(server, folder, ["board"])
    assert [str(path.relative_to(folder)) for path in written] == ["charts/nlike_any.yaml", "dashboards/board.yaml"]
    assert yaml.safe_load(written[0].read_text())["uuid"] == OTHER
    assert "certified_by" not in written[0].read_text()
    assert pull(server, folder, ["board"]) == []


def test_a_second_chart_of_the_same_title_gets_a_file_of_its_own(folder: Path, server: Server):
    with_a_new_chart(server)
    server.live[Key("charts", OTHER)]["slice_name"] = "Volume"
    assert [path.name for path in pull(server, folder)] == ["volume_f31fa92f.yaml", "board.yaml"]


def test_the_cache_time_that_a_dataset_has_from_its_database_is_no_edit_of_the_dataset(folder: Path, server: Server):
    server.live[Key("databases", DATABASE)]["cache_timeout"] = 300
    server.live[Key("datasets", DATASET)]["cache_timeout"] = 300
    assert [path.name for path in pull(server, folder)] == ["lake.yaml"]
    server.live[Key("datasets", DATASET)]["cache_timeout"] = 60
    assert [path.name for path in pull(server, folder)] == ["ticks.yaml"]
    server.live[Key("datasets", DATASET)]["cache_timeout"] = 300
    assert [path.name for path in pull(server, folder)] == ["ticks.yaml"]


def test_an_unknown_board_is_refused_with_those_that_are_there(folder: Path, server: Server):
    with pytest.raises(ConfigurationError, match="no board gone; it has board"):
        pull(server, folder, ["gone"])


def test_a_patch_is_what_git_takes(folder: Path, server: Server):
    with_a_new_chart(server)
    server.live[Key("datasets", DATASET)]["description"] = "Ticks"
    (folder / "dashboards/board.yaml").write_text(FILES["dashboards/board.yaml"].rstrip("\n"))
    text = patch(server, folder, [Key("dashboards", BOARD)], root=folder.parent)
    before = {path: path.read_text() for path in folder.rglob("*.yaml")}
    subprocess.run(["git", "init", "--quiet"], cwd=folder.parent, check=True)
    subprocess.run(["git", "apply", "-"], cwd=folder.parent, check=True, input=text.encode())
    after = {path: path.read_text() for path in folder.rglob("*.yaml")}
    assert after.keys() - before.keys() == {folder / "charts/nlike_any.yaml"}
    contents = {key: content for key, content in server.live.items() if key.kind != "databases"}
    assert changes(folder, contents) == {}
    assert patch(server, folder, [Key("charts", CHART)], root=folder.parent) == ""
