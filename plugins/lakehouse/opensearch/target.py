"""Where a table's rows go in OpenSearch, and under which limits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.exceptions import ConfigurationError

if TYPE_CHECKING:
    from lakehouse.contracts import Contract

SNAPSHOT_FIELD = "snapshot_id"


def daily_indices(prefix: str, indices: Iterable[str]) -> dict[str, date]:
    """Those named `<prefix>YYYY.MM.DD`, each with its day; `logs-team-2026.11.20` and `logs-2026.13.01` are somebody else's."""
    days: dict[str, date] = {}
    for index in indices:
        with suppress(ValueError):
            day = date.fromisoformat(index.removeprefix(prefix).replace(".", "-"))
            if index == f"{prefix}{day:%Y.%m.%d}":
                days[index] = day
    return days


@dataclass(frozen=True)
class Target:
    """Daily indices of one table.

    Attributes:
        prefix: the indices are `<prefix>YYYY.MM.DD`, by the event's day in UTC, so that a row meets its earlier self there.
        event_time: the column with the time that decides the day.
        json_columns: columns of text that hold a JSON object, opened into fields (see `lakehouse.opensearch.json_objects`); text
            that is over the limits is kept as `<column>_text`.
        lifted: field of the document -> `column.key` of an opened column whose text is repeated there.
        template: file of the indices' template; it says which fields have plain types.
        max_new_indices: a run that would make more stops: event times that are all over the years are a fault of the source.
    """

    prefix: str
    event_time: str
    template: Path
    json_columns: tuple[str, ...] = ()
    lifted: Mapping[str, str] = field(default_factory=dict)
    max_new_indices: int = 40

    @property
    def pattern(self) -> str:
        """All of them."""
        return f"{self.prefix}*"

    def index_of(self, day: str) -> str:
        """The index of a day `YYYY.MM.DD`."""
        return self.prefix + day

    def daily(self, indices: Iterable[str]) -> dict[str, date]:
        """The target's own indices among those, each with its day."""
        return daily_indices(self.prefix, indices)

    def mapping(self) -> dict[str, Any]:
        """The template's mapping."""
        found: dict[str, Any] = json.loads(self.template.read_text())["template"]["mappings"]
        return found

    def plain_fields(self) -> dict[str, frozenset[str]]:
        """By JSON column, the keys that the template maps to plain types: an object there would be refused by the index."""
        mapped = self.mapping()["properties"]
        return {
            column: frozenset(key for key, field in mapped.get(column, {}).get("properties", {}).items() if "properties" not in field)
            for column in self.json_columns
        }

    def fields(self, contract: Contract) -> dict[str, str]:
        """Every field of a document with its Iceberg type, as it comes from a table's contract.

        Raises:
            ConfigurationError: the table lacks a column that the target names, or two things would be one field.
        """
        types = {column.name: column.type for column in contract.columns}
        if len(contract.primary_key) == 1:  # It is the document's id.
            del types[contract.primary_key[0]]
        opened = {field: kind for name in self.json_columns for field, kind in ((name, "struct<>"), (f"{name}_text", "string"))}
        wanted = {self.event_time, *self.json_columns, *(source.partition(".")[0] for source in self.lifted.values())}
        if missing := sorted(wanted - types.keys()):
            raise ConfigurationError(f"{contract.table} has no columns {missing}, which {self.pattern} needs")
        made = [*(f"{name}_text" for name in self.json_columns), *self.lifted]
        if double := sorted(name for name in made if name in types or made.count(name) > 1):
            raise ConfigurationError(
                f"{contract.table} has columns {double}, and {self.pattern} would make fields of that name out of others"
            )
        if SNAPSHOT_FIELD not in types and self.mapping()["properties"].get(SNAPSHOT_FIELD, {}).get("type") != "keyword":
            raise ConfigurationError(f"{self.template.name}: map {SNAPSHOT_FIELD} as keyword; what a run indexed is found by it")
        return {SNAPSHOT_FIELD: "string"} | types | opened | dict.fromkeys(self.lifted, "string")
