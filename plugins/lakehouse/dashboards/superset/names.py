"""Superset's numbers beside the names that files use: a dataset's or a board's path in the folder, a role's and a user's name."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from lakehouse.dashboards.objects import Document
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.exceptions import ConfigurationError, ServiceError

_KINDS = {"databases": "database", "datasets": "dataset", "charts": "chart", "dashboards": "dashboard"}
_COLUMNS = {
    "database": ("id", "uuid"),
    "dataset": ("id", "uuid", "owners.id"),
    "chart": ("id", "uuid", "slice_name", "owners.id", "dashboards.id"),
    "dashboard": ("id", "uuid", "owners.id"),
    "security/users": ("id", "username"),
    "rowlevelsecurity": (
        *("id", "name", "filter_type", "group_key", "clause", "roles.name", "roles.id", "tables.id", "tables.table_name"),
        *("changed_by.first_name", "changed_by.last_name"),
    ),
}  # fmt: skip


class Names:
    """The names of one folder on one server; a list is asked for once, until `forget`.

    Attributes:
        documents: the folder's files by path.
    """

    def __init__(self, client: SupersetClient, documents: Mapping[str, Document]) -> None:
        self._client, self.documents = client, documents
        self._lists: dict[str, list[dict[str, Any]]] = {}
        self._paths = {str(document["uuid"]): path for path, document in documents.items() if path.split("/")[0] in _KINDS}

    def forget(self) -> None:
        """Ask the server again."""
        self._lists.clear()

    def listed(self, resource: str) -> list[dict[str, Any]]:
        """Every entry of a resource."""
        if resource not in self._lists:
            self._lists[resource] = list(self._client.list(resource, _COLUMNS[resource]))
        return self._lists[resource]

    @property
    def roles(self) -> dict[str, dict[str, Any]]:
        """Roles with `id` and `permission_ids`, by name."""
        if "roles" not in self._lists:
            # The list of roles has no permissions; this one has no columns to choose and any size of page.
            answer = self._client.request("GET", "/api/v1/security/roles/search/?q=(page_size:10000)").json()
            self._lists["roles"] = answer["result"]
        return {role["name"]: role for role in self._lists["roles"]}

    @property
    def permissions(self) -> list[dict[str, Any]]:
        """Every permission with its `id`, `permission` and `view_menu`."""
        if "permissions" not in self._lists:
            found: list[dict[str, Any]] = []
            # In an order: without one, a page may have what another had, and what was written last is on none.
            place = "/api/v1/security/permissions-resources/?q=(order_column:id,order_direction:asc,page:{},page_size:100)"
            for page in count():
                answer = self._client.request("GET", place.format(page)).json()
                found += answer["result"]
                if not answer["result"] or len(found) >= answer["count"]:
                    break
            self._lists["permissions"] = found
        return self._lists["permissions"]

    @property
    def rules(self) -> dict[str, dict[str, Any]]:
        """Rules of row-level security by name."""
        return {rule["name"]: rule for rule in self.listed("rowlevelsecurity")}

    def uuid(self, path: str) -> str:
        """The UUID of the object whose file is at `path`.

        Raises:
            ConfigurationError: there is no such file.
        """
        document = self.documents.get(path)
        if document is None or path.split("/")[0] not in _KINDS:
            raise ConfigurationError(f"{path} is named, and there is no such file")
        return str(document["uuid"])

    def find(self, path: str) -> dict[str, Any] | None:
        """The server's entry of a file, if it has one."""
        uuid = path.split("/")[-1] if path not in self.documents else self.uuid(path)
        return next((entry for entry in self.listed(_KINDS[path.split("/")[0]]) if str(entry["uuid"]) == uuid), None)

    def number(self, path: str) -> int:
        """The server's number of a file.

        Raises:
            ServiceError: the server does not have it.
        """
        entry = self.find(path)
        if entry is None:
            raise ServiceError(f"Superset does not have {path}", target=path)
        return int(entry["id"])

    def path(self, kind: str, number: int) -> str:
        """The file of a dataset or the like by its number; `datasets/<uuid>` where no file has it."""
        entry = next((entry for entry in self.listed(kind) if entry["id"] == number), None)
        if entry is None:
            return f"{kind}s/({number}, which is gone)"
        return self._paths.get(str(entry["uuid"]), f"{kind}s/{entry['uuid']}")

    def users_of(self, entry: Mapping[str, Any]) -> list[str]:
        """The user names of an entry's owners, sorted."""
        names = {user["id"]: user["username"] for user in self.listed("security/users")}
        return sorted(str(names.get(owner["id"], owner["id"])) for owner in entry.get("owners") or ())

    def user(self, name: str) -> int:
        """The number of a user.

        Raises:
            ServiceError: there is no such user.
        """
        for user in self.listed("security/users"):
            if user["username"] == name:
                return int(user["id"])
        raise ServiceError(f"Superset has no user {name}: make the user, or name another one in the file", target=name)
