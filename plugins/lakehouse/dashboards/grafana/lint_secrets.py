"""Secrets that stand in a file of Grafana's; what they are is never said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lakehouse.dashboards.findings import Finding
from lakehouse.dashboards.grafana.json_files import Document

_KNOWN = re.compile(
    r"hooks\.slack\.com/(services|workflows|triggers)/\w{5,}"
    r"|discord(app)?\.com/api/webhooks/\d+/"
    r"|\.webhook\.office\.com/"
    r"|xox[abeoprs]-[\w-]{8,}"
    r"|gl(sa|c)_[\w+/=]{16,}"
    r"|AKIA[0-9A-Z]{16}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|://[^/\s:@${}]+:(?![$x*]|\{\{)[^/\s@]+@"
)
_NAMED = re.compile(r"(pass(word|wd)?|token|secret|api_?key|integration_?key|user_?key|credentials|private_?key)$", re.IGNORECASE)
_HOOKS = ("slack", "discord", "teams", "googlechat", "dingding", "wecom", "oncall", "victorops", "sensugo")
_EMPTY = re.compile(r"|\[REDACTED\]|[xX*•]+|<.*>|.*\$\{?\w+.*|.*\{\{.*|\$__(file|env|vault)\{.*")


def check_secrets(document: Document) -> Iterator[Finding]:
    """Passwords, tokens and webhooks that are written out; a variable (`${NAME}`) is none."""
    todo: list[tuple[Any, tuple[Any, ...]]] = [(document.data, ())]
    settings = document.kind in ("contact_points", "data_sources")
    while todo:
        value, place = todo.pop()
        if isinstance(value, dict):
            todo += [(one, (*place, key)) for key, one in value.items()]
        elif isinstance(value, list):
            todo += [(one, (*place, i)) for i, one in enumerate(value)]
        elif isinstance(value, str) and value and (_KNOWN.search(value) or (settings and _is_secret(document, place, value))):
            name = ".".join(map(str, place))
            yield document.finding("secret", f"a secret stands in `{name}`: write a variable, ${{NAME}}, that the connection fills", *place)


def _is_secret(document: Document, place: tuple[Any, ...], value: str) -> bool:
    if _EMPTY.fullmatch(value):
        return False
    name = str(place[-1])
    if place[0] == "secureJsonData":
        return "-----BEGIN CERTIFICATE-----" not in value  # a certificate is no secret
    if name == "url" and document.kind == "contact_points":
        return str(document.data.get("type")).lower() in _HOOKS
    return bool(_NAMED.search(name)) and "://" not in value
