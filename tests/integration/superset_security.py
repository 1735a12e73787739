"""A small lake on the real servers: two tables, datasets on one of them, and users in roles that are the product's by other names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests
import yaml

from lakehouse.dashboards.objects import Document, Key, Wanted
from lakehouse.dashboards.superset.alerts import Alerts
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.files import read_folder
from lakehouse.dashboards.superset.security import Security
from lakehouse.objects import ObjectStore
from stack.installation import REPO, Installation
from stack.report import query
from tests.integration.superset_boards import Board, session

PRODUCT = REPO / "include" / "dashboards" / "superset"
SCHEMA = "test_db"
PASSWORD = "Aa1" + uuid4().hex
ANY = (400, 401, 403, 404, 405, 408, 410, 422, 500)
SEEN = {"SPY25C400", "QQQ25C350"}
# No try writes these, so that wherever an answer has one, it came from a row.
HIDDEN = ("NVDA", "AAPL", "treasure", "seen")


class Lake:
    """`table` has four symbols, two of them hidden from analysts; `closed` has no dataset at all."""

    def __init__(self, stack: Installation, store: ObjectStore, folder: Path) -> None:
        self.stack, self.url = stack, f"http://127.0.0.1:{stack.ports['superset']}"
        self.admin = session(self.url, "admin", stack.secrets["SUPERSET_ADMIN_PASSWORD"])
        self.board = Board(folder, self.admin, store, stack.ports["trino"])
        self.name = self.board.name
        self.table, self.closed = (f"{SCHEMA}.{self.name.replace('-', '_')}_{end}" for end in ("ticks", "closed"))
        query(stack, f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        for number, symbol in enumerate(("SPY25C400", "QQQ25C350", "NVDA25C100", "AAPL25P150")):
            row = f"SELECT VARCHAR '{symbol}' AS symbol, {number + 1} AS volume, current_timestamp(6) AS at"
            # Two snapshots, for the tries with older versions.
            query(stack, f"CREATE TABLE {self.table} AS {row}" if number == 0 else f"INSERT INTO {self.table} {row}")
        query(stack, f"CREATE TABLE {self.closed} AS SELECT VARCHAR 'treasure' AS symbol, 1 AS volume, current_timestamp(6) AS at")
        self.snapshots = [row[0] for row in query(stack, f"SELECT snapshot_id FROM {self._meta('snapshots')} ORDER BY committed_at")]
        self.board.write_dataset(f"SELECT symbol, volume, at FROM {self.table}")
        self._datasets()
        self.board.sync().apply()
        self._security()
        self.apply()
        self.users = {role: self._user(role) for role in ("Viewer", "Analyst", "Developer", "Ops")}
        self.database = self._number("database", self.board.ids["database"])
        self.physical, self.virtual, self.sums = (
            self._number("dataset", self._document(f"datasets/lake/{name}.yaml")["uuid"]) for name in ("ticks", "numbers", "sums")
        )

    def _meta(self, kind: str) -> str:
        schema, table = self.table.split(".")
        return f'{schema}."{table}${kind}"'

    def _document(self, path: str) -> dict[str, Any]:
        document: dict[str, Any] = yaml.safe_load((self.board.folder / path).read_text())
        return document

    def _number(self, resource: str, uuid: str) -> int:
        return next(int(entry["id"]) for entry in self.admin.list(resource, ("id", "uuid")) if str(entry["uuid"]) == uuid)

    def _datasets(self) -> None:
        numbers = self._document("datasets/lake/numbers.yaml")
        schema, table = self.table.split(".")
        physical = {"uuid": str(uuid4()), "table_name": table, "schema": schema, "catalog": "hive_prod", "sql": None}
        self.board.write_file("datasets/lake/ticks.yaml", numbers | physical)
        # No rule is on this one, which shows no symbol: the rule of the table inside must hold.
        columns = [column for column in numbers["columns"] if column["column_name"] == "volume"]
        sums = {"uuid": str(uuid4()), "table_name": f"{self.name}-sums", "main_dttm_col": None, "columns": columns}
        self.board.write_file(
            "datasets/lake/sums.yaml", numbers | sums | {"catalog": "hive_prod", "sql": f"SELECT volume FROM {self.table}"}
        )

    def role(self, name: str) -> str:
        """The name of our own role that is made as the product's."""
        return f"{self.name} {name}"

    def _security(self) -> None:
        datasets = [f"datasets/lake/{name}.yaml" for name in ("numbers", "sums", "ticks")]
        for path in (PRODUCT / "security" / "roles").glob("*.yaml"):
            role = yaml.safe_load(path.read_text())
            role["like"] = [self.role(name) if name in ("Viewer", "Analyst", "Developer", "Ops") else name for name in role["like"]]
            sees = {"datasets": datasets} if role["name"] in ("Viewer", "Analyst") else {"datasets": []}
            changed = role | {"name": self.role(role["name"])} | sees
            if "databases" in role:
                changed["databases"] = ["databases/lake.yaml"]
            self.board.write_file(f"security/roles/{path.name}", changed)
        rule = yaml.safe_load((PRODUCT / "security" / "row_level_security" / "symbols.yaml").read_text())
        changes = {"name": self.name, "roles": [self.role(name) for name in rule["roles"]], "datasets": [datasets[0], datasets[2]]}
        self.board.write_file("security/row_level_security/symbols.yaml", rule | changes)
        boards = {"dashboards/board.yaml": {"meant_for": self.role("Analyst"), "owners": ["admin", "viewer"]}}
        self.board.write_file("security/boards.yaml", boards)

    def parts(self) -> tuple[Security | Alerts, ...]:
        """The parts on the files as they are now."""
        documents: Mapping[str, Document] = read_folder(self.board.folder, self.board.variables)
        return (Security(self.admin, documents), Alerts(self.admin, documents))

    def differing(self) -> dict[Key, Wanted]:
        """What is not live as its file says."""
        found = {}
        for part in self.parts():
            wanted = part.wanted()
            live = part.live(wanted)
            found |= {key: one for key, one in wanted.items() if key not in live or live[key].content != one.content}
        return found

    def apply(self) -> None:
        """Write what differs, in the order of the parts."""
        for part in self.parts():
            wanted, live = part.wanted(), part.live(part.wanted())
            # The sync tries a rule again that names a role which is not there yet; here the roles go first.
            for key in sorted(wanted, key=lambda key: (key.kind != "roles", part.kinds.index(key.kind))):
                if key not in live or live[key].content != wanted[key].content:
                    part.write({key: wanted[key].content})

    def _user(self, role: str) -> SupersetClient:
        roles = self.admin.request("GET", "/api/v1/security/roles/search/?q=(page_size:1000)").json()["result"]
        number = next(entry["id"] for entry in roles if entry["name"] == self.role(role))
        name = f"{self.name}-{role.lower()}"
        person = {"first_name": role, "last_name": self.name, "email": f"{name}@example.org", "active": True}
        self.admin.request("POST", "/api/v1/security/users/", json={**person, "username": name, "password": PASSWORD, "roles": [number]})
        return session(self.url, name, PASSWORD)

    def ask(self, role: str, sql: str, **options: Any) -> requests.Response:
        """Run a statement in SQL Lab as a user of the role."""
        body = {
            "database_id": self.database,
            "sql": sql,
            "catalog": "hive_prod",
            "schema": SCHEMA,
            "client_id": uuid4().hex[:11],
            "runAsync": False,
            "queryLimit": 1000,
            **options,
        }
        client = self.admin if role == "Admin" else self.users[role]
        return client.request("POST", "/api/v1/sqllab/execute/", json=body, accept=ANY)

    def chart(
        self, role: str, dataset: int, *, kind: str = "table", result: tuple[str, str] = ("full", "json"), **query: Any
    ) -> requests.Response:
        """Ask the chart-data API as a user of the role; spreadsheets come too."""
        client = self.admin if role == "Admin" else self.users[role]
        client.me()
        body = {
            "datasource": {"id": dataset, "type": kind},
            "queries": [{"row_limit": 1000, **query}],
            "force": query.pop("force", True),
            "result_type": result[0],
            "result_format": result[1],
        }
        return client.session.post(f"{self.url}/api/v1/chart/data", json=body, timeout=90)

    def clean(self) -> None:
        """Remove all of it."""
        for entry in list(self.admin.list("security/users", ("id", "username"))):
            if str(entry["username"]).startswith(f"{self.name}-"):
                # Superset keeps who ran a query; it can only be put to rest.
                gone = self.admin.request("DELETE", f"/api/v1/security/users/{entry['id']}", accept=(404, 422))
                if gone.status_code == 422:
                    self.admin.request("PUT", f"/api/v1/security/users/{entry['id']}", json={"active": False, "roles": [self._public()]})
        for part in reversed(self.parts()):
            for key in sorted(part.wanted(), key=lambda key: -part.kinds.index(key.kind)):
                part.delete(key)
        there = {str(entry["uuid"]): entry["id"] for entry in self.admin.list("dataset", ("id", "uuid"))}
        for name in ("ticks", "sums"):
            self.admin.request("DELETE", f"/api/v1/dataset/{there[self._document(f'datasets/lake/{name}.yaml')['uuid']]}", accept=(404,))
        self.board.clean()
        for table in (self.table, self.closed):
            query(self.stack, f"DROP TABLE IF EXISTS {table}")

    def _public(self) -> int:
        roles = self.admin.request("GET", "/api/v1/security/roles/search/?q=(page_size:1000)").json()["result"]
        return next(int(role["id"]) for role in roles if role["name"] == "Public")
