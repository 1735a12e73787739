"""Reads a contract file into what the engines ask of it.

The file follows the Open Data Contract Standard v3.1.0 (bitol.io); our conventions within it: `physicalType` of a column is its Iceberg
type, and `customProperties` carry `iceberg.partitioning`, `iceberg.sortOrder`, `iceberg.properties`, `refusedThreshold` and
`runbook`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from open_data_contract_standard.model import (
    CustomProperty,
    OpenDataContractStandard,
    SchemaObject,
    ServiceLevelAgreementProperty,
)
from pydantic import ValidationError as PydanticValidationError

from lakehouse.contracts.checks import Check, read_checks
from lakehouse.exceptions import ConfigurationError

# What a contract's `iceberg.properties` need not repeat. Several writers commit to a table now and then; the engines' default of 4 tries
# lost some in a test with four writers.
DEFAULT_PROPERTIES = {
    "commit.retry.num-retries": "20",
    "commit.retry.min-wait-ms": "50",
    "commit.retry.max-wait-ms": "2000",
    "write.distribution-mode": "hash",
    "write.metadata.metrics.default": "truncate(16)",
    "write.parquet.compression-codec": "zstd",
    "write.target-file-size-bytes": "134217728",
}
_CUSTOM = {"iceberg.partitioning", "iceberg.sortOrder", "iceberg.properties", "refusedThreshold", "runbook"}


@dataclass(frozen=True)
class Column:
    """A column: its Iceberg type and what people need to know of it."""

    name: str
    type: str
    required: bool
    description: str
    classification: str | None


@dataclass(frozen=True)
class Contract:
    """One table as its contract describes it; `table` is `schema.name` without the catalog."""

    table: str
    description: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    partitioning: tuple[str, ...]
    sort_order: tuple[str, ...]
    properties: dict[str, str]
    checks: tuple[Check, ...]
    refused_threshold: float
    runbook: str
    freshness_hours: float | None
    freshness_column: str | None
    retention_days: int | None

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in the contract's order."""
        return tuple(column.name for column in self.columns)


def load_folder(folder: Path) -> dict[str, Contract]:
    """Every contract of a folder, by table."""
    return {contract.table: contract for contract in map(load, sorted(folder.glob("*.odcs.yaml")))}


def load(path: Path) -> Contract:
    """Read one contract.

    Raises:
        ConfigurationError: the file is missing, is not of the standard, or breaks one of our conventions.
    """
    try:
        document = OpenDataContractStandard.from_string(path.read_text())
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: there is no such contract") from error
    except (yaml.YAMLError, PydanticValidationError, TypeError) as error:
        raise ConfigurationError(f"{path}: not a contract of the standard v3.1.0: {error}") from error
    if document.apiVersion != "v3.1.0" or not document.schema_ or len(document.schema_) != 1:
        raise ConfigurationError(f"{path}: write `apiVersion: v3.1.0` and exactly one table under `schema`")
    table = document.schema_[0]
    if not table.physicalName or table.physicalName.count(".") != 1:
        raise ConfigurationError(f"{path}: `physicalName` must be `<schema>.<table>`, not {table.physicalName!r}")
    columns = _columns(path, table)
    custom = _custom(path, table.customProperties)
    sla = {entry.property: entry for entry in document.slaProperties or []}
    freshness, retention = sla.get("freshness"), sla.get("retention")
    return Contract(
        table=table.physicalName,
        description=(document.description.purpose if document.description else None) or "",
        columns=columns,
        primary_key=tuple(
            prop.name or "" for prop in sorted(table.properties or [], key=lambda prop: prop.primaryKeyPosition or 0) if prop.primaryKey
        ),
        partitioning=tuple(custom.get("iceberg.partitioning", ())),
        sort_order=tuple(custom.get("iceberg.sortOrder", ())),
        properties=DEFAULT_PROPERTIES | {str(name): str(value) for name, value in custom.get("iceberg.properties", {}).items()},
        checks=read_checks(path, table),
        refused_threshold=_share(path, custom.get("refusedThreshold", 0)),
        runbook=str(custom.get("runbook", "")),
        freshness_hours=_hours(path, freshness) if freshness else None,
        freshness_column=(freshness.element or "").rpartition(".")[2] or None if freshness else None,
        retention_days=int(_hours(path, retention) / 24) if retention else None,
    )


def _share(path: Path, value: Any) -> float:
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigurationError(f"{path}: `refusedThreshold` is {value!r}: write a share such as 0.05")
    return share


def _hours(path: Path, entry: ServiceLevelAgreementProperty) -> float:
    units = {"h": 1, "d": 24}
    try:
        return float(entry.value or 0) * units[entry.unit or ""]
    except (KeyError, ValueError) as error:
        raise ConfigurationError(f"{path}: {entry.property} is {entry.value!r} {entry.unit!r}: write a number and `h` or `d`") from error


def _columns(path: Path, table: SchemaObject) -> tuple[Column, ...]:
    columns = []
    for prop in table.properties or []:
        if not prop.name or not prop.physicalType:
            raise ConfigurationError(f"{path}: every column needs a `name` and a `physicalType` (its Iceberg type)")
        required = bool(prop.required)
        columns.append(Column(prop.name, prop.physicalType, required, prop.description or "", prop.classification))
    if not columns:
        raise ConfigurationError(f"{path}: the table has no columns under `properties`")
    names = [column.name for column in columns]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"{path}: the columns {doubled} are there more than once")
    return tuple(columns)


def _custom(path: Path, properties: list[CustomProperty] | None) -> dict[str, Any]:
    custom = {entry.property or "": entry.value for entry in properties or []}
    if unknown := sorted(custom.keys() - _CUSTOM):
        raise ConfigurationError(f"{path}: unknown customProperties {unknown}; known are {sorted(_CUSTOM)}")
    if not isinstance(custom.get("iceberg.properties", {}), dict):
        raise ConfigurationError(f"{path}: `iceberg.properties` must be names and values, not {custom['iceberg.properties']!r}")
    return custom
