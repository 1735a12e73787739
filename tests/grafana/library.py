"""Library elements: panels that several dashboards share."""

from __future__ import annotations

from tests.grafana.folders import check_uid
from tests.grafana.routing import Call, Document, Refused, Result, route
from tests.grafana.rules import rule
from tests.grafana.state import State, boards_with, now

_API = "pkg/services/libraryelements/api.go, stored file 58537517988 (13)"
_STORE = "pkg/services/libraryelements/database.go, stored file 335516042 (13)"
_DOCS = "docs/sources/developer-resources/api-reference/http-api/api-legacy/library_element.md, stored file 53634890945"


@rule(f"{_API} toLibraryElementError(); {_DOCS}")
def check_free(state: State, wanted: Document, uid: str) -> None:
    """A name is there once for its kind in a folder, and a uid once in all: else 400."""
    for element in state.library.values():
        same = [element[key] == wanted[key] for key in ("name", "kind", "folderUid")]
        if element["uid"] != uid and (all(same) or element["uid"] == wanted["uid"]):
            raise Refused(400, "library element with that name or UID already exists")


@rule(f"{_API} toLibraryElementError(); {_DOCS}")
def check_version(element: Document, wanted: Document) -> None:
    """A library element is changed only by who knows its version: else 412."""
    if wanted.get("version") != element["version"]:
        raise Refused(412, "the library element has been changed by someone else")


@rule(f"{_API} toLibraryElementError(); {_DOCS}")
def check_unused(state: State, element: Document) -> None:
    """A library element that a dashboard shows cannot be deleted: 403."""
    if boards_with(state, element["uid"]):
        raise Refused(403, "the library element has connections")


@rule(f"{_API} toLibraryElementError()")
def existing(call: Call) -> Document:
    """A library element that is not there: 404."""
    if call.parameters["uid"] not in call.state.library:
        raise Refused(404, "library element could not be found")
    return call.state.library[call.parameters["uid"]]


@rule(f"{_API} createHandler(); pkg/services/folder", doubt="12 says 404 or 400 as the folder service does")
def check_folder(state: State, uid: str) -> None:
    """A folder that is not there: 400 or 404."""
    if uid and uid not in state.folders:
        raise Refused(400, "failed to get folder")


@rule(f"{_STORE} syncFieldsWithModel()")
def with_type_and_description(model: Document) -> Document:
    """The model is kept as it was sent, but a missing type and description are filled in with empty ones."""
    return {**model, "type": model.get("type") or "", "description": model.get("description") or ""}


@rule(f"{_STORE} selectLibraryElementDTOWithMeta: u2.login AS updated_by_name")
def author(call: Call) -> Document:
    """Who made or changed a library element stands there with the login, service accounts too."""
    who = call.signed_in
    return {"id": who.id, "name": who.login, "avatarUrl": f"/avatar/{who.id:032x}"}


@route("POST", "/api/library-elements", "library.panels:create")
@rule(f"{_API} createHandler(); {_DOCS}")
def create(call: Call) -> Result:
    """A new library element is answered with 200 and its version 1."""
    sent = call.document()
    uid = sent.get("uid") or f"auto{next(call.state.ids)}"
    check_uid(uid)
    wanted = {"uid": uid, "name": sent.get("name", ""), "kind": sent.get("kind"), "folderUid": sent.get("folderUid") or ""}
    if wanted["kind"] not in (1, 2):
        raise Refused(400, "the element kind is not supported")
    check_folder(call.state, wanted["folderUid"])
    check_free(call.state, wanted, "")
    made, model = author(call), with_type_and_description(sent.get("model") or {})
    element = {"id": next(call.state.ids), "orgId": 1, **wanted, "model": model, "version": 1}
    element |= {"created": now(), "updated": now(), "createdBy": made, "updatedBy": made}
    call.state.library[uid] = element
    return 200, {"result": _shown(call.state, element)}


@route("PATCH", "/api/library-elements/{uid}", "library.panels:write")
@rule(f"{_API} patchHandler(); {_DOCS}")
def update(call: Call) -> Result:
    """A change needs kind and version, keeps what it does not name, and raises the version."""
    element, sent = existing(call), call.document()
    if not sent.get("kind"):
        raise Refused(400, "bad request data")
    check_version(element, sent)
    wanted = {key: sent.get(key) or element[key] for key in ("uid", "name", "kind")}
    wanted["folderUid"] = element["folderUid"] if sent.get("folderUid") is None else sent["folderUid"]
    check_uid(wanted["uid"])
    check_folder(call.state, wanted["folderUid"])
    check_free(call.state, wanted, element["uid"])
    model = with_type_and_description(sent["model"]) if sent.get("model") else element["model"]
    del call.state.library[element["uid"]]
    element |= {**wanted, "model": model, "version": element["version"] + 1, "updated": now(), "updatedBy": author(call)}
    call.state.library[element["uid"]] = element
    return 200, {"result": _shown(call.state, element)}


@route("DELETE", "/api/library-elements/{uid}", "library.panels:delete")
@rule(f"{_API} deleteHandler(); {_DOCS}")
def delete(call: Call) -> Result:
    """A deleted library element is answered with 200 and its id."""
    element = existing(call)
    check_unused(call.state, element)
    del call.state.library[element["uid"]]
    return 200, {"message": "Library element deleted", "id": element["id"]}


@route("GET", "/api/library-elements", "library.panels:read")
@rule(f"{_API} getAllHandler(); {_DOCS}")
def list_all(call: Call) -> Result:
    """The list comes page by page, of one folder where that is asked, with the number of all."""
    folders = {part for value in call.query.get("folderFilterUIDs", []) for part in value.split(",")}
    found = [element for element in call.state.library.values() if not folders or (element["folderUid"] or "general") in folders]
    found = [element for element in found if call.first("searchString").lower() in element["name"].lower()]
    found.sort(key=lambda element: element["name"].lower())
    size, page = int(call.first("perPage") or 100), int(call.first("page") or 1)
    shown = [_shown(call.state, element) for element in found[call.page(size=100, name="perPage")]]
    return 200, {"result": {"totalCount": len(found), "elements": shown, "page": page, "perPage": size}}


@route("GET", "/api/library-elements/{uid}", "library.panels:read")
@rule(f"{_API} getHandler(); {_DOCS}")
def get(call: Call) -> Result:
    """A library element comes with its model, its version, how many dashboards show it, and who changed it and when."""
    return 200, {"result": _shown(call.state, existing(call))}


@route("GET", "/api/library-elements/{uid}/connections", "library.panels:read")
@rule(f"{_API} getConnectionsHandler(); {_DOCS}")
def connections(call: Call) -> Result:
    """The dashboards that show a library element are told by their uids."""
    element = existing(call)
    return 200, {
        "result": [
            {"kind": 1, "elementId": element["id"], "connectionId": call.state.dashboards[uid]["id"], "connectionUid": uid}
            for uid in boards_with(call.state, element["uid"])
        ]
    }


def _shown(state: State, element: Document) -> Document:
    folder = state.folders.get(element["folderUid"], {"id": 0, "title": "General"})
    meta = {key: element[key] for key in ("created", "updated", "createdBy", "updatedBy", "folderUid")}
    meta |= {"folderName": folder["title"], "connectedDashboards": len(boards_with(state, element["uid"]))}
    shown = {key: element[key] for key in ("id", "orgId", "folderUid", "uid", "name", "kind", "model", "version")}
    return {
        **shown,
        "folderId": folder["id"],
        "type": element["model"]["type"],
        "description": element["model"]["description"],
        "meta": meta,
    }
