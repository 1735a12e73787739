"""The file of service levels, and what a measurement of one is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lakehouse.exceptions import ConfigurationError, LakehouseError

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from lakehouse.dashboards.grafana.client import GrafanaClient
    from lakehouse.dashboards.superset.client import SupersetClient
    from lakehouse.http import HttpClient
    from lakehouse.objects import ObjectStore
    from lakehouse.opensearch.client import OpenSearchClient
    from lakehouse.sql import Cursor


class NotHereError(LakehouseError):
    """The installation has no such service: the level is left out, rather than missed."""


@dataclass(frozen=True)
class ServiceLevel:
    """One line of the file: `measured` must stay below `target`, or above it when `above` is true.

    Attributes:
        objective: share of a month's measurements that should meet the target; the rest is the month's error budget.
    """

    name: str
    description: str
    kind: str
    target: float
    unit: str
    above: bool = False
    severity: str = "warning"
    objective: float = 0.95
    options: Mapping[str, Any] | None = None

    def met(self, measured: float) -> bool:
        """Whether the measured value keeps the level."""
        return measured > self.target if self.above else measured < self.target


@dataclass(frozen=True)
class Measurement:
    """A level's measured value; None, with the reason in `detail`, when it could not be measured."""

    name: str
    target: float
    measured: float | None
    unit: str
    met: bool | None
    detail: str
    objective: float

    def as_row(self, run_id: str, measured_at: datetime) -> dict[str, Any]:
        """The row of `ops_db.service_level_events`."""
        return asdict(self) | {"run_id": run_id, "measured_at": measured_at}

    def as_line(self) -> str:
        """What people read in the log."""
        if self.met is None:
            return f"{self.name}: {self.detail}"
        verdict = "met" if self.met else "MISSED"
        return f"{self.name}: {verdict}, {self.measured:g} {self.unit}, target {self.target:g} {self.unit} ({self.detail})"


@dataclass(frozen=True)
class Services:
    """What is measured against; None where the installation has none.

    Attributes:
        superset: a user who may see the boards.
        superset_ops: a user of the operations board.
        gallery: the pages of the image gallery.
        memory_pid: root of the stack's process tree, if it runs on this machine.
        disk_path: where the stack keeps its state.
    """

    cursor: Cursor
    superset: SupersetClient
    opensearch: OpenSearchClient
    memory_pid: int | None = None
    disk_path: Path = Path("/")
    catalog: Catalog | None = None
    store: ObjectStore | None = None
    gallery: HttpClient | None = None
    grafana: GrafanaClient | None = None
    superset_ops: SupersetClient | None = None


def read_levels(path: Path, kinds: Collection[str]) -> list[ServiceLevel]:
    """The levels of a file.

    Raises:
        ConfigurationError: an entry has an unknown key or kind, or an impossible objective.
    """
    levels: list[ServiceLevel] = []
    for entry in yaml.safe_load(path.read_text())["service_levels"]:
        try:
            level = ServiceLevel(**entry)
        except TypeError as error:
            raise ConfigurationError(f"{path}: {entry.get('name')}: {error}") from error
        if level.kind not in kinds:
            raise ConfigurationError(f"{path}: {level.name}: kind {level.kind!r} is not one of {', '.join(sorted(kinds))}")
        if level.severity not in ("warning", "error"):
            raise ConfigurationError(f"{path}: {level.name}: severity {level.severity!r} is neither warning nor error")
        if not 0 < level.objective < 1:
            raise ConfigurationError(f"{path}: {level.name}: objective {level.objective} is no share between 0 and 1")
        if any(level.name == other.name for other in levels):
            raise ConfigurationError(f"{path}: {level.name} stands there twice")
        levels.append(level)
    return levels
