"""Folders and their permissions."""

from __future__ import annotations

import re

from tests.grafana.access import Identity, name_in_writings, rights
from tests.grafana.routing import Call, Document, Refused, Result, route
from tests.grafana.rules import rule
from tests.grafana.state import State, boards_with, now, slug

_ERRORS = "pkg/api/apierrors/folder.go, stored file 51812286275 (13)"
_DOCS = "docs/sources/developer-resources/api-reference/http-api/folder.md, stored file 53729265303"
_PERMISSIONS = {1: "View", 2: "Edit", 4: "Admin"}


@rule("pkg/util/shortid_generator.go; pkg/services/dashboards/errors.go, stored file 2322998304")
def check_uid(uid: str) -> None:
    """A uid has at most 40 characters, of letters, digits, `-` and `_`; else 400."""
    if not re.fullmatch(r"[a-zA-Z0-9_-]*", uid):
        raise Refused(400, "uid contains illegal characters")
    if len(uid) > 40:
        raise Refused(400, "uid too long, max 40 characters")


@rule(_ERRORS + "; pkg/registry/apis/folders/validate.go, stored file 54513707453 (General is kept since 13)")
def check_title(state: State, title: str) -> None:
    """A folder needs a title: 400; from 13 on none may be called General."""
    if not title.strip():
        raise Refused(400, "folder title cannot be empty")
    if state.at_least(13) and title.strip().lower() == "general":
        raise Refused(400, "a folder with that name already exists")


@rule(_ERRORS + f"; {_DOCS} (412 Folder already exists)", doubt="with the old storage it is 409; a client must know both")
def check_free(state: State, uid: str) -> None:
    """A taken uid: 412 with status version-mismatch. Titles may be there twice."""
    if uid in state.folders:
        raise _changed()


@rule(_ERRORS + f"; {_DOCS}; pull requests #104713 and #104717 brought it back in 12.0.0 and 12.0.1")
def check_version(folder: Document, wanted: Document) -> None:
    """A folder is changed only by who knows its version, or with overwrite: else 412 with status version-mismatch."""
    if not wanted.get("overwrite") and wanted.get("version") != folder["version"]:
        raise _changed()


@rule(_ERRORS)
def existing(state: State, uid: str) -> Document:
    """A folder that is not there: 404 with status not-found."""
    if uid not in state.folders:
        raise Refused(404, "folder not found", status="not-found")
    return state.folders[uid]


@rule("pkg/tests/api/alerting, stored file 6258890: `folder cannot be deleted: folder contains alert rules`; " + _DOCS)
def check_no_rules(call: Call, uid: str) -> None:
    """A folder with alert rules goes only with forceDeleteRules=true: else 400."""
    inside = [key for key, alert in call.state.rules.items() if alert["folderUID"] == uid]
    if inside and call.first("forceDeleteRules") != "true":
        raise Refused(400, "folder cannot be deleted: folder contains alert rules")
    for key in inside:
        del call.state.rules[key]


@rule("pkg/api/folder.go DeleteFolder(), stored file 14990007612")
def check_no_library_in_use(state: State, uid: str) -> None:
    """A folder whose library elements are in use cannot be deleted: 403; unused ones go with it."""
    inside = [element["uid"] for element in state.library.values() if element["folderUid"] == uid]
    if any(boards_with(state, element) for element in inside):
        raise Refused(403, "Folder could not be deleted because it contains library elements in use")
    for element in inside:
        del state.library[element]


@route("POST", "/api/folders", "folders:create")
@rule(f"pkg/api/folder.go CreateFolder(), stored file 14990007612; {_DOCS}")
def create(call: Call) -> Result:
    """A new folder is answered with 200 and its version; who has no uid for it gets one."""
    wanted = call.document()
    uid = wanted.get("uid") or f"auto{next(call.state.ids)}"
    check_uid(uid)
    check_title(call.state, str(wanted.get("title", "")))
    if wanted.get("parentUid"):
        existing(call.state, wanted["parentUid"])
    check_free(call.state, uid)
    parent = wanted.get("parentUid") or ""
    folder = new_folder(call.state, uid, wanted["title"].strip(), name_in_writings(call.signed_in), parent)
    call.state.permissions[uid] = default_permissions(call.state, call.signed_in, parent)
    return 200, _shown(call, folder)


@rule(
    "pkg/registry/apis/folders/folder_storage.go, stored file 6083886 (12); pull requests #95072 (11.3) and #111984 (October 2025)",
    doubt="whether later 13 name the maker, and the role Admin, is not known",
)
def default_permissions(state: State, who: Identity, parent: str) -> list[Document]:
    """A new folder at the root lets Editors edit and Viewers view; in 12 its maker, a service account too, is its Admin."""
    own = [] if state.at_least(13) else [{"userId": who.id, "userLogin": who.login, "permission": 4}]
    return own if parent else [*own, {"role": "Editor", "permission": 2}, {"role": "Viewer", "permission": 1}]


def new_folder(state: State, uid: str, title: str, author: str, parent: str = "") -> Document:
    """A folder, without permissions."""
    state.folders[uid] = folder = {
        "id": next(state.ids),
        "uid": uid,
        "orgId": 1,
        "title": title,
        "parentUid": parent,
        "hasAcl": False,
        "createdBy": author,
        "created": now(),
        "updatedBy": author,
        "updated": now(),
        "version": 1,
    }
    state.permissions[uid] = []
    return folder


@route("GET", "/api/folders", "folders:read")
@rule(f"pkg/api/folder.go GetFolders(), stored file 14990007612; {_DOCS}")
def list_folders(call: Call) -> Result:
    """The list has the direct children of parentUid only, page by page, with id, uid and title."""
    parent = call.first("parentUid")
    found = [folder for folder in call.state.folders.values() if folder["parentUid"] == parent]
    found.sort(key=lambda folder: (folder["title"].lower(), folder["uid"]))
    return 200, [{key: folder[key] for key in ("id", "uid", "title")} for folder in found[call.page(size=1000)]]


@route("GET", "/api/folders/{uid}", "folders:read")
@rule(f"pkg/api/folder.go GetFolderByUID(), stored file 14990007612; {_DOCS}")
def get(call: Call) -> Result:
    """A folder says its title, its address, its version, the caller's rights, and who made and last changed it, and when."""
    return 200, _shown(call, existing(call.state, call.parameters["uid"]))


@route("PUT", "/api/folders/{uid}", "folders:write")
@rule(f"pkg/api/folder.go UpdateFolder(), stored file 14990007612; {_DOCS}")
def update(call: Call) -> Result:
    """A change keeps the uid, raises the version, and notes who made it."""
    folder, wanted = existing(call.state, call.parameters["uid"]), call.document()
    check_title(call.state, str(wanted.get("title", folder["title"])))
    check_version(folder, wanted)
    folder["title"] = str(wanted.get("title", folder["title"])).strip()
    folder |= {"version": folder["version"] + 1, "updated": now(), "updatedBy": name_in_writings(call.signed_in)}
    return 200, _shown(call, folder)


@route("POST", "/api/folders/{uid}/move", "folders:write")
@rule(f"pkg/api/folder.go MoveFolder(); {_DOCS} (Move folder)", doubt="whether a move raises the version was not read; here it does")
def move(call: Call) -> Result:
    """A folder moves below another, or with an empty parentUid to the root; below itself it cannot: 400."""
    folder, parent = existing(call.state, call.parameters["uid"]), str(call.document().get("parentUid") or "")
    above = parent
    while above:
        if above == folder["uid"]:
            raise Refused(400, "cannot move folder into its own descendants")
        above = existing(call.state, above)["parentUid"]
    folder |= {"parentUid": parent, "version": folder["version"] + 1, "updated": now(), "updatedBy": name_in_writings(call.signed_in)}
    return 200, _shown(call, folder)


@route("DELETE", "/api/folders/{uid}", "folders:delete")
@rule(f"pkg/api/folder.go DeleteFolder(), stored file 14990007612; {_DOCS}")
def delete(call: Call) -> Result:
    """A deleted folder takes the dashboards and folders inside with it."""
    folder = existing(call.state, call.parameters["uid"])
    check_no_library_in_use(call.state, folder["uid"])
    check_no_rules(call, folder["uid"])
    _delete_inside(call.state, folder["uid"])
    return 200, {"id": folder["id"], "title": folder["title"], "message": f"Folder {folder['title']} deleted"}


def _delete_inside(state: State, uid: str) -> None:
    for child in [folder["uid"] for folder in state.folders.values() if folder["parentUid"] == uid]:
        _delete_inside(state, child)
    for board in [board["uid"] for board in state.dashboards.values() if board["folderUid"] == uid]:
        del state.dashboards[board]
    del state.folders[uid]
    state.permissions.pop(uid, None)


@route("GET", "/api/folders/{uid}/permissions", "folders.permissions:read")
@rule("pkg/api/folder_permission.go GetFolderPermissionList(), stored file 644110275")
def get_permissions(call: Call) -> Result:
    """The permissions come as a list, each with its role, user or team, the number, its name, and whether it is inherited."""
    folder = existing(call.state, call.parameters["uid"])
    common = {"uid": folder["uid"], "title": folder["title"], "slug": slug(folder["title"]), "isFolder": True, "inherited": False}
    nobody = {"userId": 0, "userLogin": "", "teamId": 0, "team": ""}
    teams = {id_: name for name, id_ in call.state.teams.items()}
    logins = {one.id: one.login for one, _ in call.state.people.values()}
    named = [
        {**item, **({"team": teams[item["teamId"]]} if item.get("teamId") in teams else {})}
        | ({"userLogin": logins[item["userId"]]} if item.get("userId") in logins else {})
        for item in call.state.permissions[folder["uid"]]
    ]
    return 200, [{**nobody, **common, **item, "permissionName": _PERMISSIONS[item["permission"]]} for item in named]


@route("POST", "/api/folders/{uid}/permissions", "folders.permissions:write")
@rule("pkg/api/folder_permission.go UpdateFolderPermissions() and validatePermissionsUpdate(), stored files 644110275 and 280656750")
def set_permissions(call: Call) -> Result:
    """The permissions that are sent replace all that were there; an item for a role and a user or team at once is refused with 400."""
    folder, items = existing(call.state, call.parameters["uid"]), call.document().get("items", [])
    for item in items:
        if item.get("role") and (item.get("userId") or item.get("teamId")):
            raise Refused(400, "Permissions with role are not allowed for a user or a team")
    call.state.permissions[folder["uid"]] = [dict(item) for item in items]
    return 200, {"message": "Folder permissions updated", "id": folder["id"], "title": folder["title"]}


def _changed() -> Refused:
    return Refused(412, "the folder has been changed by someone else", status="version-mismatch")


def _shown(call: Call, folder: Document) -> Document:
    shown = {key: value for key, value in folder.items() if key != "parentUid" or value}
    return {**shown, "url": f"/dashboards/f/{folder['uid']}/{slug(folder['title'])}", **rights(call)}
