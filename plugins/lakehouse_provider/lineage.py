"""OpenLineage: which assets a task read and wrote, files of the events, and a picture of them.

Airflow's OpenLineage provider knows datasets by the URIs of assets; ours have names alone. Source: OpenLineage's naming conventions,
https://openlineage.io/docs/spec/naming: a dataset is a name in a namespace.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.providers.openlineage.extractors.base import BaseExtractor, OperatorLineage
from airflow.sdk import Asset
from attr import define
from openlineage.client.event_v2 import Dataset
from openlineage.client.serde import Serde
from openlineage.client.transport.transport import Config, Transport

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

NAMESPACE = "lakehouse"


def lineage_of(operator: BaseOperator) -> OperatorLineage[Dataset, Any]:
    """The assets among a task's inlets and outlets."""

    def datasets(assets: Iterable[Any]) -> list[Dataset]:
        return [Dataset(NAMESPACE, asset.name) for asset in assets if isinstance(asset, Asset)]

    return OperatorLineage(inputs=datasets(operator.inlets), outputs=datasets(operator.outlets))


class TaskFlowExtractor(BaseExtractor):
    """Functions with `@task`, which are no operators of ours; Airflow's own extractor of them tells their source code only."""

    @classmethod
    def get_operator_classnames(cls) -> list[str]:
        """Airflow's class of such a task."""
        return ["_PythonDecoratedOperator"]

    def _execute_extraction(self) -> OperatorLineage[Dataset, Any]:
        return lineage_of(self.operator)


@define
class DailyFilesConfig(Config):
    """`folder` of the files, and for how many `days` they stay."""

    folder: str
    days: int = 30

    @classmethod
    def from_dict(cls, params: dict[str, Any]) -> DailyFilesConfig:
        """From Airflow's setting `[openlineage] transport`."""
        return cls(params["folder"], int(params.get("days", 30)))


class DailyFiles(Transport):
    """One file a day, `2026-11-24.jsonl`, and the oldest go: OpenLineage's own file transport writes one file that only grows."""

    kind = "daily_files"
    config_class = DailyFilesConfig

    def __init__(self, config: DailyFilesConfig) -> None:
        self._folder, self._days = Path(config.folder), config.days

    def emit(self, event: Any) -> None:
        """Append one line; many tasks do it at once, each in one write."""
        today = datetime.now(UTC).date()
        path = self._folder / f"{today}.jsonl"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._forget(today - timedelta(days=self._days))
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, f"{Serde.to_json(event)}\n".encode())
        finally:
            os.close(handle)

    def _forget(self, before: date) -> None:
        for path in self._folder.glob("*.jsonl"):
            if path.stem < before.isoformat():
                path.unlink(missing_ok=True)


class Edge(NamedTuple):
    """A DAG's task that reads an asset (`writes` is false) or writes it."""

    dag_id: str
    asset: str
    writes: bool


def edges(folder: Path) -> set[Edge]:
    """What tasks that ended well read and wrote, of every day in the folder of `DailyFiles`."""
    found = set()
    for path in folder.glob("*.jsonl"):
        with path.open() as lines:
            for event in map(json.loads, lines):
                if event.get("eventType") == "COMPLETE":
                    dag_id = event["job"]["name"].partition(".")[0]
                    for key, writes in (("inputs", False), ("outputs", True)):
                        datasets = event.get(key) or []
                        found |= {Edge(dag_id, dataset["name"], writes) for dataset in datasets if dataset["namespace"] == NAMESPACE}
    return found


def mermaid(found: Iterable[Edge]) -> str:
    """A flowchart: rounded DAGs, assets as cylinders (https://mermaid.js.org/syntax/flowchart.html)."""
    lines = {f"  {edge.dag_id}([{edge.dag_id}]) --> a_{edge.asset}[({edge.asset})]" if edge.writes
             else f"  a_{edge.asset}[({edge.asset})] --> {edge.dag_id}([{edge.dag_id}])" for edge in found}  # fmt: skip
    return "\n".join(["flowchart LR", *sorted(lines)]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(mermaid(edges(Path(sys.argv[1]))))
