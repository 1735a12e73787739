"""Teams, users, and folders that name them or move."""

from __future__ import annotations

from tests.grafana.conftest import Target
from tests.grafana.rules import proves


@proves("people.create_team", "people.search_teams", "people.delete_team")
def test_a_team_is_found_by_its_whole_name(target: Target) -> None:
    name = f"{target.prefix} team"
    number = target.make("POST", "/api/teams", {"name": name})["teamId"]
    assert [(team["id"], team["name"]) for team in target.get("/api/teams/search", name=name)["teams"]] == [(number, name)]
    assert target.get("/api/teams/search", name=name[:-1])["teams"] == []
    target.make("DELETE", f"/api/teams/{number}", None)
    assert target.get("/api/teams/search", name=name)["teams"] == []


@proves("people.look_up_users")
def test_a_user_is_found_by_login(target: Target) -> None:
    _, login = target.editor()
    assert [user["login"] for user in target.get("/api/org/users/lookup", query=login) if user["userId"]].count(login) == 1


@proves("folders.set_permissions", "folders.get_permissions")
def test_permissions_of_teams_and_users_come_back_with_their_names(target: Target) -> None:
    uid, (_, login), name = target.folder(), target.editor(), f"{target.prefix} team"
    team = target.make("POST", "/api/teams", {"name": name})["teamId"]
    user = next(one["userId"] for one in target.get("/api/org/users/lookup", query=login) if one["login"] == login)
    items = [{"teamId": team, "permission": 2}, {"userId": user, "permission": 1}]
    target.make("POST", f"/api/folders/{uid}/permissions", {"items": items})
    found = [one for one in target.get(f"/api/folders/{uid}/permissions") if not one.get("inherited")]
    assert {(one.get("team") or "", one.get("userLogin") or "", one["permission"]) for one in found} == {(name, "", 2), ("", login, 1)}
    target.make("DELETE", f"/api/teams/{team}", None)


@proves("folders.move")
def test_a_folder_moves_below_another_and_not_below_itself(target: Target) -> None:
    one, other = target.folder("one"), target.folder("other")
    target.make("POST", f"/api/folders/{one}/move", {"parentUid": other})
    assert target.get(f"/api/folders/{one}").get("parentUid") == other
    assert target.call("POST", f"/api/folders/{other}/move", {"parentUid": one}).status_code == 400
    target.make("POST", f"/api/folders/{one}/move", {"parentUid": ""})
    assert not target.get(f"/api/folders/{one}").get("parentUid")
