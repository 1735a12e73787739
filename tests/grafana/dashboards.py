"""Dashboards over the old API, and what it does with those of the new one."""

from __future__ import annotations

import copy

from tests.grafana.access import name_in_writings, rights
from tests.grafana.folders import check_uid
from tests.grafana.routing import Call, Document, Refused, Result, route
from tests.grafana.rules import rule
from tests.grafana.state import State, now, slug

_12 = "pkg/api/dashboard.go, stored file 205152580 (12)"
_13 = "pkg/api/dashboard.go, stored file 54134187646 (13 after pull request #125950 of June 2026)"
_ERRORS = "pkg/services/dashboards/errors.go, stored file 2322998304"
_DOCS = "docs/sources/developer-resources/api-reference/http-api/dashboard.md, stored file 53081873377"
_V2_KEYS = {"elements", "layout"}
_V2 = "dashboard.grafana.app/v2"


def new_path(state: State) -> bool:
    """Whether posts go to the new storage directly.

    Pull request #122027 was reverted in May 2026 (#124908), while 13.1.0 was built, and re-applied in June (#125950): 13.2.
    """
    return state.at_least(13, 2)


@rule("pull request #118665 (13.0); measured on 12.0.0 and 13.2.0 in stored file 69045434869; " + _13)
def check_not_v2(state: State, model: Document) -> None:
    """A v2 model: 13 refuses it with 400; 12 stores it unread, and the board is empty."""
    if not state.at_least(13):
        return
    if _V2_KEYS & model.keys() and "spec" not in model:
        instead = " OR it should include a object wrapper with an explicit 'apiVersion' and move the body into a 'spec' element"
        raise Refused(400, "dashboard appears to be in v2 format. Please use the /apis/dashboard.grafana.app/v2 API" + instead)


@rule(_13, doubt="13.0 and 13.1 refuse every wrapped dashboard, 13.2 takes those of dashboard.grafana.app without a root id")
def check_not_wrapped(state: State, model: Document) -> None:
    """A dashboard in the new API's wrapper, with an id beside it: 13 refuses it with 400; 12 misses its title, 400 too."""
    if {"spec", "metadata"} & model.keys():
        if not state.at_least(13):
            return
        if not new_path(state):
            raise Refused(400, "Dashboard appears to be a full k8s style resource. Please use the /apis/dashboard.grafana.app/ API")
        raise Refused(400, "The k8s style dashboard must not include an id on the root element")


@rule(f"{_ERRORS}; {_13}")
def check_title(state: State, model: Document) -> None:
    """A dashboard without a title: 400."""
    if not str(model.get("title") or "").strip():
        if new_path(state):
            raise Refused(400, "Dashboard spec is missing required title property")
        raise Refused(400, "Dashboard title cannot be empty", status="empty-name")


@rule(f"pkg/api/apierrors/dashboard.go, stored file 54088901210; {_ERRORS}")
def check_folder(state: State, uid: str) -> None:
    """A folder that is not there: 400."""
    if uid and uid not in state.folders:
        raise Refused(400, "folder not found")


@rule(f"{_12}; {_ERRORS}; {_DOCS}")
def check_version(state: State, board: Document, model: Document) -> None:
    """A dashboard is changed only by who knows its version, or with overwrite: else 412 version-mismatch; 13.2 and later 409."""
    if model.get("version") != board["version"]:
        if new_path(state):
            raise Refused(409, "Dashboard already exists. Use overwrite flag to update.")
        raise Refused(412, "The dashboard has been changed by someone else", status="version-mismatch")


@rule(f"{_ERRORS}; {_13}")
def check_not_provisioned(board: Document, message: str) -> None:
    """A dashboard from a file: saving and deleting it are refused with 400, even with overwrite."""
    if board["provisioned"]:
        raise Refused(400, message)


@rule("pkg/api/apierrors/dashboard.go, stored file 54088901210; " + _DOCS, doubt="13.2 and later do not look at it over this API")
def check_not_of_plugin(state: State, board: Document) -> None:
    """A dashboard that came with a plugin is changed only with overwrite: else 412 with status plugin-dashboard."""
    if board["plugin"] and not new_path(state):
        raise Refused(412, f"The dashboard belongs to plugin {board['plugin']}.", status="plugin-dashboard")


@rule(f"{_12}, getDashboardHelper()")
def existing(state: State, uid: str) -> Document:
    """A dashboard that is not there: 404."""
    if uid not in state.dashboards:
        raise Refused(404, "Dashboard not found")
    return state.dashboards[uid]


@route("POST", "/api/dashboards/db", "dashboards:create")
@rule(f"{_12} postDashboard(); {_13} saveDashboardViaK8s(); {_DOCS}")
def save(call: Call) -> Result:
    """Saving makes or replaces the dashboard of that uid, in the folder folderUid or at the root: 200 with uid, version and address."""
    wanted = call.document()
    model = wanted.get("dashboard")
    if not isinstance(model, dict):
        raise Refused(400, "bad request data")
    check_not_v2(call.state, model)
    check_not_wrapped(call.state, model)
    check_title(call.state, model)
    check_uid(model.get("uid") or "")
    folder = wanted.get("folderUid") or ""
    check_folder(call.state, folder)
    board = call.state.dashboards.get(model.get("uid") or "")
    if board is not None:
        check_not_provisioned(board, "Cannot save provisioned dashboard")
        if not wanted.get("overwrite"):
            check_version(call.state, board, model)
            check_not_of_plugin(call.state, board)
    author = name_in_writings(call.signed_in)
    board = store(call.state, model, folder, author, v2="")
    return 200, {
        "id": board["id"],
        "uid": board["uid"],
        "url": _url(board),
        "status": "success",
        "version": board["version"],
        "slug": slug(board["model"]["title"]),
        "folderUid": board["folderUid"],
    }


@rule(
    "pkg/storage/unified/apistore/prepare.go (13), pkg/services/dashboards/database (12)",
    doubt="12 counts every save; 13 is taken to count only those that change something. Nobody may rely on either",
)
def next_version(state: State, board: Document, model: Document, folder: str) -> int:
    """Every save that changes something raises the version by one; one that does not may."""
    same = (board["model"], board["folderUid"]) == (model, folder)
    return int(board["version"]) + (0 if same and state.at_least(13) else 1)


@rule("pull request #104213 (12.0.0): the old API keeps schemaVersion; " + _12)
def kept_model(model: Document) -> Document:
    """The model is kept as it was sent, with nothing migrated or filled in, but for id, uid and version."""
    return {key: copy.deepcopy(value) for key, value in model.items() if key not in {"id", "uid", "version"}}


def store(state: State, model: Document, folder: str, author: str, **kept: object) -> Document:
    """Write a dashboard."""
    uid = model.get("uid") or f"auto{next(state.ids)}"
    clean = kept_model(model)
    board = state.dashboards.get(uid)
    if board is None:
        board = {"id": next(state.ids), "uid": uid, "version": 0, "created": now(), "createdBy": author, "model": {}, "folderUid": folder}
        board |= {"provisioned": "", "plugin": "", "v2": ""}
        state.dashboards[uid] = board
    version = next_version(state, board, clean, folder) if board["version"] else 1
    board |= {"model": clean, "folderUid": folder, "version": version, "updated": now(), "updatedBy": author, **kept}
    return board


@rule(f"{_12}; mcp-grafana's own test, stored file 48045483634", doubt="later 13 converts it to the old form and answers 200 (" + _13 + ")")
def check_not_new_form(state: State, board: Document) -> None:
    """A dashboard last saved in v2: 406, and the message names the address to use; later 13 answer it in the old form."""
    if board["v2"] and not state.at_least(13, 1):
        address = f"/apis/dashboard.grafana.app/{board['v2']}/namespaces/default/dashboards/{board['uid']}"
        raise Refused(406, f"dashboard api version not supported, use {address} instead")


@route("GET", "/api/dashboards/uid/{uid}", "dashboards:read")
@rule(f"{_12} GetDashboard(); {_13} GetDashboard()")
def get(call: Call) -> Result:
    """A dashboard's model comes with id, uid and version; beside it, in meta, its folder, its version, who changed it and when."""
    board = existing(call.state, call.parameters["uid"])
    check_not_new_form(call.state, board)
    folder = call.state.folders.get(board["folderUid"])
    where = {"folderId": 0, "folderUid": "", "folderTitle": "General", "folderUrl": ""}
    if folder is not None:
        address = f"/dashboards/f/{folder['uid']}/{slug(folder['title'])}"
        where = {"folderId": folder["id"], "folderUid": folder["uid"], "folderTitle": folder["title"], "folderUrl": address}
    annotations = {"canAdd": True, "canEdit": True, "canDelete": True}
    meta = {
        "type": "db",
        "canStar": True,
        **rights(call),
        "slug": slug(str(board["model"].get("title", ""))),
        "url": _url(board),
        "expires": "0001-01-01T00:00:00Z",
        **{key: board[key] for key in ("created", "updated", "createdBy", "updatedBy", "version")},
        "hasAcl": False,
        "isFolder": False,
        "apiVersion": "v1beta1" if board["v2"] else "v0alpha1",
        **where,
        "provisioned": bool(board["provisioned"]),
        "provisionedExternalId": board["provisioned"],
        "annotationsPermissions": {"dashboard": annotations, "organization": annotations},
    }
    return 200, {"meta": meta, "dashboard": {**board["model"], **{key: board[key] for key in ("id", "uid", "version")}}}


@route("DELETE", "/api/dashboards/uid/{uid}", "dashboards:delete")
@rule(f"{_12} deleteDashboard(); {_DOCS}")
def delete(call: Call) -> Result:
    """A deleted dashboard is answered with 200, its title and its uid."""
    board = existing(call.state, call.parameters["uid"])
    check_not_provisioned(board, "provisioned dashboard cannot be deleted")
    del call.state.dashboards[board["uid"]]
    title = board["model"].get("title")
    return 200, {"title": title, "message": f"Dashboard {title} deleted", "uid": board["uid"]}


@route("GET", "/api/search")
@rule("docs http-api/folder_dashboard_search; pkg/api/search.go", doubt="with unified storage a new board may be found a moment later")
def search(call: Call) -> Result:
    """The search finds dashboards by folder, tag, title and uid, page by page, at most 5,000 at a time."""
    hits = []
    if call.first("type") != "dash-folder":
        hits += [_hit(call.state, board) for board in call.state.dashboards.values()]
    if call.first("type") != "dash-db":
        hits += [
            {"id": f["id"], "uid": f["uid"], "title": f["title"], "type": "dash-folder", "tags": []} for f in call.state.folders.values()
        ]
    for name, key in (("folderUIDs", "folderUid"), ("dashboardUIDs", "uid")):
        if wanted := {part for value in call.query.get(name, []) for part in value.split(",")}:
            hits = [hit for hit in hits if (hit.get(key) or ("general" if name == "folderUIDs" else "")) in wanted]
    tags = set(call.query.get("tag", []))
    hits = [hit for hit in hits if tags <= set(hit["tags"]) and call.first("query").lower() in hit["title"].lower()]
    size = min(int(call.first("limit") or 1000), 5000)
    return 200, sorted(hits, key=lambda hit: (hit["type"], hit["title"].lower(), hit["uid"]))[call.page(size=size, name="none")]


@route("POST", "/apis/dashboard.grafana.app/{version}/namespaces/default/dashboards", "dashboards:create")
@rule("docs http-api/dashboard, POST /apis/dashboard.grafana.app", doubt="only so much of the new API as makes a v2 dashboard")
def create_new_form(call: Call) -> Result:
    """A v2 dashboard is made over the new API: 201."""
    wanted, version = call.document(), call.parameters["version"]
    if version not in ("v2alpha1", "v2beta1", *(["v2"] if call.state.at_least(13) else [])):
        raise Refused(404, "the server could not find the requested resource")
    uid, spec = wanted["metadata"]["name"], wanted["spec"]
    classic = {"uid": uid, "title": spec["title"], "panels": [], "schemaVersion": 42}
    store(call.state, classic, "", name_in_writings(call.signed_in), v2=version)
    return 201, {"kind": "Dashboard", "apiVersion": f"dashboard.grafana.app/{version}", "metadata": {"name": uid}, "spec": spec}


def _hit(state: State, board: Document) -> Document:
    title = str(board["model"].get("title", ""))
    hit = {"id": board["id"], "uid": board["uid"], "title": title, "uri": f"db/{slug(title)}", "url": _url(board), "type": "dash-db"}
    hit |= {"tags": board["model"].get("tags") or [], "isStarred": False, "folderUid": board["folderUid"]}
    if folder := state.folders.get(board["folderUid"]):
        hit["folderTitle"] = folder["title"]
    return hit


def _url(board: Document) -> str:
    return f"/d/{board['uid']}/{slug(str(board['model'].get('title', '')))}"
