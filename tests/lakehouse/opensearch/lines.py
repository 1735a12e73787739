"""A small table to ship, `db.lines`: what the tests of shipping and of redriving share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType, TimestamptzType

from lakehouse.contracts import Column, Contract
from lakehouse.opensearch.target import Target
from lakehouse.ops.tables import ensure_ops_tables

FIELDS = [NestedField(1, "key", StringType()), NestedField(2, "at", TimestamptzType()), NestedField(3, "size", LongType())]
SCHEMA = Schema(*FIELDS)
CONTRACT = Contract(
    table="db.lines",
    description="",
    columns=tuple(Column(field.name, str(field.field_type), required=False, description="", classification=None) for field in FIELDS),
    primary_key=("key",),
    partitioning=(),
    sort_order=(),
    properties={},
    checks=(),
    refused_threshold=1.0,
    runbook="",
    freshness_hours=None,
    freshness_column=None,
    retention_days=30,
)


def target_in(folder: Path) -> Target:
    """`logs-*`, with its template in the folder."""
    template = folder / "template.json"
    types = {"at": "date", "key": "keyword", "size": "long", "snapshot_id": "keyword"}
    mapping = {"dynamic": False, "properties": {name: {"type": kind} for name, kind in types.items()}}
    template.write_text(json.dumps({"template": {"mappings": mapping}}))
    return Target(prefix="logs-", event_time="at", template=template)


@contextmanager
def catalog_in(folder: Path) -> Iterator[SqlCatalog]:
    """A catalog with the bundle's own tables, for a whole module: making them takes longer than most of its tests."""
    opened = SqlCatalog("lines", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    ensure_ops_tables(opened)
    opened.create_namespace("db")
    yield opened
    opened.close()


def add_lines(table, *keys: str | None, at: datetime | None, size: int = 1) -> int:
    """Append a row for each key; returns the snapshot."""
    table.refresh()
    rows = [{"key": key, "at": at, "size": size} for key in keys]
    schema = pa.schema([("key", pa.string()), ("at", pa.timestamp("us", "UTC")), ("size", pa.int64())])
    table.append(pa.Table.from_pylist(rows, schema=schema))
    return table.current_snapshot().snapshot_id
