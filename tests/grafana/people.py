"""Teams and users, as far as folder permissions need them: by name and login, where the API wants numbers."""

from __future__ import annotations

from tests.grafana.routing import Call, Refused, Result, route
from tests.grafana.rules import rule


@route("POST", "/api/teams", "teams:create")
@rule("docs http-api/team, POST /api/teams; pkg/services/team/teamapi/team.go", doubt="the name taken is 409, whose message was not read")
def create_team(call: Call) -> Result:
    """A new team is answered with 200 and its number."""
    name = str(call.document().get("name") or "")
    if name in call.state.teams:
        raise Refused(409, "Team name taken")
    call.state.teams[name] = next(call.state.ids)
    return 200, {"message": "Team created", "teamId": call.state.teams[name], "uid": f"team{call.state.teams[name]}"}


@route("GET", "/api/teams/search", "teams:read")
@rule("docs http-api/team, GET /api/teams/search (`name` matches the whole name, `query` a part of it)")
def search_teams(call: Call) -> Result:
    """A search by name finds the team of just that name, with its number."""
    name, part = call.first("name"), call.first("query").lower()
    found = [{"id": id_, "orgId": 1, "name": team} for team, id_ in call.state.teams.items() if name in ("", team) and part in team.lower()]
    return 200, {"totalCount": len(found), "teams": found, "page": 1, "perPage": 1000}


@route("DELETE", "/api/teams/{id}", "teams:create")
@rule("docs http-api/team, DELETE /api/teams/:id")
def delete_team(call: Call) -> Result:
    """A team is deleted by its number."""
    names = [name for name, id_ in call.state.teams.items() if str(id_) == call.parameters["id"]]
    if not names:
        raise Refused(404, "Team not found")
    del call.state.teams[names[0]]
    return 200, {"message": "Team deleted"}


@route("GET", "/api/org/users/lookup", "users:read")
@rule("pkg/api/org_users.go GetOrgUsersForCurrentOrgLookup(), stored file 1275503835")
def look_up_users(call: Call) -> Result:
    """The look-up finds users by a part of login, name or mail, with their numbers."""
    part = call.first("query").lower()
    people = [identity for identity, _ in call.state.people.values() if part in identity.login.lower() or part in identity.name.lower()]
    return 200, [{"userId": one.id, "uid": one.uid, "login": one.login, "avatarUrl": ""} for one in people]
