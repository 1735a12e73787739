"""What goes wrong between the sync and a Grafana: kills, lost answers, tokens that end, and boards in a format of another API."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from lakehouse.dashboards.plan import Action
from lakehouse.exceptions import ServiceError, TransientError
from tests.lakehouse.dashboards.grafana.folder import FILES, board, panel


class KilledError(Exception):
    pass


STEPS = ("back up", "note what is begun", "write data_sources", "write dashboards", "write rule_groups", "read back", "note what is done")


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_the_next_run_ends_as_the_files_say_and_no_edit_is_taken_for_one(grafana, step):
    grafana.apply()
    for path, change in (("dashboards/t/one.json", {"title": "New"}), ("data_sources/prometheus.json", {"url": "http://new:9090"})):
        grafana.put(path, {**FILES[path], **change})
    grafana.put("rule_groups/t.json", {**FILES["rule_groups/t.json"], "interval": 30})

    def stop(name: str) -> None:
        if name == step:
            raise KilledError

    with contextlib.suppress(KilledError):
        grafana.sync(point=stop).apply()
    assert grafana.plan().of(Action.DRIFTED) == ()
    grafana.apply()
    assert grafana.plan().counts()["unchanged"] == len(FILES)
    assert not grafana.memory.record().pending


def test_an_edit_after_a_kill_is_an_edit_also_where_no_author_is_told(grafana):
    grafana.apply()
    grafana.put("rule_groups/t.json", {**FILES["rule_groups/t.json"], "interval": 30})

    def stop(name: str) -> None:
        if name == "write rule_groups":
            raise KilledError

    with contextlib.suppress(KilledError):
        grafana.sync(point=stop).apply()
    group = "/api/v1/provisioning/folder/t/rule-groups/t%20rules"
    grafana.by_hand("PUT", group, {**grafana.by_hand("GET", group), "interval": 600})
    assert grafana.apply() == []
    assert [change.key.kind for change in grafana.plan().of(Action.DRIFTED)] == ["rule_groups"]


@pytest.mark.fault(21)
def test_a_token_that_ends_in_the_middle_is_said_with_what_was_not_written_and_the_next_run_goes_on(grafana):
    good = grafana.server.token()

    def revoke(step: str) -> None:
        if step == "write mute_timings" and not revoked:
            revoked.update({good: grafana.server.state.tokens.pop(good)})

    revoked: dict[str, Any] = {}
    with pytest.raises(ServiceError, match="refused a part; the rest was written") as caught:
        grafana.sync(point=revoke).apply()
    for kind in ("mute_timings", "contact_points", "notification_policies", "rule_groups"):
        assert f"\n  {kind}/" in str(caught.value)
    assert "dashboards/t-one" not in str(caught.value)
    assert caught.value.status == 401
    grafana.server.state.tokens.update(revoked)
    grafana.apply()
    assert grafana.plan().counts()["unchanged"] == len(FILES)


@pytest.mark.fault(22)
def test_a_write_whose_answer_is_lost_fails_as_something_that_may_be_tried_again_and_then_nothing_is_left_to_do(grafana):
    grafana.apply()
    grafana.put("dashboards/t/one.json", {**FILES["dashboards/t/one.json"], "title": "New"})
    grafana.proxy.add("POST", "/api/dashboards/db", drop=True)
    with pytest.raises(TransientError, match=r"Grafana at .* does not answer"):
        grafana.apply()
    assert grafana.apply() == []
    assert grafana.plan().counts()["unchanged"] == len(FILES)


@pytest.mark.fault(22)
@pytest.mark.parametrize("grafana", ["13.2.1"], indirect=True)  # the waits are the client's
def test_a_server_that_asks_for_patience_is_read_again_and_a_lasting_one_is_named(grafana):
    grafana.proxy.add("GET", "/api/folders/t$", status=503, times=1)
    assert grafana.plan().counts()["create"] == len(FILES)
    grafana.proxy.add("GET", "/api/dashboards", status=503, times=0)
    with pytest.raises(TransientError, match=r"Grafana answered 503 to GET /api/dashboards/uid/t-(one|two)"):
        grafana.plan()


def test_a_login_page_before_grafana_is_not_taken_for_success(grafana):
    def page(answer: Any) -> Any:
        return type(answer)(200, (("Content-Type", "text/html"),), b"<html>sign in</html>")

    grafana.proxy.add("GET", "/api/health", answer=page, times=0)
    with pytest.raises(ServiceError, match=r"with text/html, not with JSON: is http://.* its address, and not a login page before it"):
        grafana.plan()


@pytest.mark.parametrize("grafana", ["12.4.0"], indirect=True)  # a newer 13 shows it in the old format
def test_a_board_that_someone_saved_as_v2_is_an_edit_of_theirs(grafana):
    grafana.apply()
    grafana.by_hand("DELETE", "/api/dashboards/uid/t-one")
    spec = {"title": "Theirs, with tabs", "elements": {}, "layout": {"kind": "TabsLayout", "spec": {"tabs": []}}}
    v2 = {"apiVersion": "dashboard.grafana.app/v2beta1", "kind": "Dashboard", "metadata": {"name": "t-one"}, "spec": spec}
    grafana.by_hand("POST", "/apis/dashboard.grafana.app/v2beta1/namespaces/default/dashboards", v2)
    (change,) = grafana.plan().of(Action.DRIFTED)
    assert (change.key.id, bool(change.editor)) == ("t-one", True)
    assert "apiVersion" in [d.path for d in change.differences]
    assert grafana.apply() == []
    grafana.apply(overwrite_drift=True)
    assert grafana.by_hand("GET", "/api/dashboards/uid/t-one")["dashboard"]["title"] == "One"


@pytest.mark.fault(18)
def test_a_wrong_file_is_named_and_nothing_is_sent(grafana):
    grafana.put("dashboards/t/one.json", board("t-two", "Two again", panel(1, "first"), panel(1, "same id")))
    with pytest.raises(ValueError, match=r"nothing was sent:\n(.|\n)*dashboards/t/one\.json"):
        grafana.apply()
    assert grafana.server.writes == []
