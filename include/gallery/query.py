"""What a person asks for: filters and an order, made into what the table can decide by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from pyiceberg.expressions import AlwaysFalse, AlwaysTrue, And, BooleanExpression, Or
from pyiceberg.table import Table

from lakehouse.exceptions import ConfigurationError
from lakehouse.iceberg.filters import at_least, at_most, one_of, starts_with, within_days
from lakehouse.iceberg.page import Selection
from lakehouse.images.keys import SUFFIXES

PAGE_SIZE = 20
# What is offered besides the values that the manifests name.
KNOWN = {"tag": ("analytics", "product", "user"), "source_system": ("api", "batch", "manual"), "mime_type": tuple(SUFFIXES)}
ORDERS: Mapping[str, tuple[str, bool]] = {
    "Newest first": ("upload_time", True),
    "Oldest first": ("upload_time", False),
    "Largest file first": ("file_size", True),
    "Smallest file first": ("file_size", False),
    "Widest first": ("width", True),
    "Highest first": ("height", True),
    "Tag": ("tag", False),
    "Format": ("mime_type", False),
}
FIELDS = (
    *("image_id", "s3_path", "tag", "mime_type", "width", "height", "frames", "file_size", "upload_time", "created_at"),
    *("source_system", "source", "licence", "checksum", "source_checksum", "perceptual_hash", "private_metadata"),
)


@dataclass(frozen=True)
class Filters:
    """Which images; days are UTC and both included, sizes are in bytes and pixels, texts match in any case, ids from their beginning."""

    tag: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None
    min_bytes: int | None = None
    max_bytes: int | None = None
    source_system: tuple[str, ...] = ()
    mime_type: tuple[str, ...] = ()
    image_id: str = ""
    checksum: str = ""
    source: str = ""
    licence: str = ""
    min_width: int | None = None
    max_width: int | None = None
    min_height: int | None = None
    max_height: int | None = None

    def chosen(self) -> dict[str, Any]:
        """Those that are set, as plain data."""
        blank = Filters()
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: _plain(value) for name, value in values.items() if value != getattr(blank, name)}

    @classmethod
    def of(cls, chosen: Mapping[str, Any]) -> Filters:
        """The filters that gave this plain data.

        Raises:
            ConfigurationError: it has a name or a value that no filter has.
        """
        try:
            made: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in chosen.items()}
            return cls(**made | {name: date.fromisoformat(chosen[name]) for name in ("first", "last") if name in chosen})
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"these are no filters of the gallery: {error}") from error

    def select(self, table: Table, snapshot_id: int | None) -> Selection:
        """The images; one without a value, or in a table without the column, does not match."""
        there = set(table.schema().column_names)
        texts = {column: text for column, text in (("source", self.source), ("licence", self.licence)) if text}
        condition: BooleanExpression = AlwaysTrue()
        for column, part in self._parts(table):
            condition = And(condition, part if column in there else AlwaysFalse())
        if not there.issuperset(texts):
            condition, texts = AlwaysFalse(), {}
        return Selection(table, condition, snapshot_id, texts)

    def _parts(self, table: Table) -> list[tuple[str, BooleanExpression]]:
        parts: list[tuple[str, BooleanExpression]] = []
        for column in ("tag", "source_system", "mime_type"):
            if values := getattr(self, column):
                parts.append((column, one_of(column, values)))
        if self.first or self.last:
            parts.append(("upload_time", within_days(table, "upload_time", self.first, self.last)))
        for column, low, high in (
            ("file_size", self.min_bytes, self.max_bytes),
            ("width", self.min_width, self.max_width),
            ("height", self.min_height, self.max_height),
        ):
            if low is not None:
                parts.append((column, at_least(column, low)))
            if high is not None:
                parts.append((column, at_most(column, high)))
        if self.image_id:
            parts.append(("image_id", starts_with("image_id", self.image_id.lower())))
        if self.checksum:
            stored = starts_with("checksum", self.checksum.lower())
            as_it_came = "source_checksum" in table.schema().column_names
            parts.append(("checksum", Or(stored, starts_with("source_checksum", self.checksum.lower())) if as_it_came else stored))
        return parts


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value
