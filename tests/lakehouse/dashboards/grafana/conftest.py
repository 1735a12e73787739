from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault_proxy import FaultProxy
from tests.grafana.server import GrafanaServer
from tests.lakehouse.dashboards.grafana.folder import FILES, Grafana


@pytest.fixture(params=["12.4.0", "13.2.1"])
def grafana(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Grafana]:
    """The small folder and an empty Grafana of each version."""
    with GrafanaServer(request.param) as server, FaultProxy(server.url) as proxy:
        made = Grafana(tmp_path, server, proxy)
        for path, document in FILES.items():
            made.put(path, document)
        yield made
