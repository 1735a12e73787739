"""Superset as a target of the sync: what its folder wants, and the parts that read and write it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from lakehouse.dashboards.objects import Key, Part, Wanted
from lakehouse.dashboards.plan import Action, Plan
from lakehouse.dashboards.results import BoardResult
from lakehouse.dashboards.superset.alerts import Alerts
from lakehouse.dashboards.superset.assets import Assets
from lakehouse.dashboards.superset.bundle import KINDS
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.files import read_folder
from lakehouse.dashboards.superset.normal import name_of, normalise, password_of
from lakehouse.dashboards.superset.security import Security
from lakehouse.dashboards.superset.verify import verify_board
from lakehouse.exceptions import ConfigurationError


class SupersetTarget:
    """A folder of files, and the server that is to look like it.

    Args:
        client: identity that reads and writes; an admin, because only an admin may write over what others own.
        folder: what is wanted.
        variables: for `${NAME}` in the files.

    Raises:
        ConfigurationError: the server is older than 6.1, or a file is wrong.
    """

    name = "superset"
    kept: Collection[Key] = ()

    def __init__(self, client: SupersetClient, folder: Path, variables: Mapping[str, str]) -> None:
        client.require_version()
        self._client = client
        self.documents = read_folder(folder, variables)
        passwords = {key: one.secret for key, one in self._assets.items() if one.secret}
        self._security, self._alerts = Security(client, self.documents), Alerts(client, self.documents)
        self.parts: tuple[Part, ...] = (Assets(client, passwords), self._security, self._alerts)

    @property
    def user(self) -> str:
        """The display name of the identity that writes."""
        return self._client.display_name

    def wanted(self) -> dict[Key, Wanted]:
        """What the files say, in normal form."""
        return {**self._assets, **self._security.wanted(), **self._alerts.wanted()}

    @cached_property
    def _assets(self) -> dict[Key, Wanted]:
        return {
            Key(path.split("/")[0], str(document["uuid"])): Wanted(normalise(document), name_of(document), path, password_of(document))
            for path, document in self.documents.items()
            if path.split("/")[0] in KINDS
        }

    def verify(self, clients: Mapping[str, SupersetClient], plan: Plan) -> tuple[BoardResult, ...]:
        """Run every chart of every board of the files, as a user of the role it is meant for.

        Args:
            clients: a user's session by role.
            plan: as applied; a board that drifted need not have each chart of its file.
        """
        drifted = {change.key.id for change in plan.of(Action.DRIFTED)}
        results = []
        for path, board in self.documents.items():
            if path.startswith("dashboards/"):
                role = self._meant_for(path)
                results.append(verify_board(clients[role], self._client, board, role, as_filed=str(board["uuid"]) not in drifted))
        return tuple(results)

    def roles(self, connections: Mapping[str, str]) -> set[str]:
        """The roles that boards are meant for.

        Args:
            connections: by role, the connection of a user who has it.

        Raises:
            ConfigurationError: a board is meant for a role that has none.
        """
        found = {self._meant_for(path): path for path in self.documents if path.startswith("dashboards/")}
        for role, path in found.items():
            if role not in connections:
                raise ConfigurationError(f"{path} is meant for {role}, and there is no connection of such a user to verify it")
        return set(found)

    def _meant_for(self, path: str) -> str:
        boards: dict[str, Any] = self.documents.get("security/boards.yaml") or {}
        return str((boards.get(path) or {}).get("meant_for") or "Viewer")
