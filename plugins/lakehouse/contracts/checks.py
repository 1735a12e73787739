"""Quality rules of a contract (Open Data Contract Standard v3.1.0, "Data Quality").

Our conventions within the standard: a rule of `type: custom` has the `engine` lakehouse, and its `implementation` names a `measure` (one of
those below), its threshold and what it needs besides; the custom property `per: partition` holds a rule against each value of the first
partition field instead of the whole table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_data_contract_standard.model import DataQuality, SchemaObject

from lakehouse.exceptions import ConfigurationError

METRICS = ("rowCount", "nullValues", "missingValues", "invalidValues", "duplicateValues")
ENGINE = "lakehouse"
# Against the median of the same weekday: what a day's rows, files and bytes differ by.
LIKE_WEEKDAY = ("rows_like_weekday", "files_like_weekday", "bytes_like_weekday")
# For a sample of the rows, whether the object that a column names is in the store.
OBJECTS_EXIST = "objects_exist"
MEASURES = (*LIKE_WEEKDAY, OBJECTS_EXIST)

_OPERATORS = {
    "mustBe": "=",
    "mustNotBe": "<>",
    "mustBeGreaterThan": ">",
    "mustBeGreaterOrEqualTo": ">=",
    "mustBeLessThan": "<",
    "mustBeLessOrEqualTo": "<=",
    "mustBeBetween": "between",
    "mustNotBeBetween": "not between",
}


@dataclass(frozen=True)
class Check:
    """One quality rule of a contract.

    Attributes:
        severity: `error` or `warning`.
        operator: comparison that the measured value must satisfy against `threshold`, for `between` up to `upper` (both included).
        metric: a library metric of the standard, None for an `sql` or custom rule.
        column: the column it looks at, None for a rule on the table.
        percent: whether the value is a percentage of the rows instead of their number.
        per_partition: whether each value of the first partition field is held against the threshold by itself.
        measure: what a custom rule measures.
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
    upper: float | None = None
    percent: bool = False
    per_partition: bool = False
    measure: str | None = None

    @property
    def wanted(self) -> str:
        """The threshold in words, such as `<= 5 %`."""
        limit = f"{self.threshold:g}" if self.upper is None else f"{self.threshold:g} and {self.upper:g}"
        return f"{self.operator} {limit}{' %' if self.percent else ''}"

    def passes(self, measured: float) -> bool:
        """Whether the measured value satisfies the rule."""
        return {
            "=": measured == self.threshold,
            "<>": measured != self.threshold,
            ">": measured > self.threshold,
            ">=": measured >= self.threshold,
            "<": measured < self.threshold,
            "<=": measured <= self.threshold,
            "between": self.upper is not None and self.threshold <= measured <= self.upper,
            "not between": self.upper is not None and not self.threshold <= measured <= self.upper,
        }[self.operator]


def read_checks(path: Path, table: SchemaObject) -> tuple[Check, ...]:
    """The rules of a table and of its columns, in the file's order.

    Raises:
        ConfigurationError: a rule breaks the standard or one of our conventions; the text names file and rule.
    """
    rules: list[tuple[DataQuality, str | None]] = [(rule, None) for rule in table.quality or []]
    rules += [(rule, prop.name) for prop in table.properties or [] for rule in prop.quality or []]
    checks = tuple(_check(path, rule, column) for rule, column in rules)
    names = [check.check_id for check in checks]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"{path}: the rule ids {doubled} are there more than once")
    return checks


def _check(path: Path, rule: DataQuality, column: str | None) -> Check:
    where = f"{path}: rule {rule.id!r}"
    own: dict[str, Any] = rule.implementation if isinstance(rule.implementation, dict) else {}
    given = own if rule.type == "custom" else {field: getattr(rule, field) for field in _OPERATORS}
    thresholds = [(sql, given[field]) for field, sql in _OPERATORS.items() if given.get(field) is not None]
    if not rule.id or len(thresholds) != 1:
        raise ConfigurationError(f"{where}: a rule needs an `id` and exactly one of {', '.join(_OPERATORS)}")
    if rule.severity not in ("error", "warning"):
        raise ConfigurationError(f"{where}: `severity` must be `error` or `warning`, not {rule.severity!r}")
    measure = own.get("measure")
    _check_kind(where, rule, measure, column)
    operator, threshold = thresholds[0]
    bounds = threshold if isinstance(threshold, list) else [threshold]
    if len(bounds) != (2 if "between" in operator else 1) or bounds != sorted(bounds):
        raise ConfigurationError(f"{where}: write a number, for `mustBeBetween` a smaller and a larger one, not {threshold!r}")
    if rule.unit not in (None, "rows", "percent"):
        raise ConfigurationError(f"{where}: `unit` must be `rows` or `percent`, not {rule.unit!r}")
    return Check(
        check_id=rule.id,
        description=rule.description or rule.id,
        severity=rule.severity,
        operator=operator,
        threshold=float(bounds[0]),
        upper=float(bounds[1]) if len(bounds) == 2 else None,
        metric=rule.metric,
        query=rule.query,
        column=column,
        arguments=tuple(sorted(((own if measure else rule.arguments) or {}).items())),
        percent=rule.unit == "percent" or measure in LIKE_WEEKDAY,
        per_partition=_per_partition(where, rule),
        measure=measure,
    )


def _check_kind(where: str, rule: DataQuality, measure: Any, column: str | None) -> None:
    arguments = rule.arguments or {}
    kinds = (rule.metric in METRICS, rule.type == "sql" and bool(rule.query), rule.type == "custom")
    if sum(kinds) != 1:
        raise ConfigurationError(
            f"{where}: write a `metric` ({', '.join(METRICS)}), `type: sql` with a `query`, or `type: custom` with an `implementation`"
        )
    if rule.type == "custom" and (rule.engine != ENGINE or measure not in MEASURES):
        raise ConfigurationError(
            f"{where}: a custom rule needs `engine: {ENGINE}` and an `implementation` with a `measure`: {', '.join(MEASURES)}"
        )
    if measure == OBJECTS_EXIST and column is None:
        raise ConfigurationError(f"{where}: {OBJECTS_EXIST} is about a column that holds the objects' addresses: put it under one")
    if column is None and rule.metric not in (None, "rowCount") and not arguments.get("properties"):
        raise ConfigurationError(f"{where}: {rule.metric} is about a column: put it under one, or name `arguments.properties`")
    if rule.metric == "invalidValues" and not {"validValues", "pattern"} & arguments.keys():
        raise ConfigurationError(f"{where}: invalidValues needs `arguments.validValues` or `arguments.pattern`")


def _per_partition(where: str, rule: DataQuality) -> bool:
    custom = {entry.property or "": entry.value for entry in rule.customProperties or []}
    if custom not in ({}, {"per": "partition"}, {"per": "table"}):
        raise ConfigurationError(f"{where}: the only custom property of a rule is `per`, with `partition` or `table`")
    if custom.get("per") == "partition" and rule.metric is None:
        raise ConfigurationError(f"{where}: only a library metric can be measured per partition")
    return bool(custom.get("per") == "partition")
