"""What files may say of roles and rules; reading and writing them is tried on the real server."""

from __future__ import annotations

from unittest.mock import create_autospec

import pytest

from lakehouse.dashboards.objects import Key
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.security import Security
from lakehouse.exceptions import ConfigurationError

PERMISSIONS = ["can_read on Chart", "can_write on Chart", "all_datasource_access on all_datasource_access", "menu_access on Home"]
DATASET = "datasets/lake/ticks.yaml"


def security(**files: dict) -> Security:
    """Roles and rules by file name; the server has the role Gamma with `PERMISSIONS`."""

    def request(method: str, path: str, **options: object):
        answer = create_autospec(object, instance=True)
        roles = [{"id": 4, "name": "Gamma", "permission_ids": list(range(len(PERMISSIONS)))}]
        texts = [
            {"id": i, "permission": {"name": p.split(" on ")[0]}, "view_menu": {"name": p.split(" on ")[1]}}
            for i, p in enumerate(PERMISSIONS)
        ]
        answer.json = lambda: {"result": roles} if "/roles/search/" in path else {"result": texts, "count": len(texts)}
        return answer

    client = create_autospec(SupersetClient, instance=True)
    client.request.side_effect = request
    documents: dict[str, dict] = {DATASET: {"uuid": "11111111-1111-1111-1111-111111111111"}}
    for name, document in files.items():
        folder = "roles" if "roles" not in document else "row_level_security"
        documents[f"security/{folder}/{name}.yaml"] = document
    return Security(client, documents)


def permissions(role: str, **files: dict) -> list[str]:
    return list(security(**files).wanted()[Key("roles", role)].content["permissions"])


def test_a_role_may_do_what_another_may_and_sees_only_what_it_names():
    reader = {"name": "Reader", "like": ["Gamma"], "remove": ["can_write on Chart"], "datasets": [DATASET]}
    assert permissions("Reader", a=reader) == ["can_read on Chart", f"datasource_access on {DATASET}", "menu_access on Home"]
    maker = {"name": "Maker", "like": ["Reader"], "add": ["can_write on Chart"]}
    assert permissions("Maker", a=reader, b=maker) == ["can_read on Chart", "can_write on Chart", "menu_access on Home"]


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        ({"name": "Gamma"}, "set back at every upgrade"),
        ({"name": ""}, "needs a `name`"),
        ({"name": "a", "like": ["b"]}, "like the role b, which neither"),
        ({"name": "a", "like": ["a"]}, "a is like a"),
        ({"name": "a", "remove": ["can_write on Chart"]}, "which it would not have"),
        ({"name": "a", "datasets": ["datasets/none.yaml"]}, "datasets/none.yaml is named"),
        ({"name": "a", "grants": []}, "unknown key grants"),
    ],
)
def test_a_wrong_role_is_refused_with_its_file(role, reason):
    with pytest.raises(ConfigurationError, match=reason):
        security(a=role).wanted()


def test_two_roles_of_one_name_are_refused():
    with pytest.raises(ConfigurationError, match=r"roles/a\.yaml has it too"):
        security(a={"name": "x"}, b={"name": "x"})


def test_a_rule_is_said_in_names_and_in_order():
    rule = {"name": "r", "roles": ["b", "a"], "datasets": [DATASET], "underlyings": ["SPY"]}
    content = security(r=rule).wanted()[Key("row_level_security", "r")].content
    assert content == {
        "filter_type": "Regular",
        "group_key": "",
        "roles": ["a", "b"],
        "datasets": [DATASET],
        "clause": "REGEXP_LIKE(symbol, '^(SPY)[0-9][0-9][CP][0-9]')",
    }


@pytest.mark.fault(25)
def test_a_rule_that_ends_its_clause_is_refused_with_its_file():
    rule = {"name": "r", "roles": ["a"], "datasets": [DATASET], "clause": "1 = 1; DROP TABLE a"}
    with pytest.raises(ConfigurationError, match=r"security/row_level_security/r\.yaml: the clause"):
        security(r=rule).wanted()
