"""Superset's alerts, which no export has: a query, a threshold, a schedule and who gets the mail.

Sources, in apache-superset 6.1.0: `superset/reports/api.py`, `superset/reports/schemas.py`, `superset/commands/report/execute.py`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from lakehouse.dashboards.objects import Document, Key, Live, Shape, Wanted
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.names import Names
from lakehouse.exceptions import ConfigurationError

_DEFAULTS: dict[str, Any] = {
    "description": "",
    "active": True,
    "timezone": "UTC",
    "grace_period": 4 * 3600,
    "working_timeout": 120,
    "log_retention": 90,
    "email_subject": "",
}
_MANDATORY = ("name", "sql", "crontab", "database", "dashboard", "threshold", "recipients", "owners")
_OPERATORS = ("<", "<=", ">", ">=", "==", "!=")


class Alerts:
    """The alerts of a Superset server.

    An alert is mailed as a text with a link to its board: a picture would need a headless browser in the worker.

    Args:
        client: an admin.
        documents: every file of the folder by its path; those under `alerts/` are ours, the others are what they name.

    Raises:
        ConfigurationError: a file has an unknown key, lacks one, or names a file that is not there.
    """

    kinds = ("alerts",)
    together = False
    shape = Shape()

    def __init__(self, client: SupersetClient, documents: Mapping[str, Document]) -> None:
        self._client = client
        self._names = Names(client, documents)
        self._wanted: dict[Key, Wanted] = {}
        for path, document in documents.items():
            if path.startswith("alerts/"):
                key = Key("alerts", str(document.get("name")))
                if key in self._wanted:
                    raise ConfigurationError(f"{path}: {self._wanted[key].path} is an alert of the same name")
                self._wanted[key] = Wanted(self._content(path, document), key.id, path)

    def _content(self, path: str, document: Document) -> dict[str, Any]:
        if missing := [key for key in _MANDATORY if key not in document]:
            raise ConfigurationError(f"{path}: needs {', '.join(missing)}")
        if strange := sorted(set(document) - {*_MANDATORY, *_DEFAULTS}):
            raise ConfigurationError(f"{path}: unknown key {', '.join(strange)}")
        operator, _, number = str(document["threshold"]).partition(" ")
        try:
            float(number)
        except ValueError:
            operator = ""
        if operator not in _OPERATORS:
            raise ConfigurationError(f"{path}: `threshold` is an operator and a number such as '> 36', not {document['threshold']!r}")
        for named in ("database", "dashboard"):
            self._names.uuid(document[named])
        given = {key: document[key] for key in (*_MANDATORY, *_DEFAULTS) if key in document}
        return _normal(_DEFAULTS | given)

    def wanted(self) -> dict[Key, Wanted]:
        """What the files say."""
        return self._wanted

    def live(self, keys: Collection[Key], known: Mapping[Key, Live] = MappingProxyType({})) -> dict[Key, Live]:  # noqa: ARG002  # all are in one list
        """Those of the keys that exist; the list of alerts has no SQL, so that each of ours is asked for."""
        self._names.forget()
        names = {key.id for key in keys}
        found = {}
        for entry in self._listed():
            if entry["name"] in names:
                alert = self._client.request("GET", f"/api/v1/report/{entry['id']}").json()["result"]
                by = entry.get("changed_by") or {}
                found[Key("alerts", entry["name"])] = Live(
                    self._as_file(alert),
                    entry["name"],
                    f"{self._client.public_url}/alert/{entry['id']}/log/",
                    f"{by.get('first_name') or ''} {by.get('last_name') or ''}".strip(),
                    # The scheduler's own notes move this too.
                    "",
                )
        return found

    def _listed(self) -> list[dict[str, Any]]:
        listed = self._client.list("report", ("id", "name", "type", "changed_by.first_name", "changed_by.last_name"))
        return [entry for entry in listed if entry["type"] == "Alert"]

    def _as_file(self, alert: Mapping[str, Any]) -> dict[str, Any]:
        rule = json.loads(alert["validator_config_json"] or "{}")
        users = {user["id"]: user["username"] for user in self._names.listed("security/users")}
        on = alert.get("dashboard") or {}
        threshold = f"{rule.get('op')} {rule.get('threshold')}" if alert["validator_type"] == "operator" else str(alert["validator_type"])
        content: dict[str, Any] = {
            **{key: alert[key] for key in ("name", "sql", "crontab", *_DEFAULTS)},
            "threshold": threshold,
            "database": self._names.path("database", alert["database"]["id"]),
            "dashboard": self._names.path("dashboard", on["id"]) if on else "",
            "recipients": [_recipient(one) for one in alert["recipients"]],
            "owners": [users.get(owner["id"], str(owner["id"])) for owner in alert["owners"]],
        }
        return _normal(content)

    def write(self, documents: Mapping[Key, Document]) -> None:
        """Create them, or bring them to this content."""
        self._names.forget()
        there = {entry["name"]: entry["id"] for entry in self._listed()}
        for key, content in documents.items():
            operator, _, number = content["threshold"].partition(" ")
            body = {
                **{field: content[field] for field in ("name", "sql", "crontab", *_DEFAULTS)},
                "type": "Alert",
                "creation_method": "alerts_reports",
                "validator_type": "operator",
                "validator_config_json": {"op": operator, "threshold": float(number)},
                "database": self._names.number(content["database"]),
                "dashboard": self._names.number(content["dashboard"]),
                "chart": None,
                "recipients": [{"type": "Email", "recipient_config_json": {"target": target}} for target in content["recipients"]],
                "owners": [self._names.user(name) for name in content["owners"]],
            }
            if key.id in there:
                self._client.request("PUT", f"/api/v1/report/{there[key.id]}", json=body)
            else:
                self._client.request("POST", "/api/v1/report/", json=body)

    def in_use(self, key: Key) -> str:  # noqa: ARG002  # nothing is made of these
        """Nothing is drawn from it."""
        return ""

    def delete(self, key: Key) -> None:
        """Remove an alert that may already be gone."""
        for entry in self._listed():
            if entry["name"] == key.id:
                self._client.request("DELETE", f"/api/v1/report/{entry['id']}", accept=(404,))


def _normal(content: Mapping[str, Any]) -> dict[str, Any]:
    """Order, spaces and the empty value said one way."""
    operator, _, number = str(content["threshold"]).partition(" ")
    try:
        threshold = f"{operator} {float(number):g}"
    except ValueError:  # A rule of another kind, made in the UI.
        threshold = str(content["threshold"])
    return {
        **{key: "" if content[key] is None else content[key] for key in (*_DEFAULTS, "name", "crontab", "database", "dashboard")},
        "sql": str(content["sql"]).strip(),
        "threshold": threshold,
        "recipients": sorted(map(str, content["recipients"])),
        "owners": sorted(map(str, content["owners"])),
    }


def _recipient(entry: Mapping[str, Any]) -> str:
    """A mail address as it stands in a file; another way than mail with its name before it."""
    target = str(json.loads(entry["recipient_config_json"] or "{}").get("target") or "")
    return target if entry["type"] == "Email" else f"{entry['type']} {target}"
