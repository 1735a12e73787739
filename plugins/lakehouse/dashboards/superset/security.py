"""Superset's roles, row-level security and owners, which no export has: read and written by its REST API.

Sources, in apache-superset 6.1.0: `superset/security/api.py` (`/security/roles/search/`), `superset/row_level_security/`, and in
flask-appbuilder 5: `flask_appbuilder/security/sqla/apis/role/api.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from lakehouse.dashboards.objects import Document, Key, Live, Shape, Wanted
from lakehouse.dashboards.superset.clause import clause_of
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.names import Names
from lakehouse.exceptions import ConfigurationError, ServiceError

_ROLE = {"name", "like", "add", "remove", "datasets", "databases"}
_RULE = {"name", "filter_type", "group_key", "roles", "datasets", "column", "underlyings", "clause"}
_BOARD = {"meant_for", "owners"}
# `superset init`, which runs at every upgrade, sets these back.
_ROLES_OF_SUPERSET = ("Admin", "Alpha", "Gamma", "Public", "sql_lab")
_ACCESS = {"dataset": "datasource_access", "database": "database_access"}
_NUMBERED = re.compile(r"\(id:(\d+)\)$")


class Security:
    """The part of Superset that says who may see and do what.

    Args:
        client: an admin.
        documents: every file of the folder by its path; those under `security/` are ours, the others are what they name.

    Raises:
        ConfigurationError: a file has an unknown key, or names a file that is not there.
    """

    # A rule before the right to see what it filters; one that names a new role is tried again after the roles.
    kinds = ("row_level_security", "roles", "owners")
    together = False
    shape = Shape()

    def __init__(self, client: SupersetClient, documents: Mapping[str, Document]) -> None:
        self._client = client
        self._names = Names(client, documents)
        self._roles = self._files("security/roles/", _ROLE)
        self._rules = self._files("security/row_level_security/", _RULE)
        self._owned: dict[str, Document] = dict(documents.get("security/boards.yaml") or {})
        for path, entry in self._owned.items():
            _refuse_unknown(f"security/boards.yaml, {path}", entry, _BOARD)
            self._names.uuid(path)
        for name, (path, _) in self._roles.items():
            if name in _ROLES_OF_SUPERSET:
                raise ConfigurationError(
                    f"{path}: the role {name} is Superset's own and is set back at every upgrade; use `like: [{name}]`"
                )

    def _files(self, prefix: str, known: set[str]) -> dict[str, tuple[str, Document]]:
        found: dict[str, tuple[str, Document]] = {}
        for path, document in self._names.documents.items():
            if path.startswith(prefix):
                _refuse_unknown(path, document, known)
                name = str(document.get("name") or "")
                if not name or name in found:
                    raise ConfigurationError(f"{path}: needs a `name` of its own" + (f", {found[name][0]} has it too" if name else ""))
                found[name] = (path, document)
        return found

    def wanted(self) -> dict[Key, Wanted]:
        """What the files say. A role that is like one of Superset's own is spelled out, so that the plan shows each permission.

        Raises:
            ConfigurationError: a role is like one that does not exist, or a rule's clause is none.
        """
        found = {}
        for name, (path, _) in self._roles.items():
            found[Key("roles", name)] = Wanted({"permissions": sorted(self._permissions_of(name, path, ()))}, name, path)
        for name, (path, document) in self._rules.items():
            found[Key("row_level_security", name)] = Wanted(self._rule(path, document), name, path)
        for path, entry in self._owned.items():
            if "owners" in entry:
                owners = {"owners": sorted(map(str, entry["owners"])), "charts_with_others": []}
                found[Key("owners", self._names.uuid(path))] = Wanted(owners, path, "security/boards.yaml")
        return found

    def _permissions_of(self, name: str, path: str, above: tuple[str, ...]) -> set[str]:
        """What a role's file gives: what the roles it is like may do, and its own; not what those may see."""
        if name in above:
            raise ConfigurationError(f"{path}: {' is like '.join([*above, name])}")
        _, document = self._roles[name]
        permissions: set[str] = set()
        for other in document.get("like") or ():
            if other in self._roles:
                permissions |= {one for one in self._permissions_of(other, path, (*above, name)) if not _is_access(one)}
            elif other in self._names.roles:
                permissions |= {one for one in self._live_permissions(other) if not _is_access(one)}
            else:
                raise ConfigurationError(f"{path}: is like the role {other}, which neither a file nor Superset has")
        removed = set(document.get("remove") or ())
        if strange := sorted(removed - permissions):
            raise ConfigurationError(f"{path}: removes {', '.join(strange)}, which it would not have")
        permissions = permissions - removed | set(document.get("add") or ())
        for kind, access in _ACCESS.items():
            for named in document.get(f"{kind}s") or ():
                self._names.uuid(named)
                permissions.add(f"{access} on {named}")
        return permissions

    def _rule(self, path: str, document: Document) -> dict[str, Any]:
        try:
            clause = clause_of(document)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from error
        datasets = sorted(map(str, document.get("datasets") or ()))
        for named in datasets:
            self._names.uuid(named)
        return {
            "filter_type": str(document.get("filter_type", "Regular")),
            "group_key": str(document.get("group_key") or ""),
            "roles": sorted(map(str, document.get("roles") or ())),
            "datasets": datasets,
            "clause": clause,
        }

    def live(self, keys: Collection[Key], known: Mapping[Key, Live] = MappingProxyType({})) -> dict[Key, Live]:  # noqa: ARG002  # all are in one list
        """Those of the keys that exist. Of owners, those alone that a file asks for: no owners is nothing that could be removed."""
        self._names.forget()
        readers: dict[str, Callable[[set[str]], dict[str, Live]]] = {
            "roles": self._live_roles,
            "row_level_security": self._live_rules,
            "owners": self._live_owners,
        }
        found: dict[Key, Live] = {}
        for kind in self.kinds:
            if wanted := {key.id for key in keys if key.kind == kind}:
                found |= {Key(kind, name): live for name, live in readers[kind](wanted).items()}
        return found

    def _live_roles(self, names: set[str]) -> dict[str, Live]:
        return {
            name: Live({"permissions": sorted(self._live_permissions(name))}, name, f"{self._client.public_url}/roles/")
            for name in names & self._names.roles.keys()
        }

    def _live_permissions(self, role: str) -> set[str]:
        texts = self._permissions
        return {texts[number] for number in self._names.roles[role]["permission_ids"]}

    @property
    def _permissions(self) -> dict[int, str]:
        """Every permission of the server as text, by its number; a dataset or database by its file where it has one."""
        return {
            entry["id"]: f"{entry['permission']['name']} on {self._object(entry['permission']['name'], entry['view_menu']['name'])}"
            for entry in self._names.permissions
        }

    def _object(self, permission: str, name: str) -> str:
        """Superset numbers what is seen, `[Lakehouse].[ticks](id:7)`; another server has other numbers."""
        numbered = _NUMBERED.search(name)
        kind = next((kind for kind, access in _ACCESS.items() if access == permission), None)
        return self._names.path(kind, int(numbered[1])) if numbered and kind else name

    def _live_rules(self, names: set[str]) -> dict[str, Live]:
        found = {}
        for name in names & self._names.rules.keys():
            rule = self._names.rules[name]
            by = rule.get("changed_by") or {}
            content = {
                "filter_type": rule["filter_type"],
                "group_key": rule["group_key"] or "",
                "roles": sorted(role["name"] for role in rule["roles"]),
                "datasets": sorted(self._names.path("dataset", table["id"]) for table in rule["tables"]),
                "clause": rule["clause"],
            }
            editor = f"{by.get('first_name') or ''} {by.get('last_name') or ''}".strip()
            found[name] = Live(content, name, f"{self._client.public_url}/rowlevelsecurity/list/", editor)
        return found

    def _live_owners(self, uuids: set[str]) -> dict[str, Live]:
        found = {}
        for path in self._owned:
            uuid = self._names.uuid(path)
            entry = self._names.find(path)
            if uuid in uuids and entry:
                owners = self._names.users_of(entry)
                charts = [chart for chart in self._charts(path, entry) if self._names.users_of(chart) != owners]
                others = sorted(f"{chart['slice_name']}: {', '.join(self._names.users_of(chart))}" for chart in charts)
                found[uuid] = Live({"owners": owners, "charts_with_others": others}, path)
        return found

    def _charts(self, path: str, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The charts of a board; a dataset has none of its own."""
        if not path.startswith("dashboards/"):
            return []
        return [chart for chart in self._names.listed("chart") if entry["id"] in {board["id"] for board in chart["dashboards"]}]

    def write(self, documents: Mapping[Key, Document]) -> None:
        """Create them, or bring them to this content.

        Raises:
            ServiceError: a role, dataset, permission or user that is named is not on the server.
        """
        self._names.forget()
        writers = {"roles": self._write_role, "row_level_security": self._write_rule, "owners": self._write_owners}
        for key, content in documents.items():
            writers[key.kind](key.id, content)

    def _write_role(self, name: str, content: Document) -> None:
        numbers = {text: number for number, text in self._permissions.items()}
        if missing := [one for one in content["permissions"] if one not in numbers]:
            raise ServiceError(f"role {name}: Superset has no permission {', '.join(missing)}", target=name)
        role = self._names.roles.get(name)
        if role is None:
            role = self._client.request("POST", "/api/v1/security/roles/", json={"name": name}).json()
        body = {"permission_view_menu_ids": [numbers[one] for one in content["permissions"]]}
        self._client.request("POST", f"/api/v1/security/roles/{role['id']}/permissions", json=body)

    def _write_rule(self, name: str, content: Document) -> None:
        if missing := [role for role in content["roles"] if role not in self._names.roles]:
            raise ServiceError(f"row-level security {name}: Superset has no role {', '.join(missing)}", target=name)
        body = {
            "name": name,
            **{field: content[field] for field in ("filter_type", "group_key", "clause")},
            "roles": [self._names.roles[role]["id"] for role in content["roles"]],
            "tables": [self._names.number(path) for path in content["datasets"]],
        }
        rule = self._names.rules.get(name)
        if rule:
            self._client.request("PUT", f"/api/v1/rowlevelsecurity/{rule['id']}", json=body)
        else:
            self._client.request("POST", "/api/v1/rowlevelsecurity/", json=body)

    def _write_owners(self, uuid: str, content: Document) -> None:
        path = next(path for path in self._owned if self._names.uuid(path) == uuid)
        numbers = [self._names.user(name) for name in content["owners"]]
        resource = "dashboard" if path.startswith("dashboards/") else "dataset"
        entry = self._names.find(path)
        if entry is None:
            raise ServiceError(f"{path} is not on Superset, so it can have no owners", target=path)
        if self._names.users_of(entry) != content["owners"]:
            self._client.request("PUT", f"/api/v1/{resource}/{entry['id']}", json={"owners": numbers})
        for chart in self._charts(path, entry):
            if self._names.users_of(chart) != content["owners"]:
                self._client.request("PUT", f"/api/v1/chart/{chart['id']}", json={"owners": numbers})

    def in_use(self, key: Key) -> str:  # noqa: ARG002  # nothing is made of these
        """Nothing is drawn from it."""
        return ""

    def delete(self, key: Key) -> None:
        """Remove a role or a rule that may already be gone."""
        self._names.forget()
        resources = {"roles": ("security/roles", self._names.roles), "row_level_security": ("rowlevelsecurity", self._names.rules)}
        if key.kind in resources:
            resource, there = resources[key.kind]
            if key.id in there:
                self._client.request("DELETE", f"/api/v1/{resource}/{there[key.id]['id']}", accept=(404,))


def _is_access(permission: str) -> bool:
    return permission.split(" on ")[0].endswith("_access") and not permission.startswith("menu_access")


def _refuse_unknown(path: str, document: Document, known: set[str]) -> None:
    if strange := sorted(set(document) - known):
        raise ConfigurationError(f"{path}: unknown key {', '.join(strange)}; known are {', '.join(sorted(known))}")
