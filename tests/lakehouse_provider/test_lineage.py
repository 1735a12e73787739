"""Lineage: files of a day each, and the picture from them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Dataset, Job, Run, RunEvent, RunState

from lakehouse_provider.lineage import Edge, edges, mermaid

RUN = Run("0190aaaa-1111-7222-8333-444455556666")


def event(job: str, state: RunState, inputs: list[str], outputs: list[str], namespace: str = "lakehouse") -> RunEvent:
    """An event as Airflow's provider makes it."""
    return RunEvent(
        eventTime="2026-11-24T00:00:00Z",
        producer="https://example.test",
        run=RUN,
        job=Job("lakehouse", job),
        eventType=state,
        inputs=[Dataset(namespace, name) for name in inputs],
        outputs=[Dataset(namespace, name) for name in outputs],
    )


@pytest.fixture
def client(tmp_path: Path) -> OpenLineageClient:
    """A client with our transport, made as Airflow's provider makes it."""
    return OpenLineageClient(
        config={"transport": {"type": "lakehouse_provider.lineage.DailyFiles", "folder": str(tmp_path / "lineage"), "days": 2}}
    )


def test_a_day_has_a_file_and_old_ones_go(client: OpenLineageClient, tmp_path: Path) -> None:
    (tmp_path / "lineage").mkdir()
    (tmp_path / "lineage" / "2020-01-01.jsonl").write_text("{}\n")
    for state in (RunState.START, RunState.COMPLETE):
        client.emit(event("ship_logs.reconcile", state, ["raw_logs"], ["opensearch_logs"]))

    today = tmp_path / "lineage" / f"{datetime.now(UTC).date()}.jsonl"
    assert [path.name for path in (tmp_path / "lineage").iterdir()] == [today.name]
    assert [json.loads(line)["eventType"] for line in today.read_text().splitlines()] == ["START", "COMPLETE"]
    assert today.stat().st_mode & 0o777 == 0o600


def test_the_picture_has_what_ended_well_and_is_ours(client: OpenLineageClient, tmp_path: Path) -> None:
    client.emit(event("ship_logs.reconcile", RunState.COMPLETE, ["raw_logs"], ["opensearch_logs"]))
    client.emit(event("ship_logs.reconcile", RunState.FAIL, ["raw_logs"], ["nothing"]))
    client.emit(event("other.task", RunState.COMPLETE, ["elsewhere"], [], namespace="s3://bucket"))

    found = edges(tmp_path / "lineage")
    assert found == {Edge("ship_logs", "raw_logs", writes=False), Edge("ship_logs", "opensearch_logs", writes=True)}
    assert mermaid(found) == (
        "flowchart LR\n"
        "  a_raw_logs[(raw_logs)] --> ship_logs([ship_logs])\n"
        "  ship_logs([ship_logs]) --> a_opensearch_logs[(opensearch_logs)]\n"
    )
