"""The app under `/lakehouse`: every route asks for Airflow's login, none writes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_asset
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader

from lakehouse_provider.links import airflow_url
from lakehouse_provider.pages import on_call, runbooks

_TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
# Nothing is loaded from elsewhere, and no script runs: what people wrote into a row or a cause stays text.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
}

app = FastAPI(title="Lakehouse", docs_url=None, redoc_url=None, openapi_url=None)
MaySee = Annotated[None, Depends(requires_access_asset("GET"))]


@app.get("/on-call")
def show_on_call(user: GetUserDep, _: MaySee) -> HTMLResponse:
    """What is broken, late, stale or refused, with a link to each fix; runs and incidents of the DAGs that the user may read."""
    return _page("on_call.html", page=on_call.collect(user))


@app.get("/runbooks")
def list_runbooks(user: GetUserDep) -> HTMLResponse:  # noqa: ARG001  # the dependency is the login
    """The runbooks by name."""
    return _page("runbooks.html", names=runbooks.names())


@app.get("/runbooks/{name}")
def show_runbook(name: str, user: GetUserDep) -> HTMLResponse:  # noqa: ARG001  # the dependency is the login
    """One runbook; each heading is an anchor."""
    body = runbooks.render(name)
    if body is None:
        raise HTTPException(404, f"there is no runbook called {name}")
    return _page("runbook.html", name=name, body=body)


@app.exception_handler(401)
async def sign_in_first(request: Request, error: HTTPException) -> Response:
    """Whoever comes by a link of a message, signed out, signs in and is led on; a program gets the plain 401."""
    if "text/html" not in request.headers.get("accept", ""):
        return await http_exception_handler(request, error)
    wanted = f"{airflow_url()}{request.url.path}"
    return RedirectResponse(f"{airflow_url()}/api/v2/auth/login?next={quote(wanted, safe='')}", headers=_HEADERS)


def _page(template: str, **values: object) -> HTMLResponse:
    return HTMLResponse(_TEMPLATES.get_template(template).render(**values), headers=_HEADERS)
