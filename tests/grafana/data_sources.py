"""Data sources, and their health."""

from __future__ import annotations

from typing import Any

from tests.grafana.folders import check_uid
from tests.grafana.routing import Call, Document, Refused, Result, route
from tests.grafana.rules import rule
from tests.grafana.state import State, found

_CODE = "pkg/api/datasources.go, stored file 15438949061"
_DOCS = "docs/sources/developer-resources/api-reference/http-api/api-legacy/data_source.md, stored file 54564719479"
_FIELDS: dict[str, Any] = {
    "name": "",
    "type": "",
    "access": "proxy",
    "url": "",
    "user": "",
    "database": "",
    "basicAuth": False,
    "basicAuthUser": "",
    "withCredentials": False,
    "isDefault": False,
    "jsonData": {},
}
_NOT_LISTED = {"secureJsonFields", "version", "withCredentials", "basicAuthUser"}


@rule(f"{_CODE}, AddDataSource() and updateDataSourceByID()")
def check_name(state: State, wanted: Document, uid: str) -> None:
    """A name is there once in an organisation: else 409."""
    if any(source["name"] == wanted.get("name") and source["uid"] != uid for source in state.data_sources.values()):
        raise Refused(409, "data source with the same name already exists")


@rule(f"{_CODE}, AddDataSource()")
def check_free(state: State, uid: str) -> None:
    """A taken uid: 409."""
    if uid in state.data_sources:
        raise Refused(409, "data source with the same uid already exists")


@rule(f"{_CODE}, updateDataSourceByID()", doubt="version 0 and none at all are the same to it")
def check_version(source: Document, wanted: Document) -> None:
    """A version that is not the stored one: 409; without a version the last write wins."""
    if wanted.get("version") and wanted["version"] != source["version"]:
        raise Refused(409, "Datasource has already been updated by someone else. Please reload and try again")


@rule(f"{_CODE}, updateDataSourceByID() and DeleteDataSourceByUID()")
def check_not_provisioned(source: Document, what: str) -> None:
    """A data source that a file provisions is readOnly: changing and deleting it are refused with 403."""
    if source["readOnly"]:
        raise Refused(403, f"Cannot {what} read-only data source")


@rule(f"{_CODE}, getRawDataSourceByUID()")
def existing(call: Call) -> Document:
    """A data source that is not there: 404."""
    return found(call.state.data_sources, call.parameters["uid"], Refused(404, "Data source not found"))


@rule(f"{_CODE}, convertModelToDtos(); {_DOCS}")
def without_secrets(state: State, source: Document) -> Document:
    """Secrets never come back, only which there are, in secureJsonFields; an empty one is none."""
    there = [name for name, secret in state.secrets.get(source["uid"], {}).items() if secret]
    return {**source, "secureJsonFields": dict.fromkeys(there, True)}


@rule("pkg/services/datasources/service/store.go updateIsDefaultFlag()", doubt="not read in a stored file; long known behaviour")
def keep_one_default(state: State, source: Document) -> None:
    """An organisation has one default data source: a new one takes the old one's place without a word."""
    if source["isDefault"]:
        for other in state.data_sources.values():
            other["isDefault"] = other is source


@route("POST", "/api/datasources", "datasources:create")
@rule(f"{_CODE}, AddDataSource(); {_DOCS}")
def create(call: Call) -> Result:
    """A new data source is answered with 200, its version 1 and the defaults that it was not given."""
    wanted = call.document()
    uid = wanted.get("uid") or f"auto{next(call.state.ids)}"
    check_uid(uid)
    check_name(call.state, wanted, uid)
    check_free(call.state, uid)
    source = new_data_source(call.state, uid, wanted)
    return 200, _answer(call.state, source, "Datasource added")


def new_data_source(state: State, uid: str, wanted: Document, *, provisioned: bool = False) -> Document:
    """A data source as it is stored."""
    state.data_sources[uid] = source = {"id": next(state.ids), "uid": uid, "orgId": 1, "version": 1, "readOnly": provisioned}
    _write(state, source, wanted)
    return source


@route("PUT", "/api/datasources/uid/{uid}", "datasources:write")
@rule(f"{_CODE}, updateDataSourceByID(); {_DOCS}")
def update(call: Call) -> Result:
    """A change replaces everything but uid and id, raises the version, and keeps the secrets that it does not name."""
    source, wanted = existing(call), call.document()
    check_not_provisioned(source, "update")
    check_name(call.state, wanted, source["uid"])
    check_version(source, wanted)
    source["version"] += 1
    _write(call.state, source, wanted)
    return 200, _answer(call.state, source, "Datasource updated")


@route("DELETE", "/api/datasources/uid/{uid}", "datasources:delete")
@rule(f"{_CODE}, DeleteDataSourceByUID(); {_DOCS}")
def delete(call: Call) -> Result:
    """A deleted data source is answered with 200 and its id."""
    source = existing(call)
    check_not_provisioned(source, "delete")
    del call.state.data_sources[source["uid"]]
    call.state.secrets.pop(source["uid"], None)
    return 200, {"message": "Data source deleted", "id": source["id"]}


@route("GET", "/api/datasources", "datasources:read")
@rule(_DOCS)
def list_all(call: Call) -> Result:
    """The list has all data sources on one page, without their versions."""
    return 200, [
        {key: value for key, value in source.items() if key not in _NOT_LISTED}
        for source in sorted(call.state.data_sources.values(), key=lambda source: source["name"])
    ]


@route("GET", "/api/datasources/uid/{uid}", "datasources:read")
@rule(_DOCS)
def get(call: Call) -> Result:
    """A data source comes with its version, whether it is readOnly, and which secrets it has."""
    return 200, without_secrets(call.state, existing(call))


@route("GET", "/api/datasources/{number}", "datasources:read")
@rule("whats-new/2026-04-14-deprecated-data-source-apis-disabled-by-default (13.0)", doubt="the feature toggle brings it back")
def get_by_number(call: Call) -> Result:
    """13 has no data sources by their number any more."""
    for source in call.state.data_sources.values():
        if str(source["id"]) == call.parameters["number"] and not call.state.at_least(13):
            return 200, without_secrets(call.state, source)
    raise Refused(404, "Not found" if call.state.at_least(13) else "Data source not found")


@route("GET", "/api/datasources/uid/{uid}/health", "datasources:query")
@rule(f"pkg/api/datasources.go checkDatasourceHealth(), stored file 42186117; {_DOCS}", doubt="what a message says is the plugin's own")
def health(call: Call) -> Result:
    """A data source that can be reached: 200 with status OK; one that cannot: 400 with status ERROR and the plugin's message."""
    source = existing(call)
    if source["uid"] in call.state.unhealthy:
        return 400, {"status": "ERROR", "message": call.state.unhealthy[source["uid"]]}
    return 200, {"status": "OK", "message": "Data source is working"}


def _write(state: State, source: Document, wanted: Document) -> None:
    source |= {key: wanted.get(key, default) or default for key, default in _FIELDS.items()}
    state.secrets.setdefault(source["uid"], {}).update(wanted.get("secureJsonData") or {})
    keep_one_default(state, source)


def _answer(state: State, source: Document, message: str) -> Document:
    return {"id": source["id"], "name": source["name"], "message": message, "datasource": without_secrets(state, source)}
