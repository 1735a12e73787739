"""What OpenSearch's security plugin reads at a node's first start besides the users: roles, and who has them."""

from __future__ import annotations

import json
from pathlib import Path

import yaml


def first_roles(repo: Path) -> dict[str, str]:
    """The plugin's files by name: the roles and mappings that `ship_logs` keeps afterwards, and the admin's mapping.

    They are there from the first second on, because the report, `preflight` and people sign in before `ship_logs` has run.
    """
    security = yaml.safe_load((repo / "include" / "opensearch" / "security.yaml").read_text())
    for role in security["roles"].values():
        for permission in role["index_permissions"]:
            if "dls" in permission:  # A query written out there, text in the plugin's own files.
                permission["dls"] = json.dumps(permission["dls"])
    files = {
        "roles": security["roles"],
        "rolesmapping": {"all_access": {"backend_roles": ["admin"]}} | security["role_mappings"],
    }
    names = {"roles": "roles.yml", "rolesmapping": "roles_mapping.yml"}
    # JSON is YAML without the aliases of the source, which the plugin does not read.
    return {names[kind]: json.dumps({"_meta": {"type": kind, "config_version": 2}} | objects, indent=1) for kind, objects in files.items()}
