"""A small board of its own on the real Superset, made of files in a folder; the tests change the files and the server."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import yaml

from lakehouse.dashboards.record import Memory
from lakehouse.dashboards.superset.client import SupersetClient
from lakehouse.dashboards.superset.target import SupersetTarget
from lakehouse.dashboards.sync import Sync
from lakehouse.objects import ObjectStore

WRITES = ("POST", "PUT", "DELETE", "PATCH")


def session(base_url: str, user: str, password: str) -> SupersetClient:
    """A client that counts its writes in `client.writes`; signing in is none."""

    class Counting(SupersetClient):
        writes: list[str]

        def request(self, method: str, path: str, **options: Any) -> Any:
            if method in WRITES and not path.startswith("/api/v1/chart/data"):
                self.writes.append(f"{method} {path}")
            return super().request(method, path, **options)

    client = Counting(base_url, user, password)
    client.writes = []
    return client


class Board:
    """Files of a database, a dataset, some charts and a board, and the sync that brings them to Superset."""

    def __init__(self, folder: Path, client: SupersetClient, store: ObjectStore, trino_port: int) -> None:
        self.folder, self.client, self.store = folder, client, store
        self.name = f"t-{uuid.uuid4().hex[:8]}"
        self.prefix = f"scratch/{self.name}"
        self.variables = {"TRINO_URI": f"trino://reader@127.0.0.1:{trino_port}/hive_prod"}
        self.ids = {name: str(uuid.uuid4()) for name in ("database", "dataset", "board")}
        self.charts: dict[str, str] = {}
        self.write_file(
            "databases/lake.yaml", {**self._head("database"), "database_name": self.name, "sqlalchemy_uri": "${TRINO_URI}", "extra": {}}
        )
        self.write_dataset("SELECT * FROM (VALUES ('a', 1, current_timestamp), ('b', 2, current_timestamp)) AS t (symbol, volume, at)")
        self.add_chart("one")
        self.add_chart("two")

    def _head(self, kind: str) -> dict[str, Any]:
        return {"uuid": self.ids[kind], "version": "1.0.0"}

    def write_file(self, path: str, document: dict[str, Any]) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(document, sort_keys=False))

    def edit_file(self, path: str, **values: Any) -> None:
        self.write_file(path, yaml.safe_load((self.folder / path).read_text()) | values)

    def write_dataset(self, sql: str) -> None:
        columns = [{"column_name": name, "type": kind} for name, kind in (("symbol", "VARCHAR"), ("volume", "INTEGER"))]
        columns.append({"column_name": "at", "type": "TIMESTAMP", "is_dttm": True})
        metrics = [{"metric_name": "total", "expression": "SUM(volume)"}]
        self.write_file(
            "datasets/lake/numbers.yaml",
            {
                **self._head("dataset"),
                "database_uuid": self.ids["database"],
                "table_name": f"{self.name}-numbers",
                "main_dttm_col": "at",
                "sql": sql,
                "columns": columns,
                "metrics": metrics,
            },
        )

    def add_database(self, address: str) -> None:
        """A second database, of any kind."""
        self.variables["OTHER_URI"] = address
        self.ids["other"] = self.ids.get("other") or str(uuid.uuid4())
        self.write_file(
            "databases/other.yaml",
            {**self._head("other"), "database_name": f"{self.name}-other", "sqlalchemy_uri": "${OTHER_URI}", "extra": {}},
        )

    def add_chart(self, name: str, *, where: str = "", window: str = "No filter") -> None:
        """A table of the total by symbol."""
        self.charts[name] = self.charts.get(name) or str(uuid.uuid4())
        filters = [{"col": "at", "op": "TEMPORAL_RANGE", "val": window}]
        query = {"columns": ["symbol"], "metrics": ["total"], "filters": filters, "row_limit": 10, "extras": {"where": where}}
        self.write_file(
            f"charts/{name}.yaml",
            {
                "uuid": self.charts[name],
                "version": "1.0.0",
                "slice_name": f"{self.name} {name}",
                "viz_type": "table",
                "dataset_uuid": self.ids["dataset"],
                "params": {"viz_type": "table", "groupby": ["symbol"], "metrics": ["total"], "row_limit": 10},
                "query_context": {"queries": [query], "result_format": "json", "result_type": "full", "force": False},
            },
        )
        self.write_board()

    def remove_chart(self, name: str) -> str:
        (self.folder / f"charts/{name}.yaml").unlink()
        identifier = self.charts.pop(name)
        self.write_board()
        return identifier

    def write_board(self, title: str = "", **metadata: Any) -> None:
        places = {
            f"CHART-{name}": {
                "type": "CHART",
                "id": f"CHART-{name}",
                "children": [],
                "parents": ["ROOT_ID", "GRID_ID", "ROW-1"],
                "meta": {"uuid": identifier, "sliceName": f"{self.name} {name}", "width": 4, "height": 50},
            }
            for name, identifier in self.charts.items()
        }
        frame = {
            "DASHBOARD_VERSION_KEY": "v2",
            "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
            "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": ["ROW-1"], "parents": ["ROOT_ID"]},
            "ROW-1": {"type": "ROW", "id": "ROW-1", "children": list(places), "parents": ["ROOT_ID", "GRID_ID"], "meta": {}},
        }
        self.write_file(
            "dashboards/board.yaml",
            {
                **self._head("board"),
                "dashboard_title": title or f"{self.name} board",
                "slug": self.name,
                "published": True,
                "position": frame | places,
                "metadata": {"native_filter_configuration": [], **metadata},
            },
        )

    def target(self) -> SupersetTarget:
        return SupersetTarget(self.client, self.folder, self.variables)

    @property
    def memory(self) -> Memory:
        return Memory(self.store, self.prefix)

    def sync(self) -> Sync:
        return Sync(self.target(), self.memory)

    def number_of(self, kind: str, identifier: str) -> int:
        """The server's number of an object."""
        return next(entry["id"] for entry in self.client.list(kind, ("id", "uuid")) if entry["uuid"] == identifier)

    def put(self, kind: str, identifier: str, values: dict[str, Any], client: SupersetClient | None = None) -> None:
        """An edit as the UI makes it."""
        (client or self.client).request("PUT", f"/api/v1/{kind}/{self.number_of(kind, identifier)}", json=values)

    def clean(self) -> None:
        for kind, identifiers in (
            ("dashboard", [self.ids["board"]]),
            (
                "chart",
                [entry["uuid"] for entry in self.client.list("chart", ("uuid", "slice_name")) if entry["slice_name"].startswith(self.name)],
            ),
            ("dataset", [self.ids["dataset"]]),
            (
                "database",
                [
                    entry["uuid"]
                    for entry in self.client.list("database", ("uuid", "database_name"))
                    if entry["database_name"].startswith(self.name)
                ],
            ),
        ):
            there = {entry["uuid"]: entry["id"] for entry in self.client.list(kind, ("id", "uuid"))}
            for identifier in identifiers:
                if identifier in there:
                    self.client.request("DELETE", f"/api/v1/{kind}/{there[identifier]}", accept=(404,))
