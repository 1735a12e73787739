"""The tasks' own figures, through the real Pushgateway into the real Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from lakehouse.opensearch.figures import figures, grouping
from lakehouse_provider.hooks.pushgateway import PushgatewayHook
from stack.airflow_api import polling
from stack.installation import Installation
from tests.conftest import run_stack

pytestmark = pytest.mark.integration

SHIPPED_AT = 1_790_000_000.0


@pytest.fixture
def facts(stack: Installation, fresh_name: str) -> Iterator[dict[str, Any]]:
    """A shipment of a table of its own; its group is taken off the gateway afterwards."""
    yield {
        "source_table": f"test_db.{fresh_name}",
        "target": f"logs-{fresh_name}-*",
        "rows_read": 100,
        "indexed": 80,
        "already_there": 15,
        "refused": 5,
        "reasons": {"outside_retention": 3, 'odd "reason" \\ of\nits own': 2},
        "bytes_sent": 12_345,
        "seconds": 4.0,
        "lag_rows": 7,
        "lag_seconds": 60.5,
    }
    group = f"/metrics/job/{fresh_name}/source_table/test_db.{fresh_name}/target/logs-{fresh_name}-*"
    assert requests.delete(_url(stack, "pushgateway", group), timeout=10).status_code == 202


def test_a_shipments_figures_are_found_in_prometheus(connections: dict[str, Any], stack: Installation, facts: dict[str, Any]) -> None:
    job = facts["source_table"].removeprefix("test_db.")
    assert PushgatewayHook().push(job, grouping(facts), figures(facts, now=SHIPPED_AT))
    # Prometheus asks every 15 s.
    with polling(60, f"Prometheus has no figures of {job}") as ticks:
        for _ in ticks:
            if found := _in_prometheus(stack, job):
                break
    assert found == _expected(facts)


def test_the_next_shipment_replaces_the_figures_and_a_restart_keeps_them(
    connections: dict[str, Any], stack: Installation, facts: dict[str, Any]
) -> None:
    job = facts["source_table"].removeprefix("test_db.")
    other = facts | {"target": "logs-other-*"}
    assert PushgatewayHook().push(job, grouping(facts), figures(facts, now=SHIPPED_AT))
    assert PushgatewayHook().push(job, grouping(other), figures(other, now=SHIPPED_AT))
    clean = facts | {"refused": 0, "indexed": 85, "reasons": {}}
    assert PushgatewayHook().push(job, grouping(clean), figures(clean, now=SHIPPED_AT))
    try:
        assert _on_the_gateway(stack, clean["target"]) == _expected(clean)
        assert _on_the_gateway(stack, other["target"]) == _expected(other)
        run_stack("stop", "pushgateway")
        assert PushgatewayHook().push(job, grouping(facts), figures(facts)) is False
        run_stack("start", "pushgateway")
        with polling(30, "the Pushgateway did not come back") as ticks:
            for _ in ticks:
                if _answers(stack):
                    break
        assert _on_the_gateway(stack, clean["target"]) == _expected(clean)
    finally:
        run_stack("start", "pushgateway")
        group = f"/metrics/job/{job}/source_table/{facts['source_table']}/target/logs-other-*"
        requests.delete(_url(stack, "pushgateway", group), timeout=10)


def _url(stack: Installation, service: str, path: str) -> str:
    return f"http://127.0.0.1:{stack.ports[service]}{path}"


def _answers(stack: Installation) -> bool:
    try:
        return requests.get(_url(stack, "pushgateway", "/-/ready"), timeout=5).ok
    except requests.ConnectionError:
        return False


def _key(labels: dict[str, str]) -> str:
    own = labels.get("outcome") or labels.get("reason")
    return labels["__name__"].removeprefix("lakehouse_shipment_") + (f"{{{own}}}" if own else "")


def _in_prometheus(stack: Installation, job: str) -> dict[str, float]:
    query = {"query": f'{{job="{job}", __name__=~"lakehouse_.*"}}'}
    result = requests.get(_url(stack, "prometheus", "/api/v1/query"), params=query, timeout=10).json()["data"]["result"]
    assert not [series for series in result if series["metric"].keys() & {"instance", "exported_job"}]
    return {_key(series["metric"]): float(series["value"][1]) for series in result}


def _on_the_gateway(stack: Installation, target: str) -> dict[str, float]:
    groups = requests.get(_url(stack, "pushgateway", "/api/v1/metrics"), timeout=10).json()["data"]
    (group,) = [group for group in groups if group["labels"].get("target") == target]
    return {
        _key(metric["labels"] | {"__name__": name}): float(metric["value"])
        for name, family in group.items()
        if name.startswith("lakehouse_")
        for metric in family["metrics"]
    }


def _expected(facts: dict[str, Any]) -> dict[str, float]:
    reasons = {f"refused_rows{{{reason.replace(chr(10), '?')}}}": float(rows) for reason, rows in facts["reasons"].items()}
    return reasons | {
        "rows{indexed}": facts["indexed"],
        "rows{already_there}": facts["already_there"],
        "rows{refused}": facts["refused"],
        "rows_per_second": 25,
        "bytes": 12_345,
        "duration_seconds": 4,
        "last_success_timestamp_seconds": SHIPPED_AT,
        "lag_rows": 7,
        "lag_seconds": 60.5,
    }
