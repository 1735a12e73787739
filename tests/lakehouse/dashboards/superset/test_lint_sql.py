from __future__ import annotations

from types import SimpleNamespace

import pytest

from .conftest import FILES, Lint, said

SET, VOLUME, LAKE = "datasets/lake/ticks.yaml", "charts/volume.yaml", "databases/lake.yaml"
QUERY = "  SELECT at, symbol,\n    volume\n  FROM ticks_db.ticks\n"
CONTRACTS = {
    "ticks_db.ticks": SimpleNamespace(column_names=("at", "symbol", "volume", "price")),
    "ticks_db.days": SimpleNamespace(column_names=("day", "symbol", "close")),
}


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        pytest.param(SET, "    volume\n", "    volume,\n", "ticks.yaml:7 sql", id="a query that does not parse"),
        pytest.param(SET, "FROM ticks_db.ticks", "FROM ticks_db.ticks; SELECT 1", "ticks.yaml:5 sql", id="two queries"),
        pytest.param(SET, QUERY, "  DELETE FROM ticks_db.ticks\n", "ticks.yaml:5 sql", id="no query"),
        pytest.param(SET, "    volume\n", "    volume::bigint AS volume\n", "ticks.yaml:7 sql", id="another dialect's cast, in its line"),
        pytest.param(SET, "SUM(volume)", "SUM(volume", "ticks.yaml:11 sql", id="a metric that does not parse"),
        pytest.param(SET, "SUM(volume)", "SUM(volume), 1", "ticks.yaml:11 sql", id="two expressions as one metric"),
        pytest.param(SET, "SUM(volume)", "IFNULL(SUM(volume), 0)", "ticks.yaml:11 sql", id="another database's function"),
        pytest.param(SET, "volume > 1000", "volume >> 1000 THEN", "ticks.yaml:18 sql", id="a calculated column"),
        pytest.param(SET, "catalog: lake", "fetch_values_predicate: at >", "ticks.yaml:4 sql", id="a predicate"),
        pytest.param(
            VOLUME,
            "metric: volume",
            "metric: {expressionType: SQL, sqlExpression: SUM(volume}",
            "volume.yaml:7 sql",
            id="a chart's own metric",
        ),
        pytest.param(
            VOLUME,
            '"queries": [{',
            '"queries": [{"x": {"expressionType": "SQL", "sqlExpression": "1 +"}, ',
            "volume.yaml:14 sql",
            id="a stored query",
        ),
        pytest.param(SET, "    volume\n", "    turnover\n", "ticks.yaml:7 no-such-column", id="a column that the contract does not have"),
        pytest.param(
            SET,
            QUERY,
            "  SELECT max(at) AS at, symbol, sum(volume) AS volume, price * 2 AS p\n  FROM ticks_db.ticks\n  GROUP BY symbol, p\n",
            "ticks.yaml:8 no-such-column",
            id="a name that SELECT gives, in GROUP BY",
        ),
        pytest.param(
            SET, "  FROM ticks_db.ticks\n", "  FROM ticks_db.ticks WHERE d > 1\n", "ticks.yaml:8 no-such-column", id="one in a condition"
        ),
        pytest.param(
            SET,
            "  FROM ticks_db.ticks\n",
            "  FROM lake.ticks_db.ticks t JOIN ticks_db.days USING (symbol)\n  WHERE t.close > 1\n",
            "ticks.yaml:5 no-such-column",
            id="one of another table",
        ),
        pytest.param(
            SET, "    volume\n", "    volume AS v\n", "ticks.yaml:16 no-such-column", id="a listed column that the query does not give"
        ),
        pytest.param(SET, "SUM(volume)", "SUM(turnover)", "ticks.yaml:11 no-such-column", id="a column in a metric"),
        pytest.param(SET, "volume > 1000", "turnover > 1000", "ticks.yaml:18 no-such-column", id="a column in a calculated column"),
        pytest.param(SET, "main_dttm_col: at", "main_dttm_col: time", "ticks.yaml:2 no-such-column", id="the column of time"),
        pytest.param(SET, "FROM ticks_db.ticks", "FROM ticks_db.tocks", "ticks.yaml:5 no-such-table", id="a table of a known schema"),
        pytest.param(
            VOLUME,
            "metric: volume",
            "metric: {expressionType: SQL, sqlExpression: SUM(turnover)}",
            "volume.yaml:7 no-such-column",
            id="a column of a chart's own metric",
        ),
    ],
)
def test_a_fault_in_sql_is_found_in_its_line(broken: Lint, name: str, old: str, new: str, found: str):
    assert found in said(broken(name, old, new, contracts=CONTRACTS))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(QUERY, QUERY, id="as it is"),
        pytest.param(QUERY, "  SELECT at, symbol, volume FROM TICKS_DB.Ticks;\n", id="a semicolon at the end, and capitals"),
        pytest.param(QUERY, "  SELECT *, price * volume AS turnover FROM ticks_db.ticks\n", id="a star"),
        pytest.param(QUERY, "  WITH t AS (SELECT * FROM ticks_db.ticks) SELECT at, t.symbol, volume FROM t ORDER BY at\n", id="a WITH"),
        pytest.param(QUERY, "  SELECT at, symbol, volume FROM elsewhere.ticks WHERE what > 1\n", id="a schema without a contract"),
        pytest.param(QUERY, "  SELECT at, symbol, volume FROM ticks\n", id="a table of the dataset's schema"),
        pytest.param("SUM(volume)", "SUM(CASE WHEN Symbol = 'A' THEN volume END) -- ours", id="a comment at the end"),
        pytest.param("SUM(volume)", "reduce(array_agg(volume), 0, (s, x) -> s + x, s -> s)", id="names of a lambda"),
        pytest.param("volume > 1000", "(SELECT max(close) FROM ticks_db.days) > volume", id="a query within"),
    ],
)
def test_what_trino_takes_has_no_finding(broken: Lint, old: str, new: str):
    assert said(broken(SET, old, new, contracts=CONTRACTS)) == []


def test_a_table_is_held_against_its_contract(broken: Lint):
    table = "table_name: Ticks\nmain_dttm_col: at\nschema: ticks_db\n"
    text = f"table_name: recent_ticks\nmain_dttm_col: at\nschema: ticks_db\ncatalog: lake\nsql: |\n{QUERY}"
    assert said(broken(SET, text, table, contracts=CONTRACTS)) == []
    assert said(broken(SET, text, table.replace("Ticks", "days"), contracts=CONTRACTS))[0] == "ticks.yaml:8 no-such-column"
    assert [f.severity for f in broken(SET, text, table.replace("Ticks", "tocks"), contracts=CONTRACTS)] == ["warning"]
    assert said(broken(SET, text, table.replace("Ticks", "tocks"))) == []


def test_jinja_is_left_out_and_said_so(broken: Lint):
    (finding,) = broken(SET, "FROM ticks_db.ticks", "FROM ticks_db.ticks {% if a %} WHERE {% endif %}", contracts=CONTRACTS)
    assert (finding.severity, finding.rule, finding.line) == ("note", "jinja", 5)


def test_sql_is_parsed_in_the_dialect_of_its_database(broken: Lint):
    change = (SET, "    volume\n", "    volume::bigint AS volume\n")
    texts = {name: text.replace("trino://", "postgresql+psycopg2://") for name, text in FILES.items()}
    assert broken(*change, files=texts) == []
    assert said(broken(SET, "SUM(volume)", "SUM(volume", files=texts)) == ["ticks.yaml:11 sql"]


def test_a_database_of_an_unknown_dialect_is_left_out_and_said_so(broken: Lint):
    texts = {name: text.replace("trino://", "pinot+http://") for name, text in FILES.items()}
    (finding,) = broken(SET, "SUM(volume)", "SUM(volume", files=texts)
    assert (finding.severity, finding.rule) == ("note", "dialect")


def test_a_variable_as_the_address_is_our_own_trino(broken: Lint):
    texts = {name: text.replace("trino://superset@127.0.0.1:8080/lake", "${URI}") for name, text in FILES.items()}
    assert said(broken(SET, "SUM(volume)", "SUM(volume", files=texts, variables={"URI": "URI"})) == ["ticks.yaml:11 sql"]


def test_queries_and_conditions_of_alerts_and_rules_are_read(broken: Lint):
    assert said(
        broken("alerts/a.yaml", "", "name: A\nsql: |\n  SELECT count(*)\n  FROM ticks_db.ticks WHERE d > 1\n", contracts=CONTRACTS)
    ) == ["a.yaml:4 no-such-column"]
    assert said(broken("security/r.yaml", "", "rules:\n- clause: symbol IN ('SPY'\n", contracts=CONTRACTS))[-1] == "r.yaml:2 sql"
