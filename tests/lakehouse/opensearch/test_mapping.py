from __future__ import annotations

import copy
import json
from collections.abc import Iterator

import pytest

from lakehouse.exceptions import ConfigurationError
from lakehouse.opensearch.client import OpenSearchClient
from lakehouse.opensearch.mapping import mapping_conflicts, missing_fields, refuse_conflicts
from stack.installation import REPO

TEMPLATE = json.loads((REPO / "include" / "opensearch" / "index_templates" / "logs.json").read_text())["template"]["mappings"]
FIELDS = {
    "event_time": "timestamptz",
    "level": "string",
    "message": "string",
    "meta": "struct",
    "meta.user": "string",
    "meta_text": "string",
    "service": "string",
    "snapshot_id": "long",
}


@pytest.fixture
def indices() -> dict[str, dict]:
    """The live indices' mappings; one is as the template makes it."""
    return {"logs-2026.11.22": json.loads(json.dumps(TEMPLATE).replace('"dynamic": false', '"dynamic": "false"'))}


@pytest.fixture
def client(indices, serve) -> Iterator[OpenSearchClient]:
    def answer(method, path, *_):
        assert (method, path) == ("GET", "/logs-*/_mapping")
        return 200, {}, json.dumps({index: {"mappings": mapping} for index, mapping in indices.items()}).encode()

    made = OpenSearchClient("OpenSearch", serve(answer))
    yield made
    made.session.close()


@pytest.fixture
def conflicts(client):
    return lambda fields=FIELDS, template=TEMPLATE: mapping_conflicts(client, "logs-*", fields, template)


def test_what_the_template_made_fits(client, conflicts):
    assert conflicts() == []
    refuse_conflicts(client, "logs-*", FIELDS, TEMPLATE)


def test_no_index_is_no_conflict(conflicts, indices):
    indices.clear()
    assert conflicts() == []


@pytest.mark.parametrize(
    ("field", "iceberg_type", "fits"),
    [
        ("level", "string", True),
        ("level", "list<string>", True),
        ("level", "decimal(10, 2)", True),
        ("message", "long", False),
        ("event_time", "timestamp", True),
        ("event_time", "date", True),
        ("event_time", "string", False),
        ("event_time", "list<string>", False),
        ("meta", "string", False),
        ("meta", "map<string, string>", True),
        ("meta.user", "struct<a: int>", False),
        ("level.sub", "string", False),
        ("not_mapped", "string", True),
        ("level", "geometry", False),
    ],
)
def test_a_column_fits_the_template_when_the_field_takes_all_its_values(conflicts, indices, field, iceberg_type, fits):
    indices.clear()
    found = conflicts({field: iceberg_type})
    assert bool(found) is not fits
    assert all(one.startswith(f"{field}: the contract") and "correct the index template or the contract" in one for one in found)


@pytest.mark.parametrize(
    ("iceberg_type", "field_type", "fits"),
    [("long", "integer", False), ("int", "long", True), ("double", "float", False), ("boolean", "boolean", True), ("long", "long", True)],
)
def test_numbers_must_not_lose_anything(conflicts, indices, iceberg_type, field_type, fits):
    indices.clear()
    assert bool(conflicts({"n": iceberg_type}, {"properties": {"n": {"type": field_type}}})) is not fits


def _level(mapping, **field):
    mapping["properties"]["level"] = field


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda m: _level(m, type="long"), "level: in index logs-2026.11.22 it is long, keyword is wanted; delete or reindex"),
        (lambda m: _level(m, properties={}), "level: in index logs-2026.11.22 it is object, keyword is wanted"),
        (
            lambda m: m["properties"].update(meta={"type": "keyword"}),
            "meta: in index logs-2026.11.22 it is keyword, object is wanted",
        ),
        (
            lambda m: m["properties"]["meta"]["properties"].update(user={"properties": {"id": {"type": "long"}}}),
            "meta.user: in index logs-2026.11.22 it is object, keyword is wanted",
        ),
        (
            lambda m: m["properties"].update(event_time={"type": "date", "format": "epoch_second"}),
            "event_time: in index logs-2026.11.22 it is date with format epoch_second, date is wanted",
        ),
        (
            lambda m: (m.update(dynamic="strict"), m["properties"]["meta"].update(dynamic="strict"), m["properties"].pop("snapshot_id")),
            "snapshot_id: index logs-2026.11.22 is strict and does not map it, keyword is wanted",
        ),
        (
            lambda m: m["properties"]["meta"].pop("dynamic") and m["properties"]["meta"].update(dynamic="true"),
            "meta: index logs-2026.11.22 maps unknown fields of it with dynamic true, false is wanted; PUT /logs-2026.11.22/_mapping",
        ),
    ],
)
def test_an_index_that_does_not_fit_is_named_with_its_field_and_the_way_on(conflicts, indices, edit, said):
    indices["logs-2026.11.21"] = copy.deepcopy(indices["logs-2026.11.22"])
    edit(indices["logs-2026.11.22"])
    found = conflicts()
    assert any(one.startswith(said) for one in found), found
    assert not any("logs-2026.11.21" in one for one in found)


def test_what_lies_below_a_clash_is_not_said_again(conflicts, indices):
    indices["logs-2026.11.22"]["properties"]["meta"] = {"type": "keyword"}
    assert len(conflicts()) == 1


def test_all_conflicts_are_refused_at_once(client, indices):
    indices["logs-2026.11.22"]["properties"]["level"] = {"type": "long"}
    with pytest.raises(ConfigurationError, match=r"(?s)nothing was sent.*event_time: the contract.*level: in index"):
        refuse_conflicts(client, "logs-*", FIELDS | {"event_time": "string"}, TEMPLATE)


def test_missing_fields_keep_their_nesting_and_leave_clashes_alone():
    wanted = {"properties": {"a": {"type": "long"}, "o": {"properties": {"x": {"type": "long"}, "y": {"type": "long"}}}}}
    live = {"properties": {"a": {"type": "text"}, "o": {"properties": {"x": {"type": "text"}}}}}
    assert missing_fields(wanted, live) == {"o": {"properties": {"y": {"type": "long"}}}}
