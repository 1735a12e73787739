"""Who may see what on the real Superset: tries to get around row-level security, and the alerts that must really arrive.

The roles are the product's own files with other names, the tables and datasets the test's own.
"""

from __future__ import annotations

import email
import email.policy
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from lakehouse.dashboards.objects import Key
from lakehouse.exceptions import ServiceError
from lakehouse.objects import ObjectStore
from stack.installation import Installation
from tests.integration.superset_security import ANY, HIDDEN, SCHEMA, SEEN, Lake

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def lake(stack: Installation, store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    made = Lake(stack, store, tmp_path_factory.mktemp("superset"))
    yield made
    made.clean()


def text_of(response: requests.Response) -> str:
    """All that an answer tells, what is in a spreadsheet included."""
    if "spreadsheet" in response.headers.get("content-type", ""):
        with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
            return "".join(archive.read(name).decode() for name in archive.namelist())
    return response.text


def assert_tells_nothing(response: requests.Response) -> None:
    found = [word for word in HIDDEN if word in text_of(response)]
    assert not found, f"{found} in {response.status_code} {text_of(response)[:1000]}"


def symbols(response: requests.Response) -> set[str]:
    assert response.status_code == 200, response.text[:1000]
    return {str(value) for row in response.json()["data"] for value in row.values()}


# {t} is the table with the rule, {n} its name alone, {c} one without a dataset, {s} its schema, {new} and {old} snapshots.
FILTERED = {
    "where that is always true": "SELECT symbol FROM {t} WHERE 1 = 1 OR 1 = 1",
    "quoted names": 'SELECT symbol FROM "{s}"."{n}"',
    "with the catalog": "SELECT symbol FROM hive_prod.{t}",
    "the schema of the tab": "SELECT symbol FROM {n}",
    "an alias": "SELECT x.symbol FROM {t} AS x",
    "another column called symbol": "SELECT b FROM (SELECT 'SPY25C400' AS symbol, symbol AS b FROM {t})",
    "a common table expression": "WITH a AS (SELECT * FROM {t}) SELECT symbol FROM a",
    "a recursive one": "WITH RECURSIVE a(b) AS (SELECT symbol FROM {t} UNION ALL SELECT b FROM a WHERE false) SELECT b FROM a",
    "a union": "SELECT symbol FROM {t} UNION SELECT symbol FROM {t}",
    "parentheses": "(SELECT symbol FROM {t})",
    "a left join": "SELECT b.symbol FROM (VALUES 1) v(x) LEFT JOIN {t} b ON true",
    "a lateral join": "SELECT l.symbol FROM (VALUES 1) v(x) CROSS JOIN LATERAL (SELECT symbol FROM {t}) l",
    "an array unnested": "SELECT s FROM UNNEST((SELECT array_agg(symbol) FROM {t})) AS u(s)",
    "a sample": "SELECT symbol FROM {t} TABLESAMPLE BERNOULLI (100)",
    "an older version": "SELECT symbol FROM {t} FOR VERSION AS OF {new}",
    "a comment in the name": "SELECT symbol FROM {s}./* */{n} -- WHERE",
    "grouping sets": "SELECT coalesce(symbol, 'SPY25C400') FROM {t} GROUP BY GROUPING SETS ((symbol), ())",
}
NOTHING = {
    "a scalar subquery": "SELECT (SELECT max(symbol) FROM {t} WHERE symbol LIKE 'NV%')",
    "exists": "SELECT 'se' || 'en' WHERE EXISTS (SELECT 1 FROM {t} WHERE symbol LIKE 'NV%')",
    "any": "SELECT 'se' || 'en' WHERE 'NV' || 'DA25C100' = ANY (SELECT symbol FROM {t})",
    "in": "SELECT 'se' || 'en' WHERE 'NV' || 'DA25C100' IN (SELECT symbol FROM {t})",
    "order by": "SELECT CASE x WHEN 1 THEN 'se' || 'en' END FROM (SELECT count(*) AS x FROM {t} WHERE symbol LIKE 'NV%')",
    "an aggregate's filter": "SELECT array_agg(symbol) FILTER (WHERE symbol LIKE 'NV%') FROM {t}",
    "a cast that fails on hidden rows": "SELECT count(*) FROM {t} WHERE CAST(symbol || 'x' AS integer) > 0 AND symbol LIKE 'NV%'",
    "a division by zero on hidden rows": "SELECT count(*) FROM {t} WHERE 1 / (CASE WHEN symbol LIKE 'NV%' THEN 0 ELSE 1 END) > 9",
    "an error with the value in it": "SELECT count(*) FROM {t} WHERE symbol LIKE 'NV%' AND json_parse(symbol) IS NOT NULL",
}
REFUSED = {
    "capitals": "SELECT symbol FROM {S}.{N}",
    "quoted capitals": 'SELECT symbol FROM "{S}"."{N}"',
    "a table without a dataset": "SELECT symbol FROM {c}",
    "its own name as a common table expression": "WITH {n} AS (SELECT * FROM {t}) SELECT symbol FROM {n}",
    "a common table expression before it": "WITH {n} AS (SELECT 1 AS x) SELECT symbol FROM (SELECT * FROM {t}) y",
    "a common table expression in its place in a union": "WITH {n} AS (SELECT 'a' AS s) SELECT s FROM {n} UNION SELECT symbol FROM {t}",
    "a common table expression before a closed table": "WITH {d} AS (SELECT 1 AS x) SELECT symbol FROM (SELECT * FROM {c}) y",
    "a common table expression as an oracle": "WITH {n} AS (SELECT 1) SELECT 'se' || 'en' WHERE 'B' > ANY (SELECT symbol FROM {t})",
    "files": 'SELECT * FROM {s}."{n}$files"',
    "partitions": 'SELECT * FROM {s}."{n}$partitions"',
    "the table's metadata": 'SELECT * FROM {s}."{n}$properties"',
    "the data by another name": 'SELECT symbol FROM {s}."{n}$data"',
    "an older version of a closed table": "SELECT symbol FROM {c} FOR TIMESTAMP AS OF now()",
    "table changes": "SELECT * FROM TABLE(hive_prod.system.table_changes('{s}', '{n}', {old}, {new}))",
    "a table function": "SELECT * FROM TABLE(exclude_columns(input => TABLE({t}), columns => DESCRIPTOR(volume)))",
    "a table as a query": "TABLE {t}",
    "match_recognize": "SELECT * FROM {t} MATCH_RECOGNIZE (MEASURES A.symbol AS b, 'SPY25C400' AS symbol PATTERN (A) DEFINE A AS true)",
    "json_table": "SELECT * FROM JSON_TABLE((SELECT max(symbol) FROM {t}), 'lax $[*]' COLUMNS (s varchar PATH 'lax $'))",
    "show stats": "SHOW STATS FOR {t}",
    "show stats of a query": "SHOW STATS FOR (SELECT symbol FROM {t} WHERE symbol > 'B')",
    "show schemas": "SHOW SCHEMAS",
    "show tables": "SHOW TABLES FROM {s}",
    "show create table": "SHOW CREATE TABLE {c}",
    "describe": "DESCRIBE {c}",
    "explain": "EXPLAIN SELECT symbol FROM {c}",
    "explain analyze": "EXPLAIN ANALYZE VERBOSE SELECT symbol FROM {t}",
    "execute immediate": "EXECUTE IMMEDIATE 'SELECT symbol FROM {t}'",
    "execute immediate with a value": "EXECUTE IMMEDIATE 'SELECT symbol FROM {t} WHERE volume > ?' USING 0",
    "execute immediate on a closed table": "EXECUTE IMMEDIATE 'SELECT symbol FROM {c}'",
    "execute immediate that deletes": "EXECUTE IMMEDIATE 'DELETE FROM {t}'",
    "prepare and execute": "PREPARE p FROM SELECT symbol FROM {t};\nEXECUTE p",
    "describe output": "PREPARE p FROM SELECT symbol FROM {c}; DESCRIBE OUTPUT p",
    "several statements": "SELECT 1; SELECT symbol FROM {t}",
    "use": "USE hive_prod.{s}; SELECT symbol FROM {n}",
    "set session": "SET SESSION query_max_run_time = '1h'; SELECT symbol FROM {t}",
    "a template": "SELECT symbol FROM {{{{ '{c}' }}}}",
    "a template's condition": "{{% if true %}}SELECT symbol FROM {c}{{% endif %}}",
    "create table as": "CREATE TABLE {t}_copy AS SELECT symbol FROM {t}",
    "create view as": "CREATE VIEW {t}_copy AS SELECT symbol FROM {t}",
    "insert": "INSERT INTO {t} SELECT * FROM {t}",
    "a table's procedure": "ALTER TABLE {t} EXECUTE optimize",
    "a catalog's procedure": "CALL hive_prod.system.rollback_to_snapshot('{s}', '{n}', {old})",
    "analyze": "ANALYZE {t}",
    "a name in Unicode escapes": 'SELECT symbol FROM {s}.U&"{n}"',
    "other people's queries in Trino": "SELECT query FROM system.runtime.queries",
    "the list of tables": "SELECT table_name FROM hive_prod.information_schema.tables",
    "a dataset as a table": 'SELECT symbol FROM {s}."{v}"',
}


def filled(lake: Lake, sql: str) -> str:
    name, closed = lake.table.split(".")[1], lake.closed.split(".")[1]
    names = {"t": lake.table, "n": name, "N": name.upper(), "c": lake.closed, "d": closed, "s": SCHEMA, "S": SCHEMA.upper()}
    return sql.format(**names, v=f"{lake.name}-numbers", new=lake.snapshots[-1], old=lake.snapshots[0])


@pytest.mark.parametrize("name", FILTERED)
def test_an_analyst_sees_two_underlyings_in_sql_lab_by(lake: Lake, name: str) -> None:
    assert symbols(lake.ask("Analyst", filled(lake, FILTERED[name]))) == SEEN


@pytest.mark.parametrize("name", NOTHING)
def test_an_analyst_learns_nothing_of_hidden_rows_by(lake: Lake, name: str) -> None:
    response = lake.ask("Analyst", filled(lake, NOTHING[name]))
    assert response.status_code == 200, response.text[:1000]
    assert_tells_nothing(response)


@pytest.mark.parametrize("name", REFUSED)
def test_sql_lab_refuses_an_analyst(lake: Lake, name: str) -> None:
    response = lake.ask("Analyst", filled(lake, REFUSED[name]))
    assert response.status_code in (400, 403, 422, 500), response.text[:1000]
    assert response.json()["errors"], response.text
    # Refused by Superset before anything ran; Trino's own errors come from a statement that reached it.
    assert "trino error" not in response.text, response.text[:1000]
    assert_tells_nothing(response)


@pytest.mark.parametrize(
    "place", [{"catalog": ""}, {"schema": ""}, {"catalog": "system"}, {"catalog": "HIVE_PROD"}, {"catalog": "", "schema": ""}]
)
def test_sql_lab_looks_for_no_table_in_a_catalog_or_schema_of_another_name(lake: Lake, place: dict[str, str]) -> None:
    response = lake.ask("Analyst", f"SELECT symbol FROM {lake.table}", **place)
    assert response.status_code in (400, 403, 500), response.text[:500]
    assert_tells_nothing(response)


@pytest.mark.parametrize(
    "option", [{"select_as_cta": True, "ctas_method": "TABLE", "tmp_table_name": "kept"}, {"templateParams": '{"a": 1}'}]
)
def test_options_of_sql_lab_do_not_help_an_analyst(lake: Lake, option: dict[str, Any]) -> None:
    response = lake.ask("Analyst", f"SELECT symbol FROM {lake.table}", **option)
    assert_tells_nothing(response)
    assert ("templateParams" in option) == (response.status_code == 200), response.text[:500]


def metric(sql: str) -> dict[str, str]:
    return {"expressionType": "SQL", "sqlExpression": sql, "label": "m"}


COUNT = metric("COUNT(*)")
CHARTS: dict[str, dict[str, Any]] = {
    "a metric with a subquery": {"metrics": [metric("(SELECT max(symbol) FROM {t})")]},
    "a metric with a set operation": {"metrics": [metric("symbol FROM {t} UNION SELECT symbol")]},
    "a metric of a closed table": {"metrics": [metric("symbol FROM {c} UNION SELECT symbol")]},
    "a metric with a FROM and a comment": {"metrics": [metric("max(symbol) FROM {t} --")]},
    "a metric with exists": {"metrics": [metric("count_if(EXISTS (SELECT 1 FROM {t} WHERE symbol LIKE 'NV%'))")]},
    "a column with in": {"columns": [{**metric("'NV' || 'DA25C100' IN (SELECT symbol FROM {t})"), "label": "x"}], "metrics": [COUNT]},
    "a filter with in": {"metrics": [COUNT], "extras": {"where": "'NV' || 'DA25C100' IN (SELECT symbol FROM {t})"}},
    "a filter that closes a parenthesis": {"columns": ["symbol"], "metrics": [COUNT], "extras": {"where": "1 = 1) OR (1 = 1"}},
    "a filter with exists": {"metrics": [COUNT], "extras": {"where": "EXISTS (SELECT 1 FROM {t})"}},
    "having": {"columns": ["symbol"], "metrics": [COUNT], "extras": {"having": "EXISTS (SELECT 1 FROM {t})"}},
    "an order": {"columns": ["symbol"], "metrics": [COUNT], "orderby": [[metric("(SELECT 1 FROM {t})"), True]]},
}


@pytest.mark.parametrize("kind", ["physical", "virtual"])
@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_of_an_analyst_reads_no_other_table_by(lake: Lake, name: str, kind: str) -> None:
    asked = json.loads(json.dumps(CHARTS[name]).replace("{t}", lake.table).replace("{c}", lake.closed))
    response = lake.chart("Analyst", getattr(lake, kind), **asked)
    assert response.status_code in (400, 403), text_of(response)[:500]
    assert_tells_nothing(response)


@pytest.mark.parametrize("role", ["Analyst", "Viewer"])
@pytest.mark.parametrize("kind", ["physical", "virtual"])
@pytest.mark.parametrize("result", [("full", "json"), ("full", "csv"), ("full", "xlsx"), ("samples", "json"), ("drill_detail", "json")])
def test_charts_exports_and_samples_show_two_underlyings(lake: Lake, role: str, kind: str, result: tuple[str, str]) -> None:
    asked: dict[str, Any] = {"columns": ["symbol"], "metrics": [COUNT]} if result[0] == "full" else {"columns": []}
    response = lake.chart(role, getattr(lake, kind), result=result, **asked, extras={"where": "1 = 0 OR 1 = 1"})
    assert response.status_code == 200, response.text[:500]
    assert all(symbol in text_of(response) for symbol in SEEN)
    assert_tells_nothing(response)


def test_the_rule_of_a_table_holds_inside_a_virtual_dataset_without_symbols(lake: Lake) -> None:
    total = {
        role: lake.chart(role, lake.sums, metrics=[metric("SUM(volume)")]).json()["result"][0]["data"] for role in ("Analyst", "Admin")
    }
    assert total == {"Analyst": [{"m": 3}], "Admin": [{"m": 10}]}


def test_values_of_a_column_are_those_of_the_rows_that_an_analyst_sees(lake: Lake) -> None:
    for dataset in (lake.physical, lake.virtual):
        answer = lake.users["Analyst"].request("GET", f"/api/v1/datasource/table/{dataset}/column/symbol/values/")
        assert set(answer.json()["result"]) == SEEN


def test_what_is_cached_for_an_admin_is_not_shown_to_an_analyst(lake: Lake) -> None:
    asked = {"columns": ["symbol"], "metrics": [COUNT], "row_limit": 997}
    assert "NVDA" in lake.chart("Admin", lake.virtual, force=False, **asked).text
    response = lake.chart("Analyst", lake.virtual, force=False, **asked)
    assert response.status_code == 200
    assert_tells_nothing(response)


@pytest.fixture(scope="module")
def query_of_admin(lake: Lake) -> dict[str, Any]:
    """An asynchronous query of an admin that has ended: its number, client id and the key of its results."""
    client_id = uuid4().hex[:11]
    assert lake.ask("Admin", f"SELECT symbol FROM {lake.table}", runAsync=True, client_id=client_id).status_code == 202
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        listed = lake.admin.request("GET", "/api/v1/query/?q=(order_column:changed_on,order_direction:desc,page_size:20)").json()["result"]
        for entry in listed:
            full = lake.admin.request("GET", f"/api/v1/query/{entry['id']}").json()["result"]
            if full["client_id"] == client_id and full["status"] == "success":
                return dict(full)
        time.sleep(0.2)
    pytest.fail("the asynchronous query did not end")


def test_an_admins_results_are_not_an_analysts(lake: Lake, query_of_admin: dict[str, Any]) -> None:
    analyst = lake.users["Analyst"]
    analyst.me()
    number, client_id, key = (query_of_admin[name] for name in ("id", "client_id", "results_key"))
    admin_sees = lake.admin.request("GET", f"/api/v1/sqllab/results/?q=(key:'{key}')")
    assert "NVDA" in admin_sees.text
    tries = [
        analyst.session.get(f"{lake.url}/api/v1/sqllab/results/?q=(key:'{key}')", timeout=60),
        analyst.session.get(f"{lake.url}/api/v1/sqllab/export/{client_id}/", timeout=60),
        analyst.session.post(f"{lake.url}/api/v1/sqllab/export_streaming/", data={"client_id": client_id}, timeout=60),
        analyst.session.get(f"{lake.url}/api/v1/query/{number}", timeout=60),
        lake.chart("Analyst", number, kind="query", columns=["symbol"], metrics=[]),
    ]
    for response in tries:
        assert response.status_code in (403, 404), response.text[:500]
        assert_tells_nothing(response)


def test_an_analysts_own_results_can_be_had_each_way_and_are_filtered(lake: Lake) -> None:
    analyst = lake.users["Analyst"]
    client_id = uuid4().hex[:11]
    answer = lake.ask("Analyst", f"SELECT symbol FROM {lake.table}", client_id=client_id)
    assert symbols(answer) == SEEN
    ways = [
        analyst.session.get(f"{lake.url}/api/v1/sqllab/export/{client_id}/", timeout=60),
        analyst.session.post(f"{lake.url}/api/v1/sqllab/export_streaming/", data={"client_id": client_id}, timeout=60),
        lake.chart("Analyst", answer.json()["query_id"], kind="query", columns=["symbol"], metrics=[]),
    ]
    for response in ways:
        assert response.status_code == 200, response.text[:500]
        assert all(symbol in response.text for symbol in SEEN), response.text[:300]
        assert_tells_nothing(response)


@pytest.mark.parametrize("role", ["Analyst", "Viewer", "Ops"])
def test_only_makers_make(lake: Lake, role: str) -> None:
    dataset = {"database": lake.database, "schema": SCHEMA, "table_name": "made", "sql": f"SELECT symbol FROM {lake.table}"}
    chart = {"slice_name": "made", "datasource_id": lake.physical, "datasource_type": "table", "viz_type": "table"}
    alert = {"type": "Alert", "name": "made", "crontab": "* * * * *", "sql": "SELECT 1", "database": lake.database}
    rule = {"name": "made", "filter_type": "Regular", "tables": [lake.physical], "roles": [1], "clause": "1 = 1"}
    tries = [
        ("POST", "dataset/", dataset),
        ("POST", "dataset/get_or_create/", {"database_id": lake.database, "schema": SCHEMA, "table_name": lake.closed.split(".")[1]}),
        ("PUT", f"dataset/{lake.virtual}", {"sql": f"SELECT symbol FROM {lake.closed}"}),
        ("POST", "chart/", chart),
        ("POST", "dashboard/", {"dashboard_title": "made"}),
        ("POST", "report/", alert),
        ("POST", "rowlevelsecurity/", rule),
        ("GET", "rowlevelsecurity/", None),
        ("GET", "security/roles/", None),
        ("GET", "log/", None),
    ]
    for method, path, body in tries:
        response = lake.users[role].request(method, f"/api/v1/{path}", json=body, accept=ANY)
        assert response.status_code in (403, 404), f"{method} {path}: {response.text[:300]}"


def test_a_developer_makes_and_removes_datasets_charts_and_boards(lake: Lake) -> None:
    developer = lake.users["Developer"]
    dataset = {
        "database": lake.database,
        "catalog": "hive_prod",
        "schema": SCHEMA,
        "table_name": f"{lake.name}-made",
        "sql": "SELECT 1 AS a",
    }
    chart = {"slice_name": f"{lake.name} made", "datasource_id": lake.physical, "datasource_type": "table", "viz_type": "table"}
    for path, body in (("dataset", dataset), ("chart", chart), ("dashboard", {"dashboard_title": f"{lake.name} made"})):
        made = developer.request("POST", f"/api/v1/{path}/", json=body).json()["id"]
        developer.request("DELETE", f"/api/v1/{path}/{made}")
    # The board's owners are others.
    board = lake.board.number_of("dashboard", lake.board.ids["board"])
    answer = developer.request("PUT", f"/api/v1/dashboard/{board}", json={"dashboard_title": "mine"}, accept=ANY)
    assert answer.status_code == 403


def test_a_viewer_and_ops_have_no_sql_lab_and_ops_no_ticks(lake: Lake) -> None:
    for role in ("Viewer", "Ops"):
        assert lake.ask(role, "SELECT 1").status_code == 403
    response = lake.chart("Ops", lake.physical, columns=["symbol"], metrics=[COUNT])
    assert response.status_code == 403
    assert_tells_nothing(response)


def test_a_developer_sees_every_symbol_and_changes_nothing_behind_superset(lake: Lake) -> None:
    assert len(symbols(lake.ask("Developer", f"SELECT symbol FROM {lake.table}"))) == 4
    assert symbols(lake.ask("Developer", f"SELECT symbol FROM {lake.closed}")) == {"treasure"}
    for sql in (f"DELETE FROM {lake.table}", f"EXECUTE IMMEDIATE 'DELETE FROM {lake.table}'", f"EXPLAIN ANALYZE DELETE FROM {lake.table}"):
        response = lake.ask("Developer", sql)
        assert response.status_code >= 400, response.text[:300]
        assert "trino error" not in response.text
    assert len(symbols(lake.ask("Developer", f"SELECT symbol FROM {lake.table}"))) == 4


def test_trino_ends_a_query_of_superset_after_a_minute(lake: Lake) -> None:
    rows = lake.ask("Developer", "SHOW SESSION LIKE 'query_max_run_time'").json()["data"]
    assert [row["Value"] for row in rows] == ["60s"]


def test_who_asked_what_is_in_the_audit_log(lake: Lake) -> None:
    lake.ask("Analyst", f"SELECT symbol FROM {lake.table}")
    order = "order_column:dttm,order_direction:desc,page_size:100"
    entries = lake.admin.request("GET", f"/api/v1/log/?q=({order})").json()["result"]
    actions = {entry["action"] for entry in entries if (entry.get("user") or {}).get("username") == f"{lake.name}-analyst"}
    assert any("sql" in action.lower() for action in actions), actions


def test_what_is_live_as_its_file_says_is_not_written(lake: Lake) -> None:
    lake.admin.writes.clear()  # type: ignore[attr-defined]
    assert not lake.differing()
    lake.apply()
    assert lake.admin.writes == []  # type: ignore[attr-defined]


def test_a_permission_given_in_the_ui_and_a_changed_rule_are_seen_and_set_back(lake: Lake) -> None:
    roles = lake.admin.request("GET", "/api/v1/security/roles/search/?q=(page_size:1000)").json()["result"]
    numbers = {role["name"]: role for role in roles}
    viewer, everything = numbers[lake.role("Viewer")], numbers["Admin"]["permission_ids"]
    lake.admin.request("POST", f"/api/v1/security/roles/{viewer['id']}/permissions", json={"permission_view_menu_ids": everything})
    rule = next(one for one in lake.admin.list("rowlevelsecurity", ("id", "name")) if one["name"] == lake.name)
    lake.admin.request("PUT", f"/api/v1/rowlevelsecurity/{rule['id']}", json={"clause": "1 = 1"})
    assert set(lake.differing()) == {Key("roles", lake.role("Viewer")), Key("row_level_security", lake.name)}
    lake.apply()
    assert not lake.differing()
    assert symbols(lake.ask("Analyst", f"SELECT symbol FROM {lake.table}")) == SEEN


@pytest.mark.fault(25)
@pytest.mark.parametrize("name", ["O'Brien's", 'quoted "role"', "a; DROP TABLE ab_role --", "ends with /slash", "(!rison:'x')"])
def test_a_role_of_any_name_is_bound(lake: Lake, name: str) -> None:
    security = lake.parts()[0]
    key = Key("roles", f"{lake.name} {name}")
    content = {"permissions": ["can_read on Chart"]}
    try:
        security.write({key: content})
        assert security.live([key])[key].content == content
        security.write({key: content})
        assert list(security.live([key])) == [key]
    finally:
        security.delete(key)
    assert not security.live([key])


def test_a_role_whose_dataset_is_not_there_is_refused_with_its_name(lake: Lake) -> None:
    with pytest.raises(ServiceError, match="no permission datasource_access on datasets/none"):
        lake.parts()[0].write({Key("roles", f"{lake.name} none"): {"permissions": ["datasource_access on datasets/none.yaml"]}})


def mails(stack: Installation) -> list[email.message.EmailMessage]:
    new: Path = stack.data / "mailbox" / "new"
    read = email.message_from_bytes
    return [read(path.read_bytes(), policy=email.policy.default) for path in new.glob("*")]  # type: ignore[misc]


def test_an_alert_that_is_true_arrives_by_mail_and_one_that_is_false_does_not(lake: Lake, stack: Installation) -> None:
    common = {
        "database": "databases/lake.yaml",
        "dashboard": "dashboards/board.yaml",
        "threshold": "> 2",
        "crontab": "* * * * *",
        "recipients": ["oncall@lakehouse.example"],
        "owners": ["admin"],
        "description": "what to do",
    }
    for name, sql in (
        ("true", f"SELECT count(*) FROM {lake.table}"),
        ("false", "SELECT 2"),
        ("without rows", f"SELECT 9 FROM {lake.table} WHERE false"),
    ):
        lake.board.write_file(f"alerts/{name}.yaml", common | {"name": f"{lake.name} {name}", "sql": sql})
    lake.apply()
    assert not lake.differing()
    names = {f"{lake.name} {name}" for name in ("true", "false", "without rows")}
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        listed = [one for one in lake.admin.list("report", ("name", "last_state", "last_eval_dttm")) if one["name"] in names]
        states = {one["name"].removeprefix(f"{lake.name} "): one["last_state"] for one in listed}
        if states == {"true": "Success", "false": "Not triggered", "without rows": "Not triggered"} and all(
            one["last_eval_dttm"] for one in listed
        ):
            break
        time.sleep(0.5)
    # The mail is sent before its alert is noted as a success, and one that is not triggered sends none.
    ours = [mail for mail in mails(stack) if lake.name in str(mail["subject"])]
    assert [str(mail["subject"]).split() for mail in ours] == [["[Lakehouse]", lake.name, "true:", lake.name, "board"]], states
    assert ours[0]["to"] == "oncall@lakehouse.example"
    assert "what to do" in str(ours[0])
    # Evaluated since, they are as their files say.
    assert not lake.differing()
