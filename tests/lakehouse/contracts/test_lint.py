from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.contracts import Column, load
from lakehouse.contracts.document import to_markdown
from lakehouse.contracts.lint import Finding, lint, main

REPO = Path(__file__).resolve().parents[3]
FOLDERS = [REPO / "include" / "contracts", REPO / "plugins" / "lakehouse" / "ops" / "contracts"]
DOCUMENT: dict[str, Any] = {
    "apiVersion": "v3.1.0",
    "kind": "DataContract",
    "id": "lines",
    "version": "1.0.0",
    "status": "active",
    "description": {"purpose": "Lines of logs."},
    "schema": [
        {
            "name": "lines",
            "physicalName": "logs_db.lines",
            "properties": [
                {"name": "at", "logicalType": "timestamp", "physicalType": "timestamptz", "description": "When"},
                {
                    "name": "id",
                    "logicalType": "string",
                    "physicalType": "string",
                    "required": True,
                    "primaryKey": True,
                    "primaryKeyPosition": 1,
                },
            ],
            "quality": [
                {"id": "rows", "metric": "rowCount", "mustBeGreaterThan": 0, "severity": "error", "description": "there are rows"},
                {"id": "own", "type": "sql", "query": "SELECT count(*) FROM {table} WHERE id = ''", "mustBe": 0, "severity": "warning"},
            ],
            "customProperties": [
                {"property": "iceberg.partitioning", "value": ["day(at)"]},
                {"property": "iceberg.sortOrder", "value": ["id"]},
                {"property": "refusedThreshold", "value": 0.05},
                {"property": "runbook", "value": "docs/runbooks/lines.md"},
            ],
        }
    ],
    "slaProperties": [
        {"property": "freshness", "value": 2, "unit": "d", "element": "lines.at"},
        {"property": "retention", "value": 30, "unit": "d"},
    ],
}
TABLE = "schema.0"
QUERY = f"{TABLE}.quality.1.query"
CHECK = {"id": "another", "mustBe": 0, "severity": "error"}


def changed(path: str, value: object) -> dict[str, Any]:
    """The document with one place changed; `+` at the end of a path appends, None removes."""
    document = copy.deepcopy(DOCUMENT)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    target: Any = document
    for step in steps:
        target = target[step]
    if last == "+":
        target.append(value)
    elif value is None:
        del target[last]
    else:
        target[last] = value
    return document


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one runbook."""
    (tmp_path / "docs" / "runbooks").mkdir(parents=True)
    (tmp_path / "docs" / "runbooks" / "lines.md").write_text("# lines\n")
    (tmp_path / "contracts").mkdir()
    return tmp_path


@pytest.fixture
def write(root: Path) -> Callable[..., Path]:
    def of(document: object, name: str = "lines") -> Path:
        path = root / "contracts" / f"{name}.odcs.yaml"
        path.write_text(document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False))
        return path

    return of


@pytest.fixture
def findings(root: Path, write: Callable[..., Path]) -> Callable[[object], list[Finding]]:
    def of(document: object) -> list[Finding]:
        return lint(write(document), root)

    return of


def line_of(path: Path, words: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), start=1) if words in line)


def test_a_contract_that_is_fine_has_no_findings(findings):
    assert findings(DOCUMENT) == []


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for folder in FOLDERS for path in sorted(folder.glob("*.odcs.yaml"))])
def test_the_repositorys_own_contracts_have_none(path):
    assert [str(finding) for finding in lint(path, REPO)] == []


# The file and the standard.


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        pytest.param("a: 1\nb: [\n", 3, "expected", id="a bracket that stays open"),
        pytest.param("a: 1\n\tb: 2\n", 2, "cannot start any token", id="a tab"),
        pytest.param("a: 1\nb: *nothing\n", 2, "undefined alias", id="an alias of nothing"),
        pytest.param("a: 1\n---\nb: 1\n", 2, "another document", id="two documents"),
        pytest.param("a: !!python/object/apply:os.system [true]\n", 1, "constructor", id="code"),
    ],
)
def test_what_is_not_yaml_is_found_with_its_line(findings, text, line, word):
    (finding,) = findings(text)
    assert finding.line == line
    assert finding.text.startswith("not YAML: ")
    assert word in finding.text


@pytest.mark.parametrize("text", ["", "just words\n", "- a\n", "7\n"])
def test_what_is_no_document_is_not_of_the_standard(findings, text):
    assert [(finding.line, finding.text.endswith("is not of type 'object'")) for finding in findings(text)] == [(1, True)]


@pytest.mark.parametrize(
    ("path", "value", "place", "word"),
    [
        pytest.param(f"{TABLE}.properties.1.logicalType", "strnig", "strnig", "'strnig' is not one of", id="a logical type"),
        pytest.param(f"{TABLE}.properties.1.required", "perhaps", "perhaps", "not of type 'boolean'", id="a truth value"),
        pytest.param("version", 1.5, "version: 1.5", "1.5 is not of type 'string'", id="a version that is a number"),
        pytest.param("apiVersion", "v9", "apiVersion", "'v9' is not one of", id="a version of the standard"),
        pytest.param("slaProperties.1.property", None, "value: 30", "'property' is a required property", id="a promise without its name"),
        pytest.param("status", None, "apiVersion", "'status' is a required property", id="no status"),
        pytest.param("colour", "red", "apiVersion", "'colour' was unexpected", id="a property too many"),
    ],
)
def test_what_the_standard_does_not_take_is_found_at_its_line(findings, root, path, value, place, word):
    found = findings(changed(path, value))
    file = root / "contracts" / "lines.odcs.yaml"
    assert any((finding.path, finding.line) == (file, line_of(file, place)) and word in finding.text for finding in found)
    assert all(finding.text.startswith("not of the standard: ") for finding in found)


def test_every_breach_of_the_standard_is_found_at_once_and_none_twice(findings):
    document = changed("version", 1.5)
    document["schema"][0]["properties"][0]["logicalType"] = "strnig"
    found = findings(document)
    assert {word for word in ("1.5", "strnig") if any(word in finding.text for finding in found)} == {"1.5", "strnig"}
    assert len(found) == len(set(found))


def test_a_finding_reads_like_a_compilers(findings, root):
    (finding,) = findings("a: [\n")
    assert str(finding) == f"{root}/contracts/lines.odcs.yaml:2: {finding.text}"


# Our conventions, Iceberg and Trino.

FRESH = "slaProperties.0.element"
PARTITIONING, SORT_ORDER, RUNBOOK = (f"{TABLE}.customProperties.{number}.value" for number in (0, 1, 3))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        pytest.param("apiVersion", "v3.0.2", ("apiVersion: v3.1.0",), id="an older version of the standard"),
        pytest.param("schema.+", DOCUMENT["schema"][0], ("exactly one table",), id="two tables"),
        pytest.param(f"{TABLE}.physicalName", "lines", ("<schema>.<table>", "lines"), id="a table without its schema"),
        pytest.param(f"{TABLE}.properties.1.physicalType", "text", ("physicalType", "'text'"), id="a type that Iceberg lacks"),
        pytest.param(f"{TABLE}.properties.1.physicalType", None, ("physicalType",), id="no type"),
        pytest.param(PARTITIONING, ["day(nothing)"], ("day(nothing)", "day(column)"), id="a partition of no column"),
        pytest.param(PARTITIONING, ["weekday(at)"], ("weekday(at)",), id="a transform that Iceberg lacks"),
        pytest.param(PARTITIONING, ["at; DROP TABLE t"], ("DROP TABLE",), id="a partition that is a statement"),
        pytest.param(SORT_ORDER, ["id", "nothing"], ("iceberg.sortOrder", "nothing"), id="a sort order of no column"),
        pytest.param(FRESH, "lines.nothing", ("freshness", "nothing"), id="freshness of no column"),
        pytest.param("slaProperties.0.unit", "m", ("freshness", "'m'"), id="freshness in minutes"),
        pytest.param(QUERY, "SELECT count(* FROM {table}", ("own", "not SQL"), id="a query that does not parse"),
        pytest.param(QUERY, "DELETE FROM {table}", ("own", "SELECT"), id="a query that deletes"),
        pytest.param(QUERY, "SELECT count(*) FROM {table}; DROP TABLE t", ("own", "SELECT"), id="two statements"),
        pytest.param(QUERY, "SELECT count(*) FROM {table} WHERE nothing > 1", ("own", "nothing"), id="a query of no column"),
        pytest.param(QUERY, "SELECT max(nothing) FROM {table} AS t", ("own", "nothing"), id="a query that counts no column"),
        pytest.param(f"{TABLE}.quality.0.severity", "fatal", ("rows", "severity", "fatal"), id="a severity that is not ours"),
        pytest.param(f"{TABLE}.quality.1.id", "rows", ("rows", "more than once"), id="two rules of one name"),
        pytest.param(f"{TABLE}.customProperties.2.value", "5%", ("refusedThreshold", "0.05"), id="a share in words"),
        pytest.param(RUNBOOK, "docs/runbooks/nothing.md", ("docs/runbooks/nothing.md", "does not exist"), id="a runbook that is not there"),
    ],
)
def test_what_the_engines_would_refuse_is_found_offline(findings, root, path, value, words):
    (finding,) = findings(changed(path, value))
    assert finding.path == root / "contracts" / "lines.odcs.yaml"
    assert finding.line >= 1
    assert all(word in finding.text for word in words)
    assert str(finding).count("odcs.yaml") == 1


def test_several_names_that_do_not_exist_are_found_at_once(findings):
    document = changed(SORT_ORDER, ["one"])
    document["slaProperties"][0]["element"] = "lines.two"
    document["schema"][0]["quality"][1]["query"] = "SELECT count(*) FROM {table} WHERE three > four"
    document["schema"][0]["customProperties"][3]["value"] = "five.md"
    texts = [finding.text for finding in findings(document)]
    assert [next(word for word in ("one", "two", "three", "four", "five") if word in text) for text in texts] == [
        "one",
        "two",
        "four",
        "three",
        "five",
    ]


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(
            "SELECT count(*) FROM {table} WHERE regexp_like(id, '^[a-z]+$') AND at > TIMESTAMP '2000-01-01 00:00:00 UTC'", id="Trino's own"
        ),
        pytest.param("SELECT count(*) FROM {table} t JOIN other.users u ON u.user_id = t.id", id="another table's columns"),
        pytest.param("SELECT count(*) FROM {table} WHERE \"id\" = 'nothing'", id="a quoted name and a text"),
    ],
)
def test_a_query_that_trino_takes_is_no_finding(findings, query):
    assert findings(changed(QUERY, query)) == []


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        pytest.param(
            f"{TABLE}.quality.+",
            CHECK | {"metric": "duplicateValues", "arguments": {"properties": ["id", "nothing"]}},
            "nothing",
            id="a rule of no column",
        ),
        pytest.param(PARTITIONING, ["day(id)"], "day(id)", id="the day of a text"),
        pytest.param(PARTITIONING, ["day(at)", "day(at)"], "day(at)", id="a partition twice"),
        pytest.param(f"{TABLE}.customProperties.2.value", 5, "refusedThreshold", id="a share of 500 %"),
        pytest.param(f"{TABLE}.customProperties.1.property", "iceberg.sortorder", "iceberg.sortorder", id="a property of ours, misspelt"),
    ],
)
def test_these_are_to_be_found_too(findings, path, value, word):
    assert [word in finding.text for finding in findings(changed(path, value))] == [True]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(QUERY, "SELECT count(*) FROM {table} WHERE id = 'x", id="a quote that stays open"),
        pytest.param(f"{TABLE}.properties.1.physicalType", "decimal(50,2)", id="a decimal of 50 digits"),
        pytest.param(f"{TABLE}.properties.+", {"name": "id", "logicalType": "string", "physicalType": "string"}, id="a column twice"),
        pytest.param(f"{TABLE}.quality.+", CHECK | {"metric": "invalidValues", "arguments": {"properties": ["id"]}}, id="no valid values"),
        pytest.param(f"{TABLE}.customProperties.+", {"property": "iceberg.properties", "value": ["a=b"]}, id="properties as a list"),
    ],
)
def test_whatever_is_wrong_is_a_finding_and_no_traceback(findings, path, value):
    assert len(findings(changed(path, value))) == 1


def test_a_key_that_is_there_twice_is_found(findings):
    text = yaml.safe_dump(DOCUMENT, sort_keys=False)
    assert findings(text + "slaProperties: []\n")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM (SELECT id AS k FROM {table}) WHERE k = ''",
        "SELECT count(*) AS n FROM {table} ORDER BY n",
        "SELECT count(*) FROM {table} WHERE ID = ''",
    ],
)
def test_a_name_that_the_query_gives_and_capitals_are_no_finding(findings, query):
    assert findings(changed(QUERY, query)) == []


# The command and the pages.


@pytest.fixture
def run(root: Path, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The command in the repository: its exit code, its findings, and its last line."""
    monkeypatch.chdir(root)
    write(DOCUMENT)

    def of(*arguments: str, folders: tuple[str, ...] = ("contracts",)) -> tuple[int, list[str], str]:
        code = main([*folders, *arguments])
        shown = capsys.readouterr()
        return code, shown.err.splitlines(), shown.out.strip()

    return of


PAGE = "docs/tables/logs_db.lines.md"


def test_the_command_counts_contracts_and_findings_and_says_so_by_its_exit_code(run, write):
    assert run() == (0, [], "1 contracts, 0 findings")
    write(changed(SORT_ORDER, ["nothing"]), "other")
    code, shown, last = run()
    assert (code, last) == (1, "2 contracts, 1 findings")
    assert shown == ["contracts/other.odcs.yaml:1: iceberg.sortOrder names the column nothing, which the contract does not have"]


def test_folders_without_a_contract_are_a_finding_and_not_a_green(run, root):
    (root / "empty").mkdir()
    assert run(folders=("empty",)) == (1, ["empty:0: there is no *.odcs.yaml"], "0 contracts, 1 findings")


def test_pages_are_written_and_compare_clean(run, root):
    assert run("--docs", "docs/tables", "--write") == (0, [], "1 contracts, 0 findings")
    assert [page.name for page in (root / "docs" / "tables").iterdir()] == ["logs_db.lines.md"]
    assert run("--docs", "docs/tables") == (0, [], "1 contracts, 0 findings")
    before = (root / PAGE).read_bytes()
    run("--docs", "docs/tables", "--write")
    assert (root / PAGE).read_bytes() == before


def test_a_missing_a_stale_and_a_superfluous_page_are_findings_and_writing_mends_them(run, root, write):
    missing = (1, [f"{PAGE}:1: not what its contract says: run `make tables`"], "1 contracts, 1 findings")
    assert run("--docs", "docs/tables") == missing
    run("--docs", "docs/tables", "--write")
    write(changed("description.purpose", "Other lines."))
    assert run("--docs", "docs/tables") == missing
    run("--docs", "docs/tables", "--write")
    (root / "docs" / "tables" / "logs_db.gone.md").write_text("# gone\n")
    code, shown, _ = run("--docs", "docs/tables")
    assert (code, shown) == (1, ["docs/tables/logs_db.gone.md:1: not what its contract says: run `make tables`"])
    run("--docs", "docs/tables", "--write")
    assert run("--docs", "docs/tables")[0] == 0
    assert not (root / "docs" / "tables" / "logs_db.gone.md").exists()


def test_comparing_writes_nothing(run, root):
    run("--docs", "docs/tables")
    assert not (root / "docs" / "tables").exists()


def test_no_page_is_written_while_a_contract_has_findings(run, root, write):
    write(changed(SORT_ORDER, ["nothing"]))
    assert run("--docs", "docs/tables", "--write")[0] == 1
    assert not (root / "docs" / "tables").exists()


def test_two_contracts_of_one_table_are_a_finding(run, write):
    write(DOCUMENT, "again")
    assert run("--docs", "docs/tables", "--write")[0] == 1


def test_a_runbook_outside_the_docs_is_a_finding_and_no_traceback(run, root, write):
    (root / "RUNBOOK.md").write_text("# lines\n")
    write(changed(RUNBOOK, "RUNBOOK.md"))
    assert run("--docs", "docs/tables", "--write")[0] in (0, 1)


# What a page says.


def cells(page: str) -> list[list[str]]:
    """The cells of a page's table rows, as GitHub splits them: at pipes that no backslash escapes."""
    rows = [line for line in page.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").replace("\\|", "\0").split("|")] for row in rows]


def test_a_page_says_all_that_the_contract_promises(write):
    path = write(DOCUMENT)
    page = to_markdown(load(path), Path("contracts/lines.odcs.yaml"))
    assert page.splitlines()[0] == "<!-- Generated from contracts/lines.odcs.yaml by `make tables`; change the contract, not this page. -->"
    for line in (
        "# logs_db.lines",
        "Lines of logs.",
        "| at | timestamptz |  | When |  |",
        "| id (key) | string | yes |  |  |",
        "Partitioned by `day(at)`; sorted by `id`.",
        "| write.parquet.compression-codec | zstd |",
        "| rows | error | there are rows | rowCount > 0 |",
        "| own | warning | own | own query = 0 |",
        "- Fresh: the newest at is at most 48 hours old.",
        "- Kept for 30 days.",
        "- At most 5% of a run's inputs may be refused.",
        "- Runbook: [lines](../../docs/runbooks/lines.md)",
    ):
        assert line in page.splitlines()
    assert page.endswith("\n")


def test_a_page_of_a_plain_contract_promises_nothing_of_its_own(write):
    document = changed("slaProperties", None)
    document["schema"][0] |= {"quality": [], "customProperties": []}
    page = to_markdown(load(write(document)), Path("x"))
    assert "None of its own." in page
    assert "Partitioned by nothing; sorted by nothing." in page
    assert not any(word in page for word in ("Fresh:", "Kept for", "Runbook:"))


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from("|\\\n a`*<"), max_size=12))
def test_a_description_stays_within_its_cell(text):
    contract = dataclasses.replace(
        load(FOLDERS[0] / "raw_logs.odcs.yaml"),
        columns=(Column("at", "string", required=True, description=text, classification=None),),
        checks=(),
    )
    rows = cells(to_markdown(contract, Path("x")).split("## Layout")[0])
    assert [len(row) for row in rows] == [5, 5, 5]
