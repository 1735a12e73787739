"""The runbooks as web pages; like every page of Airflow they ask for a login."""

from __future__ import annotations

import html
import re
from pathlib import Path

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from markdown_it import MarkdownIt

# In the wheel they lie beside this file, in a checkout under docs/.
_PLACES = (Path(__file__).parent / "runbooks", Path(__file__).resolve().parents[2] / "docs" / "runbooks")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_STYLE = (
    "body{font:16px/1.5 system-ui;max-width:50rem;margin:2rem auto;padding:0 1rem}"
    "code{background:#eee;padding:0 .2em}pre{background:#eee;padding:.7em;overflow-x:auto}td,th{padding:.2em .6em;text-align:left}"
)

app = FastAPI(title="Lakehouse runbooks", docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/runbooks/{name}", response_class=HTMLResponse)
def runbook(name: str, user: GetUserDep) -> str:  # noqa: ARG001  # the dependency is the login
    """One runbook; each heading is an anchor."""
    found = next((place / f"{name}.md" for place in _PLACES if _NAME.fullmatch(name) and (place / f"{name}.md").exists()), None)
    if found is None:
        raise HTTPException(404, f"there is no runbook called {name}")
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(found.read_text())
    body = re.sub(r"<h(\d)>(.*?)</h\1>", _anchored, body)
    return f"<!doctype html><meta charset=utf-8><title>{html.escape(name)}</title><style>{_STYLE}</style>{body}"


def _anchored(match: re.Match[str]) -> str:
    anchor = re.sub(r"[^a-z0-9]+", "-", re.sub(r"<.*?>", "", match[2]).lower()).strip("-")
    return f'<h{match[1]} id="{anchor}">{match[2]}</h{match[1]}>'
