"""A Grafana server for tests: it keeps Grafana's rules, in memory, on a free loopback port.

    with GrafanaServer("12.4.0") as server:
        GrafanaClient(server.url, server.token())

Every rule is registered in `rules.py` with its source, and proved by the conformance suite, which also runs on a real Grafana.
Let calls go wrong with `tests.fault_proxy.FaultProxy(server.url)`.
"""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from tests.grafana import access, alert_rules, alerting, dashboards, data_sources, ds_query, folders, library, people, policies
from tests.grafana import annotations as notes
from tests.grafana.routing import Call, Document, Refused, Result, find
from tests.grafana.state import Query, State

_OURS = "A file provisioner"
_PARTS = (access, alert_rules, alerting, dashboards, data_sources, ds_query, folders, library, notes, people, policies)
"""The modules whose routes are answered."""
_READS = ("GET", "HEAD")


class Request(NamedTuple):
    """A call that the server has answered.

    Attributes:
        path: without the query.
        login: whose call it was; empty for a stranger's.
    """

    method: str
    path: str
    status: int
    login: str
    body: bytes


class GrafanaServer:
    """The server, as a context manager.

    Args:
        version: such as `12.4.0` or `13.2.1`; where 12 and 13 differ, it does as this one.
        query: answers the queries of data sources, as `tests.grafana.engines.run` does; without one every query gets a canned frame.
        hide_version: health does not tell the version.
    """

    def __init__(self, version: str = "13.2.1", *, query: Query | None = None, hide_version: bool = False) -> None:
        major, minor, patch = (int(part) for part in version.split("."))
        self.state = State((major, minor, patch), query, hide_version=hide_version)
        self.requests: list[Request] = []
        access.add_user(self.state, "admin", "Admin", "admin")
        policies.start(self.state)
        self._tokens: dict[tuple[str, bool], str] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                """Answer any method."""
                server._answer(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def token(self, role: str = "Admin", *, expired: bool = False) -> str:
        """The token of a service account of this role; always the same one."""
        if (role, expired) not in self._tokens:
            name = f"Lakehouse {role}{' expired' if expired else ''}"
            self._tokens[role, expired] = access.add_service_account(self.state, name, role, expired=expired)
        return self._tokens[role, expired]

    def user(self, login: str, role: str = "Editor") -> tuple[str, str]:
        """Login and password of a user, for `requests`' `auth`: what they change is an edit by hand."""
        password = f"{login}-password"
        if login not in self.state.people:
            access.add_user(self.state, login, role, password)
        return login, self.state.people[login][1]

    def provision(self, kind: str, document: Document, *, folder: str = "") -> None:
        """An object from Grafana's own provisioning files.

        Args:
            kind: `folder`, `data_source`, `dashboard`, `plugin_dashboard`, `contact_point`, `mute_timing`, `policies` or `rule_group`.
            folder: where a dashboard lies.

        Raises:
            ValueError: nothing of that kind can be provisioned here.
        """
        with self.state.lock:
            if kind == "folder":
                folders.new_folder(self.state, document["uid"], document["title"], _OURS)
            elif kind == "data_source":
                data_sources.new_data_source(self.state, document["uid"], document, provisioned=True)
            elif kind == "dashboard":
                dashboards.store(self.state, document, folder, _OURS, provisioned=f"{document['uid']}.json")
            elif kind == "plugin_dashboard":
                dashboards.store(self.state, document, folder, _OURS, plugin="prometheus")
            elif kind == "contact_point":
                self.state.contact_points[document["uid"]] = {"disableResolveMessage": False, **document, "provenance": "file"}
            elif kind == "mute_timing":
                version = alerting.mute_version(document)
                self.state.mute_timings[document["name"]] = {**document, "version": version, "provenance": "file"}
            elif kind == "policies":
                self.state.policies = {**document, "provenance": "file"}
            elif kind == "rule_group":
                for alert in document["rules"]:
                    written = alert_rules.write(self.state, document["folderUid"], document["title"], alert, "file")
                    self.state.rules[written["uid"]] = {**written, "interval": document["interval"]}
            else:
                raise ValueError(f"{kind} cannot be provisioned")

    def break_health(self, data_source: str, message: str = "Bad Gateway") -> None:
        """From now on the health check of this data source fails."""
        self.state.unhealthy[data_source] = message

    @property
    def writes(self) -> list[Request]:
        """The calls that changed something."""
        return [
            call for call in self.requests if call.method not in _READS and call.status < 400 and not call.path.endswith("/api/ds/query")
        ]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, http: BaseHTTPRequestHandler) -> None:
        body = http.rfile.read(int(http.headers.get("content-length") or 0))
        parts = urlsplit(http.path)
        headers = {name.lower(): value for name, value in http.headers.items()}
        call = Call(http.command, parts.path, parse_qs(parts.query), headers, body, self.state)
        try:
            status, answer = self._handle(call)
        except Refused as refused:
            status, answer = refused.status, refused.body
        self.requests.append(Request(call.method, call.path, status, call.who.login if call.who else "", body))
        sent = b"" if status == 204 else json.dumps(answer).encode()
        http.send_response(status)
        if status != 204:
            http.send_header("Content-Type", "application/json; charset=UTF-8")
            http.send_header("Content-Length", str(len(sent)))
        http.end_headers()
        if http.command != "HEAD":
            http.wfile.write(sent)

    def _handle(self, call: Call) -> Result:
        known = find(call.method, call.path)
        if known is None:
            raise Refused(404, "Not found")
        route, call.parameters = known
        lock: Any = self.state.lock if route.alone else contextlib.nullcontext()
        with lock:
            if route.needs is not None:
                call.who = access.identify(call)
                if route.needs:
                    access.require(call, route.needs)
            return route.handler(call)
