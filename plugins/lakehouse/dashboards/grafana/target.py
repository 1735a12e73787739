"""Grafana as a target of the sync: what its folder wants, and the parts that read and write it."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from lakehouse.dashboards.grafana.alerting import (
    ContactPoints,
    MuteTimings,
    NotificationPolicies,
    RuleGroups,
    plain_group,
    wanted_contact_point,
    wanted_route,
)
from lakehouse.dashboards.grafana.boards import Dashboards, LibraryPanels
from lakehouse.dashboards.grafana.client import GrafanaClient
from lakehouse.dashboards.grafana.data_sources import DataSources, wanted_data_source
from lakehouse.dashboards.grafana.files import board_in_folder, kind_of, read_folder
from lakehouse.dashboards.grafana.folders import Folders, in_order
from lakehouse.dashboards.objects import Document, Key, Part, Wanted
from lakehouse.dashboards.plan import Action, Plan
from lakehouse.exceptions import ConfigurationError

DEPLOYED = "lakehouse-deploy"
ALERTING = ("contact_points", "notification_policies", "rule_groups")


class GrafanaTarget:
    """A folder of files, and the server that is to look like it.

    Args:
        client: identity that reads and writes, with the role Admin.
        folder: what is wanted.
        variables: for `${NAME}` in the files.
        message: what each version of a dashboard says of itself, such as the run that wrote it.

    Raises:
        ConfigurationError: the server is no Grafana 12 or 13, or a file is wrong.
    """

    name = "grafana"

    def __init__(self, client: GrafanaClient, folder: Path, variables: Mapping[str, str], message: str = "from files") -> None:
        client.require_version()
        self._client = client
        read = read_folder(folder, variables)
        self.documents, self.left_out = read.documents, read.left_out
        self._secrets: dict[Key, Mapping[str, Any]] = {}
        self._files = dict(self._wanted(path, document) for path, document in self.documents.items())
        self.kept: Collection[Key] = {
            self._wanted(path, document)[0] for path, document in read.left_documents.items()
        } - self._files.keys()
        self.parts: tuple[Part, ...] = (
            Folders(client),
            DataSources(client, self._secrets),
            LibraryPanels(client),
            Dashboards(client, message[:500]),
            MuteTimings(client),
            ContactPoints(client, self._secrets),
            NotificationPolicies(client),
            RuleGroups(client),
        )

    @cached_property
    def user(self) -> str:
        """The login of the identity that writes."""
        return self._client.login

    def wanted(self) -> dict[Key, Wanted]:
        """What the files say, in normal form."""
        return self._files

    def _wanted(self, path: str, document: Document) -> tuple[Key, Wanted]:
        kind = kind_of(path)
        match kind:
            case "folders":
                key = Key(kind, _named(path, document, "uid"))
                content = {**document, "permissions": in_order(document["permissions"])} if "permissions" in document else document
                return key, Wanted(content, _named(path, document, "title"), path)
            case "dashboards":
                return Key(kind, _named(path, document, "uid")), Wanted(
                    board_in_folder(path, document), _named(path, document, "title"), path
                )
            case "data_sources" | "contact_points":
                key = Key(kind, _named(path, document, "uid"))
                _named(path, document, "name")
                wanted, secrets = (wanted_data_source if kind == "data_sources" else wanted_contact_point)(path, document)
                self._secrets[key] = secrets
                return key, wanted
            case "notification_policies":
                wanted = wanted_route(path, document)
                return Key(kind, wanted.name), wanted
            case "rule_groups":
                title = _named(path, document, "title")
                return Key(kind, f"{_named(path, document, 'folderUid')}/{title}"), Wanted(plain_group(document), title, path)
            case "library_panels":
                return Key(kind, _named(path, document, "uid")), Wanted(document, _named(path, document, "name"), path)
            case _:  # mute timings have no uid
                return Key(kind, _named(path, document, "name")), Wanted(document, _named(path, document, "name"), path)

    def tells_people(self, plan: Plan) -> bool:
        """Whether rules, route and contact points are all there as the files say, so that an alert of Grafana's reaches somebody."""
        states = {kind: {change.action for change in plan.changes if change.key.kind == kind} for kind in ALERTING}
        return all(states[kind] == {Action.UNCHANGED} for kind in ALERTING)

    def annotate(self, text: str) -> None:
        """Mark on every board that shows it that boards were deployed now."""
        self._client.request("POST", "/api/annotations", json={"time": int(time.time() * 1000), "tags": [DEPLOYED], "text": text})


def _named(path: str, document: Document, key: str) -> str:
    """A key that tells one object from another.

    Raises:
        ConfigurationError: the file has none.
    """
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{path}: needs a `{key}`, a text of its own: Grafana would make a new object at each sync")
    return value
