"""The connections for servers of one's own have what the native stack's have, and TLS."""

from __future__ import annotations

import json
import re
from typing import Any

from stack.installation import REPO

PRODUCTION: dict[str, dict[str, Any]] = json.loads((REPO / "config" / "connections.production.json").read_text())
NATIVE = re.findall(r'^  "(\w+)":', (REPO / "config" / "connections.json.tmpl").read_text(), re.MULTILINE)
OPTIONAL = {"lakehouse_grafana", "alerts_slack"}


def test_both_have_the_same_connections() -> None:
    assert set(PRODUCTION) == set(NATIVE) | OPTIONAL


def test_nothing_goes_in_clear_and_no_password_stands_there() -> None:
    text = json.dumps(PRODUCTION)

    assert "http://" not in text
    for conn_id, fields in PRODUCTION.items():
        assert re.fullmatch(r"<.*>", fields.get("password", "<>")), conn_id
        extra = fields.get("extra", {})
        if fields["conn_type"] == "postgres":
            assert extra["sslmode"] == "verify-full"
        if fields["conn_type"] == "trino":
            assert extra["protocol"] == "https"
        assert "false" not in json.dumps({name: extra.get(name) for name in ("use_ssl", "verify_certs", "verify")}).lower()
