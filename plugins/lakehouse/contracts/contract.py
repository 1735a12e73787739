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
    DataQuality,
    OpenDataContractStandard,
    SchemaObject,
    ServiceLevelAgreementProperty,
)
from pydantic import ValidationError as PydanticValidationError

from lakehouse.exceptions import ConfigurationError

_OPERATORS = {
    "mustBe": "=",
    "mustNotBe": "<>",
    "mustBeGreaterThan": ">",
    "mustBeGreaterOrEqualTo": ">=",
    "mustBeLessThan": "<",
    "mustBeLessOrEqualTo": "<=",
}
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
_METRICS = ("rowCount", "nullValues", "missingValues", "invalidValues", "duplicateValues")


@dataclass(frozen=True)
class Column:
    """A column: its Iceberg type and what people need to know of it."""

    name: str
    type: str
    required: bool
    description: str
    classification: str | None


@dataclass(frozen=True)
class Check:
    """One quality rule of a contract.

    Attributes:
        metric: a library metric of the standard, None for an `sql` rule.
        column: the column it looks at, None for a rule on the table.
        operator: SQL comparison that the measured value must satisfy against `threshold`.
        severity: `error` or `warning`.
    """

    check_id: str
    description: str
    severity: str
    operator: str
    threshold: float
    metric: str | None = None
    query: str | None = None
    column: str | None = None
    arguments: tuple[tuple[str, Any], ...] = ()

    def passes(self, measured: float) -> bool:
        """Whether the measured value satisfies the rule."""
        return {
            "=": measured == self.threshold,
            "<>": measured != self.threshold,
            ">": measured > self.threshold,
            ">=": measured >= self.threshold,
            "<": measured < self.threshold,
            "<=": measured <= self.threshold,
        }[self.operator]


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
        checks=_checks(path, table),
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


def _checks(path: Path, table: SchemaObject) -> tuple[Check, ...]:
    rules: list[tuple[DataQuality, str | None]] = [(rule, None) for rule in table.quality or []]
    rules += [(rule, prop.name) for prop in table.properties or [] for rule in prop.quality or []]
    checks = tuple(_check(path, rule, column) for rule, column in rules)
    names = [check.check_id for check in checks]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"{path}: the rule ids {doubled} are there more than once")
    return checks


def _check(path: Path, rule: DataQuality, column: str | None) -> Check:
    where = f"{path}: rule {rule.id!r}"
    thresholds = [(sql, getattr(rule, field)) for field, sql in _OPERATORS.items() if getattr(rule, field) is not None]
    if not rule.id or len(thresholds) != 1:
        raise ConfigurationError(f"{where}: a rule needs an `id` and exactly one of {', '.join(_OPERATORS)}")
    if rule.severity not in ("error", "warning"):
        raise ConfigurationError(f"{where}: `severity` must be `error` or `warning`, not {rule.severity!r}")
    if (rule.metric in _METRICS) == (rule.type == "sql" and bool(rule.query)):
        raise ConfigurationError(f"{where}: write a `metric` ({', '.join(_METRICS)}), or `type: sql` with a `query`")
    if column is None and rule.metric not in (None, "rowCount") and not (rule.arguments or {}).get("properties"):
        raise ConfigurationError(f"{where}: {rule.metric} is about a column: put it under one, or name `arguments.properties`")
    if rule.metric == "invalidValues" and not {"validValues", "pattern"} & (rule.arguments or {}).keys():
        raise ConfigurationError(f"{where}: invalidValues needs `arguments.validValues` or `arguments.pattern`")
    operator, threshold = thresholds[0]
    return Check(
        check_id=rule.id,
        description=rule.description or rule.id,
        severity=rule.severity,
        operator=operator,
        threshold=float(threshold),
        metric=rule.metric,
        query=rule.query,
        column=column,
        arguments=tuple(sorted((rule.arguments or {}).items())),
    )


def _custom(path: Path, properties: list[CustomProperty] | None) -> dict[str, Any]:
    custom = {entry.property or "": entry.value for entry in properties or []}
    if unknown := sorted(custom.keys() - _CUSTOM):
        raise ConfigurationError(f"{path}: unknown customProperties {unknown}; known are {sorted(_CUSTOM)}")
    if not isinstance(custom.get("iceberg.properties", {}), dict):
        raise ConfigurationError(f"{path}: `iceberg.properties` must be names and values, not {custom['iceberg.properties']!r}")
    return custom
