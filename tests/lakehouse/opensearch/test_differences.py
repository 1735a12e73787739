from __future__ import annotations

import pytest

from lakehouse.opensearch.differences import differences, index_template, ism_policy, security_object


@pytest.mark.parametrize(
    ("settings", "live"),
    [
        ({"number_of_shards": 1}, {"index": {"number_of_shards": "1"}}),
        ({"index.mapping.total_fields.limit": 200}, {"index": {"mapping": {"total_fields": {"limit": "200"}}}}),
        ({"index": {"hidden": True}}, {"index": {"hidden": "true"}}),
    ],
)
def test_settings_are_the_same_however_they_are_nested_and_typed(settings, live):
    sent = {"index_patterns": ["a-*"], "template": {"settings": settings, "mappings": {"dynamic": False}}}
    kept = {"index_patterns": ["a-*"], "template": {"settings": live, "mappings": {"dynamic": "false"}}, "composed_of": []}
    assert differences(index_template(sent), index_template(kept)) == ()


def test_a_template_for_other_indices_differs():
    assert differences(index_template({"index_patterns": ["a-*"]}), index_template({"index_patterns": ["b-*"]})) == (
        "index_patterns: [b-*] -> [a-*]",
    )


def test_what_the_security_plugin_adds_is_no_difference_but_another_grant_is():
    sent = {"users": ["b", "a"]}
    kept = {"users": ["a", "b"], "hosts": [], "reserved": False, "static": False, "hash": "", "description": None}
    assert differences(security_object(sent), security_object(kept)) == ()
    assert differences(security_object(sent), security_object(kept | {"hosts": ["*"]})) == ("hosts.*: listed -> absent",)


@pytest.mark.parametrize("query", ["{}", '{"match_all": {}}', "no JSON"])
def test_a_query_that_somebody_added_is_a_difference_whatever_it_is(query):
    (said,) = differences(security_object({"index_permissions": [{}]}), security_object({"index_permissions": [{"dls": query}]}))
    assert said.startswith("index_permissions[0].dls: ")


def test_one_template_of_a_policy_may_stand_without_its_list():
    one = {"index_patterns": ["a-*"], "priority": 1}
    sent, kept = {"policy": {"ism_template": one}}, {"policy": {"ism_template": [one | {"last_updated_time": 1}], "user": {"name": "x"}}}
    assert differences(ism_policy(sent), ism_policy(kept)) == ()


def test_a_long_value_is_shown_in_part():
    (said,) = differences({"field": "x" * 1000}, {})
    assert len(said) < 300
