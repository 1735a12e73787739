"""From a contract to Iceberg's schema, partition spec and sort order, and from Arrow data to a table's own types."""

from __future__ import annotations

import re

import pyarrow as pa
from pydantic import ValidationError as PydanticValidationError
from pyiceberg.exceptions import ValidationError as IcebergValidationError
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import IdentityTransform, Transform, UnknownTransform, parse_transform
from pyiceberg.types import NestedField

from lakehouse.contracts import Contract
from lakehouse.exceptions import ConfigurationError, SchemaMismatchError

_CALL = re.compile(r"(?P<transform>\w+(\[\d+\])?)\((?P<column>\w+)\)|(?P<identity>\w+)")


def schema(contract: Contract) -> Schema:
    """The table's schema; field ids are given in the contract's order, from 1."""
    try:
        fields = [
            NestedField(field_id=number, name=column.name, type=column.type, required=column.required, doc=column.description)
            for number, column in enumerate(contract.columns, start=1)
        ]
    except (PydanticValidationError, IcebergValidationError, ValueError) as error:
        raise ConfigurationError(f"contract of {contract.table}: a `physicalType` is not an Iceberg type: {error}") from error
    return Schema(*fields)


def partition_spec(contract: Contract, table_schema: Schema) -> PartitionSpec:
    """The partition spec; a field of `day(event_time)` is called `event_time_day`, as Trino and Spark call it."""
    fields: list[PartitionField] = []
    if doubled := sorted({text for text in contract.partitioning if contract.partitioning.count(text) > 1}):
        raise ConfigurationError(f"contract of {contract.table}: partitioned by {', '.join(doubled)} more than once")
    for number, text in enumerate(contract.partitioning):
        column, transform = _transform(contract, text)
        source = table_schema.find_field(column).field_id
        if not transform.can_transform(table_schema.find_field(column).field_type):
            raise ConfigurationError(f"contract of {contract.table}: partitioning {text!r}: {column} is no type for {transform}")
        name = column if isinstance(transform, IdentityTransform) else f"{column}_{str(transform).partition('[')[0]}"
        fields.append(PartitionField(source_id=source, field_id=1000 + number, transform=transform, name=name))
    return PartitionSpec(*fields)


def sort_order(contract: Contract, table_schema: Schema) -> SortOrder:
    """The write order inside a file, ascending."""
    sources = [table_schema.find_field(column).field_id for column in contract.sort_order]
    return SortOrder(*(SortField(source_id=source, transform=IdentityTransform()) for source in sources))


def to_table_types(data: pa.Table, table: Table) -> pa.Table:
    """The data's columns by name, in the table's order and types.

    A table made by hand with plain TIMESTAMP columns gets UTC values without a zone; columns that the data lacks are null.

    Raises:
        SchemaMismatchError: the data has a column that the table lacks, or a value that its type cannot hold.
    """
    target = schema_to_pyarrow(table.schema(), include_field_ids=False)
    if unknown := sorted(set(data.column_names) - set(target.names)):
        raise SchemaMismatchError(f"{'.'.join(table.name())} has no columns {unknown}: evolve it from its contract first")
    columns = []
    for field in target:
        try:
            if field.name in data.column_names:
                columns.append(data.column(field.name).cast(field.type))
            else:
                columns.append(pa.chunked_array([pa.nulls(len(data), field.type)]))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SchemaMismatchError(f"{'.'.join(table.name())}, column {field.name}: {error}") from error
        if not field.nullable and columns[-1].null_count:
            raise SchemaMismatchError(f"{'.'.join(table.name())}, column {field.name} is required, and rows have no value for it")
    return pa.Table.from_arrays(columns, schema=target)


def _transform(contract: Contract, text: str) -> tuple[str, Transform]:  # type: ignore[type-arg]  # source and target types do not matter here
    match = _CALL.fullmatch(text)
    column = (match["column"] or match["identity"]) if match else None
    transform = parse_transform(match["transform"]) if match and match["transform"] else IdentityTransform()
    if column not in contract.column_names or isinstance(transform, UnknownTransform):
        raise ConfigurationError(
            f"contract of {contract.table}: partitioning {text!r} must read like `day(column)` or `column`, with one of its columns"
        )
    return column, transform
