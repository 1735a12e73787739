from __future__ import annotations

import json

import pytest

from lakehouse.exceptions import ConfigurationError
from lakehouse.opensearch.folder import User, read_folder
from stack.installation import REPO


def test_the_delivered_folder_reads_and_names_what_the_product_needs():
    folder = read_folder(REPO / "include" / "opensearch")
    assert set(folder.index_templates) == set(folder.ism_policies) == {"logs"}
    assert folder.users["log_shipper"] == User({"description": "writes and reads back logs-*"}, "lakehouse_opensearch")
    assert folder.users["log_reader"].connection is None
    for role, mapping in folder.role_mappings.items():
        assert role in folder.roles
        assert set(mapping.get("users", ())) <= set(folder.users)


def test_every_service_of_the_sample_logs_belongs_to_exactly_one_team():
    from include.sample_data.logs import _OUTAGES

    roles = read_folder(REPO / "include" / "opensearch").roles
    teams = [json.loads(role["index_permissions"][0]["dls"]) for name, role in roles.items() if name.startswith("logs_read_")]
    assert sorted(service for team in teams for service in team["terms"]["service"]) == sorted(_OUTAGES)


def test_a_folder_without_files_has_nothing(tmp_path):
    assert read_folder(tmp_path).roles == {}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("security.yaml", "roles: [", "security.yaml: not YAML"),
        ("security.yaml", "rolls: {}", "write roles, role_mappings, users at the top"),
        ("security.yaml", "roles: {r: {index_permision: []}}", "roles.r: known keys are cluster_permissions, description"),
        ("security.yaml", "users: {u: {password: p}}", "users.u: known keys are attributes, backend_roles, connection, description"),
        ("security.yaml", "users: {u: }", "users.u: known keys"),
        ("index_templates/t.json", "{", "t.json: not JSON"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_way_to_write_it(tmp_path, name, text, said):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        read_folder(tmp_path)
