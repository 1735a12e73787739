"""Checks contract files offline, and keeps their pages for people: `python -m lakehouse.contracts.lint FOLDER… --docs docs/tables`.

A file must pass the standard's own JSON schema (bitol.io, ODCS v3.1.0, as shipped by `open-data-contract-standard`), our conventions
within it, and what Iceberg and Trino will ask of it: types, partitioning, sort order, and SQL that parses.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonschema.validators import Draft201909Validator
from sqlglot import exp

from lakehouse.contracts.contract import Contract, load
from lakehouse.contracts.document import to_markdown
from lakehouse.exceptions import ConfigurationError


@dataclass(frozen=True)
class Finding:
    """Something to mend: where, and what to do."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def lint(path: Path, root: Path = Path()) -> list[Finding]:
    """What is wrong with one contract file; nothing when it is fine.

    Args:
        root: folder that the contract's `runbook` is relative to.
    """
    text = path.read_text()
    try:
        node, document = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        return [Finding(path, mark.line + 1 if mark else 1, f"not YAML: {getattr(error, 'problem', error)}")]
    schema = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text())
    doubled = [
        Finding(path, key.start_mark.line + 1, f"the key {key.value} is there twice; the second one would silently win")
        for key in _doubled_keys(node)
    ]
    against_standard = dict.fromkeys(doubled) | {
        Finding(path, _line(node, error.absolute_path), f"not of the standard: {error.message}"): None
        for error in Draft201909Validator(schema).iter_errors(document)
    }
    if against_standard:
        return list(against_standard)
    try:
        contract = load(path)
        return [Finding(path, 1, problem) for problem in _conventions(contract, root)]
    except ConfigurationError as error:
        return [Finding(path, 1, str(error).removeprefix(f"{path}: "))]


def _conventions(contract: Contract, root: Path) -> Iterator[str]:
    """What the engines will ask of a contract, without any of them running."""
    from lakehouse.iceberg import schema as schemas
    from lakehouse.quality.predicates import breaking, parse_query

    schema = schemas.schema(contract)
    schemas.partition_spec(contract, schema)
    known = set(contract.column_names)
    named = [name for check in contract.checks for name in dict(check.arguments).get("properties", [])]
    for kind, names in (
        ("iceberg.sortOrder", contract.sort_order),
        ("slaProperties freshness", [contract.freshness_column] if contract.freshness_column else []),
        ("quality", named),
    ):
        for name in names:
            if name not in known:
                yield f"{kind} names the column {name}, which the contract does not have"
    for check in contract.checks:
        breaking(check)
        if check.query:
            # Other tables may be named in a rule; their columns are not ours to know.
            query = parse_query(check)
            own = {column.name.lower() for column in query.find_all(exp.Column)} if len(list(query.find_all(exp.Table))) == 1 else set()
            given = {alias.alias.lower() for alias in query.find_all(exp.Alias)}
            for name in sorted(own - given - {name.lower() for name in known}):
                yield f"rule {check.check_id} names the column {name}, which the contract does not have"
    if contract.runbook and not (root / contract.runbook).exists():
        yield f"the runbook {contract.runbook} does not exist"


def _doubled_keys(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                yield key
            seen.add(key.value)
            yield from _doubled_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _doubled_keys(value)


def _line(node: yaml.Node | None, place: Sequence[Any]) -> int:
    """The line of a place in the document, from 1."""
    for step in place:
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == step), node)
        elif isinstance(node, yaml.SequenceNode):
            node = node.value[step]
    return node.start_mark.line + 1 if node is not None else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Lint folders of contracts and compare (or write) their pages; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders with *.odcs.yaml")
    parser.add_argument("--docs", type=Path, help="folder of the generated pages, one a table")
    parser.add_argument("--write", action="store_true", help="write the pages instead of comparing them")
    options = parser.parse_args(arguments)
    paths = [path for folder in options.folders for path in sorted(folder.glob("*.odcs.yaml"))]
    findings = [finding for path in paths for finding in lint(path)]
    if not paths:
        findings.append(Finding(options.folders[0], 0, "there is no *.odcs.yaml"))
    findings += _same_table(paths) if not findings else []
    if options.docs and not findings:
        findings += _pages(paths, options.docs, write=options.write)
    for finding in findings:
        print(finding, file=sys.stderr)  # noqa: T201  # a command's output
    print(f"{len(paths)} contracts, {len(findings)} findings")  # noqa: T201
    return 1 if findings else 0


def _same_table(paths: list[Path]) -> list[Finding]:
    tables: dict[str, Path] = {}
    twice = [(path, load(path).table) for path in paths]
    return [Finding(path, 1, f"{tables[table]} is of {table} too") for path, table in twice if tables.setdefault(table, path) != path]


def _pages(paths: list[Path], folder: Path, *, write: bool) -> list[Finding]:
    pages = {folder / f"{contract.table}.md": to_markdown(contract, path) for path in paths for contract in [load(path)]}
    if write:
        folder.mkdir(parents=True, exist_ok=True)
        for page in set(folder.glob("*.md")) - pages.keys():
            page.unlink()
        for page, text in pages.items():
            page.write_text(text)
        return []
    stale = [page for page, text in pages.items() if not page.exists() or page.read_text() != text]
    return [
        Finding(page, 1, "not what its contract says: run `make tables`") for page in [*stale, *(set(folder.glob("*.md")) - pages.keys())]
    ]


if __name__ == "__main__":
    sys.exit(main())
