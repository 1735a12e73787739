"""From refused to indexed, through the real scheduler: what on-call does when OpenSearch refused rows for its own fault."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lakehouse.opensearch.client import OpenSearchClient
from stack.airflow_api import AirflowApi, polling
from stack.installation import Installation
from stack.report import query
from tests.integration.airflow_runs import run_to_end

pytestmark = pytest.mark.integration

INDEX = f"logs-{datetime.now(UTC) - timedelta(days=3):%Y.%m.%d}"
ROWS = 7


@pytest.fixture
def admin(connections: dict[str, Any]) -> OpenSearchClient:
    from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook

    return LakehouseOpenSearchHook("lakehouse_opensearch_admin").client


@pytest.fixture
def broken_index(admin: OpenSearchClient) -> Iterator[str]:
    """The index of a day that no sample line has, with a default pipeline that is not there: each document is refused with 400."""
    admin.request("PUT", f"/{INDEX}", json={"settings": {"index.default_pipeline": "is-not-there"}})
    yield INDEX
    admin.request("PUT", f"/{INDEX}/_settings", json={"index.default_pipeline": None})


def test_rows_refused_for_a_fault_of_the_index_are_sent_again_once_it_is_cured(
    stack: Installation, api: AirflowApi, admin: OpenSearchClient, store: Any, pipeline: dict[str, Any], broken_index: str
) -> None:
    moment = datetime.now(UTC) - timedelta(days=3)
    lines = "".join(f'{{"event_time": "{moment.isoformat()}", "level": "INFO", "message": "line {n}"}}\n' for n in range(ROWS))
    store.put("landing/logs/refused-at-first.jsonl", lines.encode(), "application/x-ndjson")
    assert run_to_end(api, "bronze_raw_logs").state == "success"
    # The event of raw_logs may have started a run of its own: one of the two ships the lines.
    run_to_end(api, "ship_logs")
    where = "target = 'logs-*' AND detail = 'pipeline with id [is-not-there] does not exist'"
    with polling(120, "the refused lines are not in ops_db.refused_records") as ticks:
        for _ in ticks:
            if query(stack, f"SELECT count(*), sum(records) FROM ops_db.refused_records WHERE {where}") == [[ROWS, ROWS]]:
                break
    assert admin.count(broken_index) == 0

    admin.request("PUT", f"/{broken_index}/_settings", json={"index.default_pipeline": None})
    run = run_to_end(api, "redrive_refused", {"reason": "illegal_argument_exception"}, answer="Reject")
    assert run.state == "success"
    assert f"Send {ROWS} refused log lines again?" in run.asked["approve"]["subject"]
    assert "illegal_argument_exception" in run.asked["approve"]["body"]
    assert query(stack, "SELECT count(*) FROM ops_db.redrives WHERE target = 'logs-*'") == [[0]]

    assert run_to_end(api, "redrive_refused", {"reason": "illegal_argument_exception"}, answer="Approve").state == "success"
    assert query(stack, "SELECT outcome, count(*) FROM ops_db.redrives WHERE target = 'logs-*' GROUP BY 1") == [["indexed", ROWS]]
    assert admin.count(broken_index) == ROWS

    # Nothing is open any more: nobody is asked.
    assert run_to_end(api, "redrive_refused").state == "success"
    assert query(stack, "SELECT count(*) FROM ops_db.redrives WHERE target = 'logs-*'") == [[ROWS]]
