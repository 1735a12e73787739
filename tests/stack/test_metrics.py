"""Prometheus and its Pushgateway: where they listen and keep, and what is left out where they cannot be had."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack.installation import HOST, REPO, Installation
from tests.stack.test_installation import rendered

ASK = """
import json, sys
from pathlib import Path
from stack import services, software
from stack.installation import Installation

software.SOFTWARE, software.spark_java_home = Path(sys.argv[1]), lambda: Path("/nowhere")
given = {}
sys.modules["stack.services.airflow"].check_call = lambda command, env, log: given.update(env)
waves = services.waves(Installation(Path(sys.argv[2]), 5))
next(service for service in waves[1] if service.name == "airflow_api").prepare()
found = {service.name: [service.command, str(service.directory), service.ports] for wave in waves for service in wave}
print(json.dumps([found, given["WITHOUT_CONNECTIONS"].split()]))
"""


def ask(tmp_path: Path, *there: str) -> tuple[dict[str, Any], set[str]]:
    """The stack's services where only `there` is unpacked, and the connections that Airflow then does not get.

    Asked in the stack tool's own environment, which has what it imports.
    """
    (tmp_path / "software").mkdir()
    for name in there:
        (tmp_path / "software" / name).mkdir()
    python = REPO / "var" / "venvs" / "stack" / "bin" / "python"
    command = [python, "-c", ASK, tmp_path / "software", tmp_path / "state"]
    result = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    services, absent = json.loads(result.stdout)
    return services, set(absent)


def test_the_metrics_listen_on_loopback_alone_and_keep_their_figures_with_the_data(tmp_path):
    services, absent = ask(tmp_path, "prometheus", "pushgateway")
    stack = Installation(tmp_path / "state", 5)
    for name in ("prometheus", "node_exporter", "pushgateway"):
        command, _, ports = services[name]
        assert [part for part in command if part.startswith("--web.listen")] == [f"--web.listen-address={HOST}:{stack.ports[name]}"]
        assert ports == [name]
    command, directory, _ = services["pushgateway"]
    assert directory == str(stack.data / "pushgateway")
    assert f"--persistence.file={directory}/figures" in command
    assert absent == set()


@pytest.mark.parametrize(
    ("there", "absent"),
    [((), {"prometheus", "pushgateway"}), (("prometheus",), {"pushgateway"})],
    ids=["nothing could be had", "installed before there was a gateway"],
)
def test_what_could_not_be_had_is_no_service_and_airflow_gets_no_connection_to_it(tmp_path, there, absent):
    services, without = ask(tmp_path, *there)
    assert services.keys() & {"prometheus", "pushgateway"} == set(there)
    assert without == {f"lakehouse_{name}" for name in absent}
    # config/airflow/provision.py takes each out of this file, so it must be there.
    connections = rendered(Installation(tmp_path / "state", 5)).etc / "connections.json"
    assert without <= set(json.loads(connections.read_text()))


def test_prometheus_asks_the_pushgateway_and_leaves_the_jobs_their_own_labels(tmp_path):
    stack = rendered(Installation(tmp_path / "state", 5))
    jobs = {job["job_name"]: job for job in yaml.safe_load((stack.etc / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]}
    assert jobs["pushgateway"]["static_configs"] == [{"targets": [f"{HOST}:{stack.ports['pushgateway']}"]}]
    assert [name for name, job in jobs.items() if job.get("honor_labels")] == ["pushgateway"]
