"""Superset 6.1: its REST API, and the sync of a folder in its own export format.

Sources, in apache-superset 6.1.0: `superset/importexport/api.py`, `superset/commands/importers/v1/assets.py`,
`superset/charts/data/api.py`.
"""

from __future__ import annotations

import io
import json
import re
import string
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import requests
import yaml

from lakehouse.dashboards.plan import Change, plan
from lakehouse.exceptions import ConfigurationError, ServiceError, VerificationError
from lakehouse.http import HttpClient

_KINDS = ("databases", "datasets", "charts", "dashboards")
_OF_THIS_SERVER = ("datasource", "slice_id", "dashboards")


@dataclass(frozen=True)
class ChartResult:
    """What a chart's own query gave: rows, or the error in the service's words."""

    name: str
    rows: int
    error: str = ""
    may_be_empty: bool = False


@dataclass(frozen=True)
class DashboardResult:
    """A board after a sync, and whether each of its charts could be drawn by the user it is meant for."""

    name: str
    url: str
    charts: tuple[ChartResult, ...]

    @property
    def failed(self) -> tuple[ChartResult, ...]:
        """Charts with an error, or without a row where one is expected."""
        return tuple(chart for chart in self.charts if chart.error or not (chart.rows or chart.may_be_empty))


@dataclass(frozen=True)
class SyncResult:
    """Outcome of a sync."""

    changes: list[Change]
    written: bool
    dashboards: tuple[DashboardResult, ...] = field(default=())


class SupersetClient(HttpClient):
    """A session of one user; signs in at the first call and once more when its token has run out."""

    def __init__(self, base_url: str, user: str, password: str, *, verify: bool | str = True, public_url: str = "") -> None:
        super().__init__("Superset", base_url, verify=verify)
        self.user, self._password = user, password
        self.public_url = public_url or base_url
        self._signed_in = False

    def request(self, method: str, path: str, *, accept: tuple[int, ...] = (), **options: Any) -> requests.Response:
        """As `HttpClient.request`; anything but JSON or a zip file is an error, whatever its status says."""
        if not self._signed_in:
            self._sign_in()
        response = super().request(method, path, accept=(401, *accept), **options)
        if response.status_code == 401:
            self._sign_in()
            response = super().request(method, path, accept=accept, **options)
        content = response.headers.get("content-type", "")
        if not content.startswith(("application/json", "application/zip", "application/x-zip")):
            raise ServiceError(f"Superset answered {method} {path} with {content}, not with JSON", status=response.status_code, target=path)
        return response

    def _sign_in(self) -> None:
        self.session.headers.pop("Authorization", None)
        login = {"username": self.user, "password": self._password, "provider": "db", "refresh": False}
        token = super().request("POST", "/api/v1/security/login", json=login).json()["access_token"]
        self.session.headers["Authorization"] = f"Bearer {token}"
        # A write needs all three: the token, the session cookie that comes with it, and the referer.
        csrf = super().request("GET", "/api/v1/security/csrf_token/").json()["result"]
        self.session.headers.update({"X-CSRFToken": csrf, "Referer": self.base_url})
        self._signed_in = True

    def me(self) -> str:
        """The user's name, as the server sees it."""
        return str(self.request("GET", "/api/v1/me/").json()["result"]["username"])

    def version(self) -> str:
        """The server's version number (`/version` is there since 6.1)."""
        return str(self.request("GET", "/version").json()["version_string"])

    def export(self, slugs: list[str]) -> dict[str, dict[str, Any]]:
        """The boards of these slugs that exist, with everything they need, by file path."""
        answers = [self.request("GET", f"/api/v1/dashboard/{slug}", accept=(404,)) for slug in slugs]
        wanted = [answer.json()["result"]["id"] for answer in answers if answer.status_code == 200]
        if not wanted:
            return {}
        identifiers = ",".join(map(str, wanted))
        content = self.request("GET", f"/api/v1/dashboard/export/?q=!({identifiers})").content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if name.count("/") >= 2]
            return {name.split("/", 1)[1]: _normalise(yaml.safe_load(archive.read(name))) for name in names}

    def import_assets(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the documents over whatever is live."""
        bundle = io.BytesIO()
        with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bundle/metadata.yaml", yaml.safe_dump({"version": "1.0.0", "type": "assets"}))
            for path, document in documents.items():
                archive.writestr(f"bundle/{path}", yaml.safe_dump(_for_import(document), sort_keys=False))
        files = {"bundle": ("bundle.zip", bundle.getvalue(), "application/zip")}
        self.request("POST", "/api/v1/assets/import/", files=files, timeout=(5, 120))

    def charts_of(self, slug: str) -> list[dict[str, Any]]:
        """Charts of a board."""
        return list(self.request("GET", f"/api/v1/dashboard/{slug}/charts").json()["result"])

    def run_chart(self, chart_id: int, name: str) -> ChartResult:
        """Run a chart's stored query through Superset's own chart-data API, with the cache bypassed."""
        response = self.request("GET", f"/api/v1/chart/{chart_id}/data/?force=true", accept=(400, 403, 404, 422, 500))
        body = response.json()
        if response.status_code != 200:
            return ChartResult(name, 0, str(body.get("message") or body.get("errors") or body)[:300])
        rows = [query.get("rowcount") or 0 for query in body["result"]]
        return ChartResult(name, min(rows), next((str(query["error"]) for query in body["result"] if query.get("error")), ""))


def read_folder(folder: Path, variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The desired documents, by path below `folder`, with `${NAME}` filled from `variables`.

    Raises:
        ConfigurationError: a file is not YAML, names an unknown variable, or has no or a doubled UUID.
    """
    documents: dict[str, dict[str, Any]] = {}
    owners: dict[str, Path] = {}
    for path in sorted(path for kind in _KINDS for path in (folder / kind).rglob("*.yaml")):
        try:
            document = yaml.safe_load(string.Template(path.read_text()).substitute(variables))
        except (yaml.YAMLError, KeyError, ValueError) as error:
            raise ConfigurationError(f"{path}: {error}") from error
        if not isinstance(document, dict):
            raise ConfigurationError(f"{path}: this is no object of Superset's export format")
        uuid = str(document.get("uuid") or "")
        if not uuid or uuid in owners:
            raise ConfigurationError(f"{path}: needs a `uuid` of its own" + (f", {owners[uuid]} has it too" if uuid else ""))
        owners[uuid] = path
        documents[str(path.relative_to(folder))] = document
    _check_references(folder, documents)
    return documents


def _check_references(folder: Path, documents: Mapping[str, Mapping[str, Any]]) -> None:
    """Superset skips a chart whose dataset is not in the bundle, with status 200; so that is refused here."""
    kinds = {str(document["uuid"]): path.split("/")[0] for path, document in documents.items()}
    named: set[str] = set()
    for path, document in documents.items():
        kind = path.split("/")[0]
        wanted: list[tuple[str, Any]] = []
        if kind == "charts":
            wanted = [("datasets", document.get("dataset_uuid"))]
        elif kind == "datasets":
            wanted = [("databases", document.get("database_uuid"))]
        elif kind == "dashboards":
            if not document.get("slug"):
                raise ConfigurationError(f"{folder / path}: a board needs a `slug`")
            wanted = [("charts", item.get("meta", {}).get("uuid")) for item in _chart_places(document)]
            filters = document.get("metadata", {}).get("native_filter_configuration", [])
            # A filter of time has a target without a dataset.
            wanted += [("datasets", target.get("datasetUuid")) for one in filters for target in one.get("targets", []) if target]
        for target, uuid in wanted:
            if uuid is None or kinds.get(str(uuid)) != target:
                raise ConfigurationError(f"{folder / path}: refers to {uuid}, which no file has that is one of the {target}")
            named.add(str(uuid))
    for path, document in documents.items():
        if not path.startswith("dashboards/") and str(document["uuid"]) not in named:
            # An export holds what a board needs and nothing else: this could never be read back.
            raise ConfigurationError(f"{folder / path}: no board uses it; put it on one, or remove the file")


def _chart_places(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [item for item in dashboard.get("position", {}).values() if isinstance(item, dict) and item.get("type") == "CHART"]


def sync(client: SupersetClient, viewer: SupersetClient, folder: Path, variables: Mapping[str, str]) -> SyncResult:
    """Plan, apply what differs, read it back, and run every chart as an ordinary user.

    Nothing changed means that nothing is written.

    Raises:
        VerificationError: after the import, an object is still missing or different, or a chart fails or is empty.
    """
    desired = read_folder(folder, variables)
    slugs = [document["slug"] for path, document in desired.items() if path.startswith("dashboards/")]
    wanted = {path: _normalise(document) for path, document in desired.items()}
    changes = plan(wanted, client.export(slugs))
    written = any(change.action != "unchanged" for change in changes)
    if written:
        client.import_assets(desired)
        left = [change for change in plan(wanted, client.export(slugs)) if change.action != "unchanged"]
        if left:
            shown = "; ".join(f"{change.kind} {change.name}: {change.action} {', '.join(change.fields)}" for change in left)
            raise VerificationError(f"Superset took the import, but reads back differently: {shown}")
    boards = tuple(_verify(viewer, document) for path, document in desired.items() if path.startswith("dashboards/"))
    return SyncResult(changes, written, boards)


def _verify(viewer: SupersetClient, dashboard: Mapping[str, Any]) -> DashboardResult:
    slug = str(dashboard["slug"])
    there = viewer.charts_of(slug)
    # `mayBeEmpty` is our own word in a chart's place on the board; Superset keeps it and does nothing with it.
    may_be_empty = {item["meta"]["sliceName"] for item in _chart_places(dashboard) if item["meta"].get("mayBeEmpty")}
    results = [viewer.run_chart(chart["id"], chart["slice_name"]) for chart in there]
    charts = tuple(replace(result, may_be_empty=result.name in may_be_empty) for result in results)
    missing = {item["meta"]["sliceName"] for item in _chart_places(dashboard)} - {chart["slice_name"] for chart in there}
    charts += tuple(ChartResult(name, 0, "it is not on the board") for name in sorted(missing))
    return DashboardResult(str(dashboard["dashboard_title"]), f"{viewer.public_url}/superset/dashboard/{slug}/", charts)


def _normalise(document: dict[str, Any]) -> dict[str, Any]:
    """An exported document as its file would say it: ids of this server are dropped, JSON in text is opened."""
    result = dict(document)
    if isinstance(result.get("params"), dict):
        result["params"] = _without(result["params"], _OF_THIS_SERVER)
    if isinstance(result.get("query_context"), str):
        context = _without(json.loads(result["query_context"]), _OF_THIS_SERVER)
        result["query_context"] = context | {"form_data": _without(context.get("form_data", {}), _OF_THIS_SERVER)}
    if "sqlalchemy_uri" in result:
        result["sqlalchemy_uri"] = re.sub(r":[^:@/]+@", ":XXXXXXXXXX@", result["sqlalchemy_uri"])
    return result


def _without(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in names}


def _for_import(document: Mapping[str, Any]) -> dict[str, Any]:
    """As the importer wants it: JSON as text, and a number for each chart of a board, which it replaces by its own."""
    result = dict(document)
    if "position" in result:
        charts = [key for key, item in result["position"].items() if isinstance(item, dict) and item.get("type") == "CHART"]
        numbered = {key: item | {"meta": {"chartId": charts.index(key) + 1} | item["meta"]} if key in charts else item
                    for key, item in result["position"].items()}  # fmt: skip
        result["position"] = numbered
    if isinstance(result.get("query_context"), dict):
        # Superset fills the datasource in, where there is an entry to fill.
        result["query_context"] = json.dumps({"datasource": {"id": 0, "type": "table"}, **result["query_context"]})
    return result
