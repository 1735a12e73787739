"""One function makes or evolves a table from its contract; others read its state back."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import date
from typing import Any

import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform, Transform, VoidTransform
from pyiceberg.types import DecimalType, DoubleType, FloatType, IcebergType, IntegerType, LongType, TimestampType, TimestamptzType

from lakehouse.contracts import Contract
from lakehouse.exceptions import SchemaMismatchError
from lakehouse.iceberg import schema as schemas

# Widening that Iceberg allows (table specification, "Schema Evolution").
_WIDER = {(IntegerType, LongType), (FloatType, DoubleType)}


def ensure_table(catalog: Catalog, contract: Contract) -> Table:
    """Create the table from its contract, or evolve it by additions: new optional columns, wider types, new partition fields.

    Sort order and properties follow the contract, as they say how new files are written. A table that someone made by hand with plain
    TIMESTAMP columns, or without NOT NULL, is adopted as it is.

    Raises:
        SchemaMismatchError: table and contract differ in another way; the text says which side to change.
    """
    namespace = contract.table.split(".")[0]
    try:
        table = catalog.load_table(contract.table)
    except NoSuchTableError:
        with suppress(NamespaceAlreadyExistsError):
            catalog.create_namespace(namespace)
        wanted = schemas.schema(contract)
        try:
            return catalog.create_table(
                contract.table,
                schema=wanted,
                partition_spec=schemas.partition_spec(contract, wanted),
                sort_order=schemas.sort_order(contract, wanted),
                properties=contract.properties,
            )
        except TableAlreadyExistsError:  # Another task was quicker.
            table = catalog.load_table(contract.table)
    _evolve(table, contract)
    return table


def ensure_tables(catalog: Catalog, contracts: Iterable[Contract]) -> dict[str, Table]:
    """`ensure_table` for each, by table name."""
    return {contract.table: ensure_table(catalog, contract) for contract in contracts}


def schema_differences(table: Table, contract: Contract) -> list[str]:
    """Sentences about what differs between a table and its contract, additions that `ensure_table` would make included."""
    additions, widenings, conflicts = _compare(schemas.schema(contract), table.schema())
    new_partitions, more_conflicts = _compare_partitioning(contract, table)
    return [
        *conflicts,
        *more_conflicts,
        *(f"column {name} is in the contract and not in the table" for name in additions),
        *(f"column {name} has a wider type in the contract" for name in widenings),
        *(f"the contract is partitioned by {transform}({column}), the table is not" for column, transform, _ in new_partitions),
    ]


def _evolve(table: Table, contract: Contract) -> None:
    wanted, current = schemas.schema(contract), table.schema()
    additions, widenings, conflicts = _compare(wanted, current)
    new_partitions, more_conflicts = _compare_partitioning(contract, table)
    if conflicts := [*conflicts, *more_conflicts]:
        raise SchemaMismatchError(f"{contract.table} differs from its contract:\n  " + "\n  ".join(conflicts))
    properties = {key: value for key, value in contract.properties.items() if table.properties.get(key) != value}
    sort_order = [current.find_column_name(field.source_id) for field in table.sort_order().fields]
    resort = sort_order != list(contract.sort_order)
    if not (additions or widenings or new_partitions or properties or resort):
        return
    with table.transaction() as transaction:
        if additions or widenings:
            with transaction.update_schema() as update:
                for name in additions:
                    field = wanted.find_field(name)
                    update.add_column(name, field.field_type, doc=field.doc)
                for name in widenings:
                    update.update_column(name, field_type=wanted.find_field(name).field_type)
        if new_partitions:
            with transaction.update_spec() as spec:
                for name, transform, field_name in new_partitions:
                    spec.add_field(name, transform, field_name)
        if resort:
            with transaction.update_sort_order() as order:
                for name in contract.sort_order:
                    order.asc(name, IdentityTransform())
        if properties:
            transaction.set_properties(properties)


def _compare_partitioning(contract: Contract, table: Table) -> tuple[list[tuple[str, Transform[Any, Any], str]], list[str]]:
    """Partition fields to add (column, transform, name), and sentences about those that only the table has."""
    schema = schemas.schema(contract)
    wanted = {field.name: field for field in schemas.partition_spec(contract, schema).fields}
    there = {
        (table.schema().find_column_name(field.source_id), str(field.transform))
        for field in table.spec().fields
        if not isinstance(field.transform, VoidTransform)
    }
    additions, known = [], set()
    for name, field in wanted.items():
        column = schema.find_column_name(field.source_id) or ""
        known.add((column, str(field.transform)))
        if (column, str(field.transform)) not in there:
            additions.append((column, field.transform, name))
    conflicts = [
        f"the table is partitioned by {transform}({column}), the contract is not: add it to the contract's iceberg.partitioning"
        for column, transform in sorted(there - known, key=str)
    ]
    return additions, conflicts


def _compare(wanted: Schema, current: Schema) -> tuple[list[str], list[str], list[str]]:
    """Names to add, names to widen, and sentences about what cannot be reconciled."""
    here = {field.name: field for field in current.fields}
    additions, widenings, conflicts = [], [], []
    for field in wanted.fields:
        old = here.get(field.name)
        if old is None and field.required:
            conflicts.append(f"column {field.name} is required in the contract and missing in the table: make it optional in the contract")
        elif old is None:
            additions.append(field.name)
        elif (type(old.field_type), type(field.field_type)) in _WIDER or _more_digits(old.field_type, field.field_type):
            widenings.append(field.name)
        elif not _same(old.field_type, field.field_type):
            conflicts.append(
                f"column {field.name} is {old.field_type} in the table and {field.field_type} in the contract: "
                "change the contract's physicalType"
            )
        elif old.required and not field.required:
            conflicts.append(
                f"column {field.name} is required in the table and optional in the contract: a row without it cannot be written; "
                "make it required in the contract, or optional in the table (ALTER COLUMN … DROP NOT NULL)"
            )
    for name in here.keys() - {field.name for field in wanted.fields}:
        conflicts.append(f"column {name} is in the table and not in the contract: add it to the contract")
    return additions, widenings, conflicts


def _more_digits(old: IcebergType, new: IcebergType) -> bool:
    return isinstance(old, DecimalType) and isinstance(new, DecimalType) and old.scale == new.scale and old.precision < new.precision


def _same(old: IcebergType, new: IcebergType) -> bool:
    plain_timestamp = isinstance(old, TimestampType) and isinstance(new, TimestamptzType)
    return old == new or plain_timestamp


def row_count(table: Table) -> int:
    """Rows of the current snapshot, from its summary; no data file is opened."""
    snapshot = table.current_snapshot()
    if snapshot is None or snapshot.summary is None:
        return 0
    return int(snapshot.summary["total-records"] or 0)


def rows_by_day(table: Table, partition_field: str, snapshot_id: int | None = None) -> dict[date, int]:
    """Rows of each day partition, from the manifests; no data file is opened.

    Args:
        partition_field: name of the day partition field, such as `timestamp_day`.
        snapshot_id: the current one by default.
    """
    if table.current_snapshot() is None and snapshot_id is None:
        return {}
    partitions: Any = table.inspect.partitions(snapshot_id=snapshot_id)
    if not partitions.num_rows:  # The head has no file, and PyIceberg then gives no columns.
        return {}
    days = pc.struct_field(partitions["partition"], partition_field).to_pylist()
    counts: dict[date, int] = {}
    for day, rows in zip(days, partitions["record_count"].to_pylist(), strict=True):
        counts[day] = counts.get(day, 0) + rows
    return counts
