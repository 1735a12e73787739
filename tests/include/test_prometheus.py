from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from lakehouse.contracts import load

REPO = Path(__file__).resolve().parent.parent.parent
GROUPS = yaml.safe_load((REPO / "include" / "prometheus" / "alerts.yml").read_text())["groups"]
RULES = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
SILENT = {"Watchdog", "GrafanaEvaluatesRules"}


@pytest.mark.parametrize("name", RULES.keys() - SILENT)
def test_an_alert_says_what_and_what_to_do_and_leads_to_its_part_of_the_page(name):
    rule = RULES[name]
    assert rule["labels"]["team"] == "lakehouse"
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/alerts.md#{name.lower()}"
    assert f"\n### {name}\n" in (REPO / "docs" / "runbooks" / "alerts.md").read_text()


def test_a_table_is_late_when_its_contract_says_so():
    promised = {}
    for path in (REPO / "include" / "contracts").glob("*.odcs.yaml"):
        for level in yaml.safe_load(path.read_text()).get("slaProperties") or ():
            if level["property"] == "freshness":
                assert level["unit"] == "h"
                promised[load(path).table] = level["value"]
    limits = re.findall(r'table="([\w.]+)"\} > (\d+) \* 3600', RULES["LakehouseTableStale"]["expr"])
    assert {table: int(hours) for table, hours in limits} == promised


def test_the_four_that_grafana_has_too_are_marked_and_have_its_names_and_labels():
    marked = {name: rule["labels"] for name, rule in RULES.items() if rule["labels"].get("in") == "both"}
    assert marked.keys() == {"LakehouseCpuHigh", "LakehouseDiskFull", "LakehouseErrorLogs", "LakehouseQueryErrors"}
    groups = [json.loads(path.read_text()) for path in (REPO / "include" / "dashboards" / "grafana" / "rule_groups").glob("*.json")]
    theirs = {rule["title"]: rule["labels"] for group in groups for rule in group["rules"]}
    assert {name: (theirs[name]["team"], theirs[name]["severity"]) for name in marked} == {
        name: (labels["team"], labels["severity"]) for name, labels in marked.items()
    }
