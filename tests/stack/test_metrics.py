"""Prometheus and its Pushgateway: where they listen and keep, and what is left out where they cannot be had."""

from __future__ import annotations

import json
import shutil
import string
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack.installation import CONFIG, HOST, REPO, Installation
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
print(json.dumps([found, given["WITHOUT_CONNECTIONS"].split(), services.alerting(Installation(Path(sys.argv[2]), 5))]))
"""


def ask(tmp_path: Path, *there: str) -> tuple[dict[str, Any], set[str], dict[str, str]]:
    """The stack's services where only `there` is unpacked, the connections that Airflow then does not get, and variables of templates.

    Asked in the stack tool's own environment, which has what it imports.
    """
    (tmp_path / "software").mkdir()
    for name in there:
        (tmp_path / "software" / name).mkdir()
    python = REPO / "var" / "venvs" / "stack" / "bin" / "python"
    command = [python, "-c", ASK, tmp_path / "software", tmp_path / "state"]
    result = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    services, absent, variables = json.loads(result.stdout)
    return services, set(absent), variables


def test_the_metrics_listen_on_loopback_alone_and_keep_their_figures_with_the_data(tmp_path):
    services, absent, _ = ask(tmp_path, "prometheus", "pushgateway", "alertmanager", "exporters")
    stack = Installation(tmp_path / "state", 5)
    for name in ("prometheus", "node_exporter", "pushgateway", "alertmanager", "opensearch_exporter", "postgres_exporter"):
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
    services, without, _ = ask(tmp_path, *there)
    assert services.keys() & {"prometheus", "pushgateway"} == set(there)
    assert without == {f"lakehouse_{name}" for name in absent}
    # config/airflow/provision.py takes each out of this file, so it must be there.
    connections = rendered(Installation(tmp_path / "state", 5)).etc / "connections.json"
    assert without <= set(json.loads(connections.read_text()))


def settings(stack: Installation, variables: dict[str, str], name: str) -> Any:
    """A service's settings as they are rendered with these variables."""
    rendered(stack)
    template = CONFIG / name.partition(".")[0] / f"{name}.tmpl"
    return yaml.safe_load(string.Template(template.read_text()).substitute(stack.variables | variables))


def test_prometheus_asks_what_could_be_had_and_leaves_pushed_figures_their_own_labels(tmp_path):
    _, _, variables = ask(tmp_path, "prometheus", "pushgateway")
    stack = Installation(tmp_path / "state", 5)
    found = settings(stack, variables, "prometheus.yml")
    jobs = {job["job_name"]: job for job in found["scrape_configs"]}
    assert jobs["pushgateway"]["static_configs"] == [{"targets": [f"{HOST}:{stack.ports['pushgateway']}"]}]
    assert [name for name, job in jobs.items() if job.get("honor_labels")] == ["pushgateway"]
    absent = [name for name, job in jobs.items() if job.get("static_configs") == [{"targets": []}]]
    assert absent == ["alertmanager", "opensearch", "postgres"]
    assert found["alerting"]["alertmanagers"] == [{"static_configs": [{"targets": []}]}]
    # No Grafana is delivered; its file is there for who has one.
    assert jobs["grafana"]["file_sd_configs"] == [{"files": [str(stack.etc / "prometheus" / "targets" / "grafana.json")]}]
    assert json.loads((stack.etc / "prometheus" / "targets" / "grafana.json").read_text()) == []


def test_alertmanager_tells_slack_and_the_heartbeat_service_where_there_is_an_address(tmp_path):
    _, _, variables = ask(tmp_path, "alertmanager")
    stack = Installation(tmp_path / "state", 5)
    without = {one["name"]: one for one in settings(stack, variables, "alertmanager.yml")["receivers"]}
    assert (without["on-call"]["slack_configs"], without["heartbeat"]["webhook_configs"]) == ([], [])
    assert [mail["to"] for mail in without["on-call"]["email_configs"]] == ["oncall@localhost"]
    (stack.state / "alerting").mkdir()
    (stack.state / "alerting" / "slack_webhook_url").write_text("https://hooks.slack.test/T/B/secret\n")
    (stack.state / "alerting" / "heartbeat_url").write_text("https://heartbeat.test/ping\n")
    shutil.rmtree(tmp_path / "software")
    _, _, variables = ask(tmp_path, "alertmanager")
    receivers = {one["name"]: one for one in settings(stack, variables, "alertmanager.yml")["receivers"]}
    (slack,) = receivers["on-call"]["slack_configs"]
    assert slack["api_url_file"] == str(stack.state / "alerting" / "slack_webhook_url")
    # A webhook's address is a secret: Alertmanager reads it out of its file.
    assert "secret" not in json.dumps(receivers)
    assert receivers["heartbeat"]["webhook_configs"] == [{"url": "https://heartbeat.test/ping", "send_resolved": False}]
