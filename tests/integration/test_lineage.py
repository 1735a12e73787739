"""What a pipeline run tells OpenLineage, beside what docs/lineage.md shows."""

from __future__ import annotations

from typing import Any

import pytest

from lakehouse_provider.lineage import edges
from stack.installation import REPO, Installation

pytestmark = pytest.mark.integration


def test_the_picture_in_the_docs_is_what_a_pipeline_run_told(stack: Installation, pipeline: dict[str, Any]) -> None:
    found = edges(stack.data / "lineage")
    shown = (REPO / "docs" / "lineage.md").read_text()

    arrows = [
        f"{edge.dag_id}([{edge.dag_id}]) --> a_{edge.asset}[" if edge.writes else f"a_{edge.asset}[({edge.asset})] --> {edge.dag_id}(["
        for edge in found
    ]
    told = {edge.dag_id for edge in found}
    assert told <= {dag["dag_id"] for dag in pipeline["dags"]}
    of_the_pipeline = [arrow for arrow in arrows if "reconcile_images" not in arrow]
    assert [arrow for arrow in of_the_pipeline if arrow not in shown] == []
    assert shown.count(" --> ") == len(of_the_pipeline)
