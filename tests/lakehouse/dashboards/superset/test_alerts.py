from __future__ import annotations

from unittest.mock import create_autospec

import pytest

from lakehouse.dashboards.objects import Key
from lakehouse.dashboards.superset.alerts import Alerts
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.exceptions import ConfigurationError

ALERT = {
    "name": "late",
    "sql": "SELECT 1\n",
    "crontab": "5 * * * *",
    "database": "databases/a.yaml",
    "dashboard": "dashboards/b.yaml",
    "threshold": "> 36",
    "recipients": ["b@example.org", "a@example.org"],
    "owners": ["admin"],
}


def alerts(*documents: dict) -> Alerts:
    files = {f"alerts/{number}.yaml": document for number, document in enumerate(documents)}
    others = {"databases/a.yaml": {"uuid": "1"}, "dashboards/b.yaml": {"uuid": "2"}}
    return Alerts(create_autospec(SupersetClient, instance=True), files | others)


def test_order_spaces_and_defaults_are_said_one_way():
    wanted = alerts(ALERT).wanted()[Key("alerts", "late")]
    assert wanted.path == "alerts/0.yaml"
    assert wanted.content["recipients"] == ["a@example.org", "b@example.org"]
    assert wanted.content["sql"] == "SELECT 1"
    assert wanted.content["threshold"] == "> 36"
    assert (wanted.content["active"], wanted.content["timezone"], wanted.content["description"]) == (True, "UTC", "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"threshold": "36"}, "threshold"),
        ({"threshold": "=> 36"}, "threshold"),
        ({"threshold": "> many"}, "threshold"),
        ({"database": "databases/none.yaml"}, "databases/none.yaml"),
        ({"dashboard": "charts/c.yaml"}, "charts/c.yaml"),
        ({"colour": "red"}, "unknown key colour"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name(change, reason):
    with pytest.raises(ConfigurationError, match=reason):
        alerts(ALERT | change)


@pytest.mark.parametrize("key", sorted(set(ALERT) - {"name"}))
def test_a_key_that_is_missing_is_named(key):
    with pytest.raises(ConfigurationError, match=f"alerts/0.yaml: needs {key}"):
        alerts({name: value for name, value in ALERT.items() if name != key})


def test_two_alerts_of_one_name_are_refused():
    with pytest.raises(ConfigurationError, match=r"alerts/0\.yaml is an alert of the same name"):
        alerts(ALERT, ALERT)
