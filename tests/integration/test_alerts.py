"""Alerts from the real services to a Slack of ours and the stack's own mailbox.

A second Prometheus and Alertmanager on free ports have the running ones' settings, with short waits, so that nobody else is told. CPU and
disk are asked for so little that this machine fulfils it; the limits themselves are tested by `include/prometheus/tests`.
"""

from __future__ import annotations

import email.policy
import json
import re
import socket
import string
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
import yaml

from lakehouse.iceberg.figures import JOB
from lakehouse.iceberg.figures import figures as table_figures
from lakehouse.opensearch.figures import figures as shipment_figures
from lakehouse_provider.hooks.pushgateway import PushgatewayHook
from stack.airflow_api import polling
from stack.errors import StackError
from stack.installation import CONFIG, HOST, REPO, Installation

pytestmark = pytest.mark.integration

SOFTWARE = REPO / "var" / "software"
RULES = REPO / "include" / "prometheus"
FOUR = {"LakehouseCpuHigh", "LakehouseDiskFull", "LakehouseErrorLogs", "LakehouseQueryErrors"}
# In PromQL, and no metric.
WORDS = {"and", "or", "unless", "by", "on", "sum", "max", "min", "avg", "count", "rate", "increase", "time", "vector"}
ASK = """
import json, sys
from pathlib import Path
from stack.installation import Installation
from stack.services import alerting
print(json.dumps(alerting(Installation(Path(sys.argv[1]), int(sys.argv[2])))))
"""


class Inbox:
    """What was posted to each path, and what the stack's mailbox got since this began."""

    def __init__(self, mailbox: Path) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.folder, self.before = mailbox / "new", set((mailbox / "new").iterdir())
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                inbox.posts.append((self.path, json.loads(body)))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def slack(self, text: str) -> list[dict[str, Any]]:
        """Messages to Slack with this in their title or text."""
        found = [body["attachments"][0] for path, body in self.posts if path == "/slack"]
        return [message for message in found if text in message["title"] or text in message["text"]]

    def heartbeats(self) -> list[dict[str, Any]]:
        return [body for path, body in self.posts if path == "/heartbeat"]

    def mails(self, text: str) -> list[EmailMessage]:
        """Mails with this in their subject or HTML."""
        found = []
        for path in sorted(set(self.folder.iterdir()) - self.before):
            mail: EmailMessage = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)  # type: ignore[assignment]
            html = mail.get_body(("html",))
            if text in mail["Subject"] or (html and text in html.get_content()):
                found.append(mail)
        return found


class Pair:
    """The second Prometheus and Alertmanager."""

    def __init__(self, stack: Installation, folder: Path, inbox: Inbox) -> None:
        self.folder, self.inbox = folder, inbox
        prometheus, alertmanager = _free_ports(2)
        self.prometheus, self.alertmanager = f"http://{HOST}:{prometheus}", f"http://{HOST}:{alertmanager}"
        self._write_settings(stack, f"{HOST}:{alertmanager}")
        root = SOFTWARE / "alertmanager"
        commands = [
            (root, [root / "usr/bin/prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", "--cluster.listen-address="]),
            (folder, [SOFTWARE / "prometheus/usr/bin/prometheus", f"--config.file={folder}/prometheus.yml"]),
        ]
        commands[0][1].extend([f"--storage.path={folder}/alerts", f"--web.listen-address={HOST}:{alertmanager}"])
        commands[1][1].extend([f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address={HOST}:{prometheus}"])
        # What fires before it has found its Alertmanager is told again after this, by default a minute.
        commands[1][1].append("--rules.alert.resend-delay=2s")
        self.log = (folder / "log").open("wb")
        self.processes = [
            subprocess.Popen([str(part) for part in command], cwd=where, stdout=self.log, stderr=subprocess.STDOUT)
            for where, command in commands
        ]

    def _write_settings(self, stack: Installation, alertmanager: str) -> None:
        settings = yaml.safe_load((stack.etc / "prometheus" / "prometheus.yml").read_text())
        settings["global"] = {"scrape_interval": "3s", "evaluation_interval": "1s"}
        settings["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager]
        settings["rule_files"] = [f"{self.folder}/*.rules"]
        for path in RULES.glob("*.yml"):
            rules = yaml.safe_load(path.read_text())
            for group in rules["groups"]:
                group["interval"] = "1s"
                for rule in group["rules"]:
                    rule.pop("for", None)
                    if rule.get("alert") in ("LakehouseCpuHigh", "LakehouseDiskFull"):
                        rule["expr"] = re.sub(r"> [0-9.]+$", "> 0", rule["expr"])
            (self.folder / f"{path.stem}.rules").write_text(yaml.safe_dump(rules))
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(settings))

        addresses = self.folder / "state" / "alerting"
        addresses.mkdir(parents=True)
        (addresses / "slack_webhook_url").write_text(f"{self.inbox.url}/slack\n")
        (addresses / "heartbeat_url").write_text(f"{self.inbox.url}/heartbeat\n")
        python = REPO / "var" / "venvs" / "stack" / "bin" / "python"
        command = [python, "-c", ASK, self.folder / "state", str(stack.port_offset)]
        variables = json.loads(subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout)
        template = string.Template((CONFIG / "alertmanager" / "alertmanager.yml.tmpl").read_text())
        sending = yaml.safe_load(template.substitute(stack.variables | variables))
        for route in (sending["route"], *sending["route"]["routes"]):
            route |= {"group_wait": "1s", "group_interval": "1s"}
        sending["route"]["routes"][0]["repeat_interval"] = "2s"
        (self.folder / "alertmanager.yml").write_text(yaml.safe_dump(sending))

    def ask(self, query: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.prometheus}/api/v1/query", params={"query": query}, timeout=10).json()
        return list(answer["data"]["result"])

    def post(self, *alerts: dict[str, Any]) -> None:
        """Give Alertmanager alerts that no rule made."""
        requests.post(f"{self.alertmanager}/api/v2/alerts", json=alerts, timeout=10).raise_for_status()

    def inhibited(self, instance: str) -> bool:
        """Whether the alert of this instance is kept back by another one."""
        found = requests.get(f"{self.alertmanager}/api/v2/alerts", params={"filter": f'instance="{instance}"'}, timeout=10).json()
        return [bool(alert["status"]["inhibitedBy"]) for alert in found] == [True]

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(timeout=20)
        self.log.close()
        self.inbox.server.shutdown()
        self.inbox.server.server_close()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _until(what: str, met: Callable[[], Any], seconds: float = 120) -> Any:
    with polling(seconds, what) as ticks:
        for _ in ticks:
            try:
                if found := met():
                    return found
            except requests.ConnectionError:
                continue


@pytest.fixture(scope="module")
def pair(stack: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both, running, and past their first scrape of Trino."""
    if not all((SOFTWARE / name).exists() for name in ("prometheus", "alertmanager", "exporters")):
        pytest.skip("Prometheus and Alertmanager could not be had when the stack was installed")
    made = Pair(stack, tmp_path_factory.mktemp("alerts"), Inbox(stack.data / "mailbox"))
    try:
        _until("the second Prometheus has scraped nothing", lambda: made.ask("trino_execution_name_QueryManager_CompletedQueries"))
        yield made
    finally:
        made.stop()


def _query(stack: Installation, sql: str) -> str:
    """How a query ended."""
    headers = {"X-Trino-User": "alerts", "X-Trino-Catalog": "hive_prod"}
    answer = requests.post(f"http://{HOST}:{stack.ports['trino']}/v1/statement", data=sql, headers=headers, timeout=30).json()
    while address := answer.get("nextUri"):
        answer = requests.get(address, headers=headers, timeout=30).json()
    return str(answer["stats"]["state"])


def _opensearch(stack: Installation, method: str, path: str, *, user: str = "admin", **options: Any) -> requests.Response:
    auth = (user, stack.secrets[f"OPENSEARCH_{user.upper()}_PASSWORD"])
    url = f"https://{HOST}:{stack.ports['opensearch']}{path}"
    return requests.request(method, url, auth=auth, verify=str(stack.etc / "opensearch" / "ca.pem"), timeout=30, **options)


@pytest.fixture(scope="module")
def broken(stack: Installation, pair: Pair) -> Iterator[None]:
    """Sixty error lines within ten minutes, and as many queries that fail as go well."""
    index = f"logs-alerts{time.time_ns()}"
    now = datetime.now(UTC).isoformat()
    lines = [
        json.dumps(line) for _ in range(60) for line in ({"index": {}}, {"event_time": now, "level": "ERROR", "message": "secret text"})
    ]
    fields = {"event_time": {"type": "date"}, "level": {"type": "keyword"}}
    _opensearch(stack, "PUT", f"/{index}", json={"mappings": {"properties": fields}}).raise_for_status()
    headers = {"Content-Type": "application/x-ndjson"}
    sent = _opensearch(stack, "POST", f"/{index}/_bulk?refresh=true", data="\n".join(lines) + "\n", headers=headers)
    assert sent.json()["errors"] is False
    try:
        ended = [_query(stack, sql) for _ in range(12) for sql in ("SELECT * FROM no_such_schema.no_such_table", "SELECT 1")]
        assert ended == ["FAILED", "FINISHED"] * 12
        yield
    finally:
        _opensearch(stack, "DELETE", f"/{index}")


def test_every_target_of_the_running_prometheus_is_up(stack: Installation, pair: Pair) -> None:
    def healths() -> dict[str, str]:
        targets = requests.get(f"http://{HOST}:{stack.ports['prometheus']}/api/v1/targets", timeout=10).json()["data"]["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in targets}

    jobs = {"prometheus", "alertmanager", "node", "seaweedfs", "trino", "opensearch", "postgres", "logs", "pushgateway"}
    _until("not every target is up", lambda: healths() == dict.fromkeys(jobs, "up"))


def test_every_metric_that_a_rule_names_is_exported(stack: Installation, pair: Pair, connections: dict[str, Any], fresh_name: str) -> None:
    named: set[str] = set()
    for path in RULES.glob("*.yml"):
        for rule in (rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]):
            bare = re.sub(r"\b(by|on) *\([^)]*\)|\{[^}]*\}|\[[^]]*\]", " ", rule["expr"])
            named |= set(re.findall(r"[a-zA-Z_:][\w:]*", bare)) - WORDS
    assert {"up", "pg_up", "node_cpu_seconds_total", "lakehouse:table_age:seconds"} <= named
    # Tasks push these; here none has run yet.
    facts = {"table": f"test_db.{fresh_name}", "rows": 1, "committed_at": time.time()}
    shipped = {"source_table": f"test_db.{fresh_name}", "target": "logs-*", "rows_read": 1, "indexed": 1, "already_there": 0}
    shipped |= {"refused": 0, "bytes_sent": 1, "seconds": 1, "lag_rows": 0, "lag_seconds": 0}
    try:
        assert PushgatewayHook().push(JOB, {"table": fresh_name}, table_figures(facts))
        assert PushgatewayHook().push(fresh_name, {"target": fresh_name}, shipment_figures(shipped))
        # The only ones that need a Grafana.
        wanted = {name for name in named if not name.startswith(("grafana_", "lakehouse_grafana_"))}
        exported: set[str] = set()

        def all_exported() -> bool:
            exported.update(one["metric"]["__name__"] for one in pair.ask('{__name__!=""}'))
            return wanted <= exported

        with suppress(StackError):
            _until("a rule names a metric that nobody exports", all_exported)
        assert wanted - exported == set(), "a rule names a metric that nobody exports"
    finally:
        gateway = f"http://{HOST}:{stack.ports['pushgateway']}/metrics/job"
        requests.delete(f"{gateway}/{JOB}/table/{fresh_name}", timeout=10)
        requests.delete(f"{gateway}/{fresh_name}/target/{fresh_name}", timeout=10)


def test_cpu_disk_error_logs_and_failing_queries_are_told_to_slack_and_by_mail(pair: Pair, broken: None) -> None:
    _until(
        "an alert does not fire", lambda: {one["metric"]["alertname"] for one in pair.ask('ALERTS{alertstate="firing", in="both"}')} == FOUR
    )
    for name in sorted(FOUR):
        message = _until(f"Slack was not told of {name}", lambda name=name: pair.inbox.slack(name))[0]  # type: ignore[misc]
        assert message["title"].startswith("[FIRING 1] ")
        assert f"Runbook: docs/runbooks/alerts.md#{name.lower()}" in message["text"]
        mail = _until(f"no mail of {name} came", lambda name=name: pair.inbox.mails(name))[0]  # type: ignore[misc]
        assert (mail["To"], mail["From"]) == ("oncall@localhost", "alertmanager@localhost")
        assert "in Prometheus" in mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    (errors,) = pair.ask("lakehouse_error_logs_busiest_10m")
    assert f"{errors['value'][1]} error log lines within ten minutes" in pair.inbox.slack("LakehouseErrorLogs")[-1]["text"]
    # One message for one fault: what was told is not told again while it lasts.
    assert len(pair.inbox.mails("[FIRING 1] LakehouseQueryErrors")) == 1


def test_the_dead_mans_switch_is_heard_again_and_again_and_by_nobody_else(pair: Pair) -> None:
    beats = _until("the heartbeat service heard nothing twice", lambda: len(pair.inbox.heartbeats()) > 1 and pair.inbox.heartbeats())
    assert {alert["labels"]["alertname"] for beat in beats for alert in beat["alerts"]} == {"Watchdog"}
    assert pair.inbox.slack("Watchdog") == pair.inbox.mails("Watchdog") == []


def _alert(name: str, instance: str, **labels: str) -> dict[str, Any]:
    said = {"summary": f"{name} of {instance}", "description": "made by a test"}
    return {"labels": {"alertname": name, "instance": instance, "team": "lakehouse", "severity": "warning"} | labels, "annotations": said}


def test_while_grafana_evaluates_its_rules_its_alerts_are_its_to_send(pair: Pair, fresh_name: str) -> None:
    grafana, copy = _alert("GrafanaEvaluatesRules", "grafana"), _alert("LakehouseCopy", fresh_name, **{"in": "both"})
    pair.post(grafana)
    pair.post(copy, _alert("LakehouseOther", f"other-{fresh_name}"))
    _until("what only Prometheus has was not told", lambda: pair.inbox.slack(f"LakehouseOther of other-{fresh_name}"))
    _until("the copy is not inhibited", lambda: pair.inhibited(fresh_name))
    time.sleep(3)
    assert pair.inbox.slack(f"LakehouseCopy of {fresh_name}") == pair.inbox.mails(f"LakehouseCopy of {fresh_name}") == []
    # Grafana is gone: Alertmanager sends.
    pair.post(grafana | {"endsAt": datetime.now(UTC).isoformat()})
    _until("nobody was told after Grafana had gone", lambda: pair.inbox.slack(f"LakehouseCopy of {fresh_name}"))


def test_what_comes_from_outside_is_text_in_slack_and_in_mail(pair: Pair, fresh_name: str) -> None:
    hostile = f"<!channel> <https://evil.test|click> & <script>alert(1)</script> {fresh_name}"
    pair.post(_alert(f"Lakehouse{fresh_name}", hostile))
    message = _until("Slack was not told", lambda: pair.inbox.slack(f"Lakehouse{fresh_name}"))[0]
    assert "&lt;!channel&gt; &lt;https://evil.test|click&gt; &amp; &lt;script&gt;" in message["text"]
    assert not re.search("<[!@#h]", message["text"] + message["title"])
    mail = _until("no mail came", lambda: pair.inbox.mails(f"Lakehouse{fresh_name}"))[0]
    html = mail.get_body(("html",)).get_content()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_who_counts_the_lines_reads_none_of_them(stack: Installation, broken: None) -> None:
    options: dict[str, Any] = {"user": "metrics"}
    _until("the role logs_count is not there", lambda: _opensearch(stack, "GET", "/logs-*/_search", **options).status_code == 200)
    query = {"size": 100, "query": {"range": {"event_time": {"gt": "now-10m"}}}}
    found = _opensearch(stack, "POST", "/logs-*/_search", json=query, **options).json()["hits"]["hits"]
    assert found
    assert {name for hit in found for name in hit["_source"]} <= {"event_time", "level"}
    for method, path in (("PUT", "/logs-x/_doc/1"), ("DELETE", "/logs-*"), ("GET", "/_plugins/_security/api/roles")):
        assert _opensearch(stack, method, path, json={}, **options).status_code == 403


def test_amtool_takes_the_settings_and_routes_the_alerts(stack: Installation, pair: Pair) -> None:
    amtool = SOFTWARE / "alertmanager/usr/bin/amtool"
    settings = stack.etc / "alertmanager" / "alertmanager.yml"
    assert subprocess.run([amtool, "check-config", settings], capture_output=True, check=False).returncode == 0

    def receiver(*labels: str) -> str:
        command = [amtool, "config", "routes", "test", f"--config.file={settings}", *labels]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert receiver("alertname=Watchdog") == "heartbeat"
    assert receiver("alertname=GrafanaEvaluatesRules") == "nobody"
    assert {receiver(f"alertname={name}", "in=both") for name in FOUR} == {"on-call"}
