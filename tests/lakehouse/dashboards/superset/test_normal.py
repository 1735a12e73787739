from __future__ import annotations

import json

import pytest

from lakehouse.dashboards.superset.normal import for_import, normalise, password_of


def place(uuid: str, **meta: object) -> dict[str, object]:
    return {"type": "CHART", "meta": {"uuid": uuid, "sliceName": uuid, **meta}}


def test_a_board_says_its_charts_by_uuid_whatever_their_numbers_are_here():
    def board(one: int, two: int) -> dict[str, object]:
        scope = {"rootPath": ["ROOT_ID"], "excluded": [two]}
        filters = [{"id": "f", "scope": scope, "chartsInScope": [one]}]
        own = {
            str(one): {"id": one, "crossFilters": {"scope": scope, "chartsInScope": []}},
            str(two): {"id": two, "crossFilters": {"scope": "global"}},
        }
        return {
            "position": {"A": place("a", chartId=one), "B": place("b", chartId=two)},
            "metadata": {"native_filter_configuration": filters, "chart_configuration": own, "map_label_colors": {"x": "red"}},
        }

    here, there = normalise(board(11, 12)), normalise(board(71, 70))
    assert here == there
    assert here["metadata"]["chart_configuration"] == {
        "a": {"id": "a", "crossFilters": {"scope": {"rootPath": ["ROOT_ID"], "excluded": ["b"]}}}
    }
    sent = for_import(here)
    assert [item["meta"]["chartId"] for item in sent["position"].values()] == [1, 2]
    assert sent["metadata"]["native_filter_configuration"][0]["scope"]["excluded"] == [2]
    assert normalise(sent) == here


def test_a_chart_of_another_board_is_known_by_the_servers_own_numbers():
    document = {"position": {}, "metadata": {"native_filter_configuration": [{"scope": {"excluded": [5, 6]}}]}}
    assert normalise(document, {5: "u5"})["metadata"]["native_filter_configuration"] == [{"scope": {"excluded": ["u5", 6]}}]


def test_json_in_text_is_opened_and_what_belongs_to_this_server_is_dropped():
    context = {"datasource": {"id": 3}, "queries": [{"columns": ["a"]}], "form_data": {"slice_id": 7, "x": 1}}
    live = {"params": {"datasource": "3__table", "dashboards": [1], "x": 1}, "query_context": json.dumps(context)}
    said = normalise(live)
    assert said == {"params": {"x": 1}, "query_context": {"queries": [{"columns": ["a"]}], "form_data": {"x": 1}}}
    assert json.loads(for_import(said)["query_context"])["datasource"] == {"id": 0, "type": "table"}


@pytest.mark.fault(23)
@pytest.mark.parametrize(
    ("address", "password", "shown"),
    [
        ("trino://u:p%40w@host:1/c", "p%40w", "trino://u:XXXXXXXXXX@host:1/c"),
        ("trino://u:XXXXXXXXXX@host:1/c", "", "trino://u:XXXXXXXXXX@host:1/c"),
        ("trino://u@host:1/c", "", "trino://u@host:1/c"),
    ],
)
def test_a_password_in_an_address_is_taken_out(address, password, shown):
    assert password_of({"sqlalchemy_uri": address}) == password
    assert normalise({"sqlalchemy_uri": address})["sqlalchemy_uri"] == shown


def test_a_database_says_the_same_whichever_export_it_comes_from():
    by_dataset = {"sqlalchemy_uri": "x://", "allow_file_upload": False, "extra": {"schemas_allowed_for_file_upload": []}}
    by_database = {"sqlalchemy_uri": "x://", "allow_csv_upload": False, "extra": {"schemas_allowed_for_csv_upload": []}}
    assert normalise(by_dataset) == normalise(by_database) == by_database
