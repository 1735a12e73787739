"""Who calls, whether they may, and what they are called in what they wrote.

Roles are Grafana's basic ones in an installation without RBAC of its own: what an action needs at least stands in `_NEEDS`.
"""

from __future__ import annotations

import base64
import binascii
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.grafana.routing import Call, Document, Refused, Result, route
from tests.grafana.rules import rule

if TYPE_CHECKING:
    from tests.grafana.state import State

_ROLES = ("Viewer", "Editor", "Admin")
_NEEDS = {
    "annotations:create": "Editor",
    "annotations:delete": "Editor",
    "annotations:read": "Viewer",
    "annotations:write": "Editor",
    "dashboards:create": "Editor",
    "dashboards:delete": "Editor",
    "dashboards:read": "Viewer",
    "datasources:create": "Admin",
    "datasources:delete": "Admin",
    "datasources:query": "Viewer",
    "datasources:read": "Admin",
    "datasources:write": "Admin",
    "folders.permissions:read": "Admin",
    "folders.permissions:write": "Admin",
    "folders:create": "Editor",
    "folders:delete": "Editor",
    "folders:read": "Viewer",
    "folders:write": "Editor",
    "library.panels:create": "Editor",
    "library.panels:delete": "Editor",
    "library.panels:read": "Viewer",
    "library.panels:write": "Editor",
    "teams:create": "Admin",
    "teams:read": "Admin",
    "users:read": "Admin",
    "alert.provisioning:read": "Admin",
    "alert.provisioning:write": "Admin",
}
_ACE = itertools.count(1)


@dataclass(frozen=True)
class Identity:
    """A user or a service account."""

    id: int
    uid: str
    login: str
    name: str
    role: str
    kind: str = "user"


@rule("pkg/middleware/auth.go and pkg/services/authn (12); messageId auth.unauthorized as seen on a live 13 (stored file 61221366596)")
def refuse_strangers(call: Call) -> Refused:
    """Without credentials: 401, messageId auth.unauthorized."""
    return Refused(401, "Unauthorized", message_id="auth.unauthorized")


@rule("pkg/services/authn/clients/api_key.go, stored file 9093882690, errAPIKeyInvalid")
def refuse_wrong_token(call: Call) -> Refused:
    """A token that nobody has: 401, messageId api-key.invalid."""
    return Refused(401, "Invalid API key", message_id="api-key.invalid")


@rule("pkg/services/authn/clients/api_key.go, stored file 9093882690, errAPIKeyExpired")
def refuse_expired_token(call: Call) -> Refused:
    """A token past its time: 401, messageId api-key.expired."""
    return Refused(401, "Expired API key", message_id="api-key.expired")


@rule(
    "pkg/services/authn/clients/password.go, errPasswordAuthFailed", doubt="the message was not read in a stored file; the status is sure"
)
def refuse_wrong_password(call: Call) -> Refused:
    """A wrong login or password: 401."""
    return Refused(401, "Invalid username or password", message_id="password-auth.failed")


@rule("pkg/services/accesscontrol/middleware.go, stored file 21697144040, deny()")
def refuse_without_permission(call: Call, action: str) -> Refused:
    """A missing permission: 403, with a title, an accessErrorId, and a message that names the permission."""
    message = f"You'll need additional permissions to perform this action. Permissions needed: {action}"
    return Refused(403, message, title="Access denied", accessErrorId=f"ACE{next(_ACE):010}")


def identify(call: Call) -> Identity:
    """Who calls.

    Raises:
        Refused: nobody whom we know.
    """
    scheme, _, value = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value:
        if value not in call.state.tokens:
            raise refuse_wrong_token(call)
        identity, expired = call.state.tokens[value]
        if expired:
            raise refuse_expired_token(call)
        return identity
    if scheme.lower() == "basic" and value:
        try:
            login, _, password = base64.b64decode(value).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise refuse_wrong_password(call) from None
        if login not in call.state.people or call.state.people[login][1] != password:
            raise refuse_wrong_password(call)
        return call.state.people[login][0]
    raise refuse_strangers(call)


def require(call: Call, action: str) -> None:
    """Go on only for those who may do this.

    Raises:
        Refused: the caller may not.
    """
    if _ROLES.index(call.signed_in.role) < _ROLES.index(_NEEDS[action]):
        raise refuse_without_permission(call, action)


@rule(
    "pkg/api/dashboard.go getIdentityName(), stored files 205152580 (12) and 54134187646 (13); pkg/api/folder.go, stored file 63219136",
)
def name_in_writings(who: Identity) -> str:
    """A dashboard and a folder that someone changed bear a user's login, but a service account's name, which is not its login."""
    return who.name if who.kind == "service-account" else who.login


@route("GET", "/api/health", None)
@rule("pkg/api/health.go; docs api-legacy/other", doubt="the version is left out where [auth.anonymous] hide_version is set")
def health(call: Call) -> Result:
    """Health is told to strangers: the database's state and, unless it is hidden, the version."""
    version = {} if call.state.hide_version else {"version": call.state.version_text, "commit": "0000000000"}
    return 200, {"database": "ok", **version}


@route("GET", "/api/frontend/settings")
@rule("pkg/api/frontendsettings.go, buildInfo")
def frontend_settings(call: Call) -> Result:
    """Who is signed in finds the version in buildInfo too."""
    return 200, {"buildInfo": {"version": call.state.version_text, "edition": "Open Source", "env": "production"}}


@route("GET", "/api/user")
@rule("pkg/api/user.go GetSignedInUser(), stored file 232480067")
def whoami(call: Call) -> Result:
    """A service account too has a login, a name, and a uid `service-account:<id>`; it is never Grafana's admin."""
    who = call.signed_in
    if who.kind == "service-account":
        uid = f"service-account:{who.id}"
        return 200, {"id": 0, "uid": uid, "email": "", "name": who.name, "login": who.login, "orgId": 1, "isGrafanaAdmin": False}
    admin = who.role == "Admin"
    return 200, {"id": who.id, "uid": who.uid, "email": "", "name": who.name, "login": who.login, "orgId": 1, "isGrafanaAdmin": admin}


def rights(call: Call) -> Document:
    """What a folder or a dashboard says of the caller's rights."""
    editor, admin = call.signed_in.role != "Viewer", call.signed_in.role == "Admin"
    return {"canSave": editor, "canEdit": editor, "canAdmin": admin, "canDelete": editor}


def add_service_account(state: State, name: str, role: str, *, expired: bool = False) -> str:
    """A new service account; its token."""
    number = next(state.ids)
    identity = Identity(number, f"sa{number}", f"sa-1-{name.lower().replace(' ', '-')}", name, role, "service-account")
    token = f"glsa_{number:032}_{binascii.crc32(str(number).encode()):08x}"
    state.tokens[token] = (identity, expired)
    return token


def add_user(state: State, login: str, role: str, password: str) -> None:
    """A new user."""
    number = next(state.ids)
    state.people[login] = (Identity(number, f"u{number}", login, login.title(), role), password)
