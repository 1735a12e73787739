"""Checks a folder or zip file in Superset's export format, offline: what Superset answers with "unknown reason", or drops with status 200.

It reads exports of other people as well; what only our own sync asks for is asked for where variables are given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.dashboards.findings import Finding
from lakehouse.dashboards.superset import bundle as bundles
from lakehouse.dashboards.superset.bundle import KINDS, Bundle, Document
from lakehouse.dashboards.superset.import_schemas import FORMAT
from lakehouse.dashboards.superset.lint_boards import check_board, check_filters
from lakehouse.dashboards.superset.lint_charts import check_chart
from lakehouse.dashboards.superset.lint_keys import check_keys, is_uuid
from lakehouse.dashboards.superset.lint_sql import check_sql

if TYPE_CHECKING:
    from lakehouse.contracts import Contract

_MASK = "XXXXXXXXXX"
_PASSWORD = re.compile(r"://[^/@\s]*?:(?P<password>[^@\s]*)@")
_PATH = re.compile(rf"(?:{'|'.join(KINDS)})/[^\s:]+\.ya?ml")
_SECRETS = (
    ("password",),
    ("encrypted_extra",),
    ("masked_encrypted_extra",),
    ("extra", "engine_params", "connect_args", "password"),
    *(("ssh_tunnel", key) for key in ("password", "private_key", "private_key_password")),
)
# Names that the tables of Superset's own database hold only once (`superset/connectors/sqla/models.py`, `superset/models`).
_UNIQUE = {"databases": ("database_name",), "datasets": ("database_uuid", "catalog", "schema", "table_name"), "dashboards": ("slug",)}


def lint(path: Path, contracts: Mapping[str, Contract] | None = None, variables: Mapping[str, str] | None = None) -> list[Finding]:
    """What is wrong in the exports at or below a path, in the order of files and lines.

    Args:
        path: a folder, or a zip file.
        contracts: by table; SQL is checked against their columns.
        variables: values of `${NAME}` in the files. Given, even if empty, the folder is one of our sync: boards need a slug, a
            `query_context` may be a mapping, and tables say whether they draw HTML.
    """
    if not path.exists():
        return [Finding(str(path), 1, "is not there", rule="path")]
    roots = bundles.roots(path)
    if not roots:
        return [Finding(str(path), 1, f"has no export of Superset: no folder {', '.join(KINDS)}", rule="path")]
    return [finding for root in roots for finding in check(bundles.read(root, variables), contracts or {}, ours=variables is not None)]


def check(bundle: Bundle, contracts: Mapping[str, Contract], *, ours: bool) -> list[Finding]:
    """What is wrong in one export that has been read; `ours` as `variables` of `lint`."""
    findings = list(bundle.findings)
    known = {kind: {str(document.data.get("uuid")): document for document in bundle.of(kind)} for kind in KINDS}
    for document in bundle.documents:
        findings += check_keys(document, opened=ours)
        findings += _version(document)
    findings += _doubled(bundle)
    for database in bundle.of("databases"):
        findings += _secrets(database)
    for dataset in bundle.of("datasets"):
        findings += _reference(dataset, "database_uuid", known["databases"].keys() | bundle.unread)
        findings += _doubled_names(dataset)
    for chart in bundle.of("charts"):
        findings += _reference(chart, "dataset_uuid", known["datasets"].keys() | bundle.unread)
        findings += check_chart(chart, known["datasets"].get(str(chart.data.get("dataset_uuid"))), sanitised=ours)
    for board in bundle.of("dashboards"):
        findings += check_board(board, known["charts"].keys() | bundle.unread, needs_slug=ours)
        findings += check_filters(board, known["datasets"], bundle.unread)
    for document in [*bundle.of("security"), *bundle.of("alerts")]:
        findings += _paths(document, {document.path for document in bundle.documents})
    findings += check_sql(bundle, contracts, default="trino" if ours else None)
    return sorted(findings, key=lambda finding: (finding.path, finding.line))


def _version(document: Document) -> Iterator[Finding]:
    if document.kind in (*KINDS, "metadata") and document.data.get("version") not in (None, FORMAT):
        said = document.data["version"]
        yield document.finding("version", f"`version` is {said!r}: this is no export of the format {FORMAT!r}", "version")


def _doubled(bundle: Bundle) -> Iterator[Finding]:
    """UUIDs, and names that Superset's tables hold only once."""
    for kind in KINDS:
        owners: dict[tuple[Any, ...], Document] = {}
        for document in bundle.of(kind):
            for keys in (("uuid",), _UNIQUE.get(kind, ())):
                values = tuple(str(document.data.get(key) or "").lower() for key in keys)
                if not keys or not values[-1]:
                    continue
                first = owners.setdefault((*keys, *values), document)
                if first is not document:
                    rule = "uuid" if keys == ("uuid",) else "doubled-name"
                    message = f"`{keys[-1]}` is {document.data[keys[-1]]}, as in {first.path}"
                    yield document.finding(rule, message, keys[-1])


def _reference(document: Document, key: str, known: set[str]) -> Iterator[Finding]:
    """Superset ends an import in "unknown reason" when it meets a UUID that it cannot look up."""
    wanted = document.data.get(key)
    if wanted is not None and is_uuid(wanted) and wanted not in known:
        yield document.finding("dangling", f"refers to {wanted}, which no {key.partition('_')[0]} here has", key)


def _doubled_names(dataset: Document) -> Iterator[Finding]:
    for key, name in (("columns", "column_name"), ("metrics", "metric_name")):
        seen: set[Any] = set()
        entries = dataset.data.get(key)
        for i, entry in enumerate(entries if isinstance(entries, list) else ()):
            said = entry.get(name) if isinstance(entry, dict) else None
            if isinstance(said, str) and said in seen:
                yield dataset.finding("doubled-name", f"`{said}` is among the {key} twice", key, i, name)
            seen.add(said if isinstance(said, str) else None)


def _secrets(database: Document) -> Iterator[Finding]:
    """Passwords in a file; what they are is not said."""
    address = str(database.data.get("sqlalchemy_uri") or "")
    found = _PASSWORD.search(address)
    if found and found["password"] not in ("", _MASK) and "${" not in found["password"] and "{{" not in found["password"]:
        message = f"a password stands in the address: write {_MASK}, or a variable for the whole address"
        yield database.finding("password", message, "sqlalchemy_uri")
    for place in _SECRETS:
        value: Any = database.data
        for step in place:
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, str) and value not in ("", _MASK, "{}") and "{{" not in value and _MASK not in value:
            yield database.finding("password", f"a secret stands in `{'.'.join(place)}`", *place)


def _paths(document: Document, known: set[str]) -> Iterator[Finding]:
    """Names of other files of the folder, wherever they stand in a file of `security/` or `alerts/`."""

    def walk(value: Any, place: tuple[Any, ...]) -> Iterator[Finding]:
        if isinstance(value, str) and _PATH.fullmatch(value) and value not in known:
            yield document.finding("dangling", f"names {value}, which is not there", *place)
        for key, entry in _children(value):
            if isinstance(value, dict) and isinstance(key, str):
                yield from walk(key, (*place, key))
            yield from walk(entry, (*place, key))

    return walk(document.data, ())


def _children(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
