"""The conformance suite's Grafana: the test server in several versions, or with GRAFANA_URL a real one.

A real one needs GRAFANA_TOKEN (a service account with the role Admin), or GRAFANA_USER and GRAFANA_PASSWORD. What else a test may need
there is named where it skips; README.md lists it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.grafana.rules import RUN
from tests.grafana.server import GrafanaServer

REAL = os.environ.get("GRAFANA_URL", "").rstrip("/")
VERSIONS = ["real"] if REAL else ["12.4.0", "13.0.1", "13.2.1"]


class Target:
    """A Grafana to test: calls as its Admin, and what they made is removed at the end.

    Attributes:
        prefix: what all uids and names made here begin with.
        server: the test server; None: a real Grafana.
    """

    def __init__(self, url: str, server: GrafanaServer | None) -> None:
        self.url, self.server = url, server
        self.prefix = f"lhconf-{uuid4().hex[:8]}"
        self._rubbish: list[str] = []
        self.session = self._signed_in(server.token() if server else os.environ.get("GRAFANA_TOKEN", ""))
        if not server and not os.environ.get("GRAFANA_TOKEN"):
            self.session.auth = (os.environ["GRAFANA_USER"], os.environ["GRAFANA_PASSWORD"])

    def call(self, method: str, path: str, document: Any = None, *, headers: Any = None, **query: str) -> requests.Response:
        """Any call, as Admin."""
        return self.session.request(method, self.url + path, json=document, headers=headers, params=query, timeout=30)

    def get(self, path: str, **query: str) -> Any:
        """What is at a path."""
        response = self.call("GET", path, **query)
        assert response.status_code == 200, response.text
        return response.json()

    def make(self, method: str, path: str, document: Any, *, status: int = 200, remove: str = "") -> Any:
        """A call that must succeed; what is at `remove` is deleted at the end."""
        response = self.call(method, path, document)
        assert response.status_code == status, response.text
        if remove:
            self.remove_later(remove)
        return response.json() if response.content else None

    def remove_later(self, path: str) -> None:
        """Delete at the end what is at a path."""
        self._rubbish.append(path)

    def folder(self, name: str = "folder") -> str:
        """A folder of our own; its uid."""
        uid = f"{self.prefix}-{name}"
        self.make(
            "POST", "/api/folders", {"uid": uid, "title": f"{self.prefix} {name}"}, remove=f"/api/folders/{uid}?forceDeleteRules=true"
        )
        return uid

    def anyone(self, **headers: str) -> requests.Session:
        """A session of nobody, or with these headers."""
        session = requests.Session()
        session.headers.update(headers)
        return session

    def role(self, role: str) -> requests.Session:
        """A service account of this role; on a real Grafana GRAFANA_VIEWER_TOKEN or GRAFANA_EDITOR_TOKEN."""
        return self._signed_in(self.server.token(role) if self.server else self.setting(f"GRAFANA_{role.upper()}_TOKEN"))

    def expired(self) -> requests.Session:
        """A service account whose token has expired; on a real Grafana GRAFANA_EXPIRED_TOKEN."""
        return self._signed_in(self.server.token(expired=True) if self.server else self.setting("GRAFANA_EXPIRED_TOKEN"))

    def editor(self) -> tuple[requests.Session, str]:
        """A user with the role Editor, and its login; on a real Grafana GRAFANA_EDITOR_USER and GRAFANA_EDITOR_PASSWORD."""
        session = requests.Session()
        if self.server:
            session.auth = self.server.user("kim")
        else:
            session.auth = (self.setting("GRAFANA_EDITOR_USER"), self.setting("GRAFANA_EDITOR_PASSWORD"))
        return session, session.auth[0]

    def provisioned(self, kind: str, document: dict[str, Any]) -> str:
        """The uid of an object from a provisioning file; on a real Grafana GRAFANA_PROVISIONED_<KIND>."""
        if self.server:
            self.server.provision(kind, document)
            return str(document["uid"])
        return self.setting(f"GRAFANA_PROVISIONED_{kind.upper()}")

    def eventually(self, look: Callable[[], Any], wanted: Any) -> None:
        """What must be found; a real Grafana's search may need a moment for what is new."""
        until = time.monotonic() + (0 if self.server else 10)
        while (found := look()) != wanted and time.monotonic() < until:
            time.sleep(0.2)
        assert found == wanted

    @property
    def by_token(self) -> bool:
        """Whether we are a service account."""
        return bool(self.server or os.environ.get("GRAFANA_TOKEN"))

    def at_least(self, major: int, minor: int = 0) -> bool:
        """Whether this Grafana is that new."""
        found = self.get("/api/frontend/settings")["buildInfo"]["version"].split(".")
        return (int(found[0]), int(found[1])) >= (major, minor)

    def setting(self, name: str) -> str:
        """An environment variable; without it the test is skipped."""
        if not os.environ.get(name):
            pytest.skip(f"a real Grafana needs {name} for this; see tests/grafana/README.md")
        return os.environ[name]

    def clean(self) -> None:
        """Remove what was made, the last first."""
        for path in reversed(self._rubbish):
            self.session.delete(self.url + path, timeout=30)

    def _signed_in(self, token: str) -> requests.Session:
        return self.anyone(Authorization=f"Bearer {token}")


@pytest.fixture(scope="module", params=VERSIONS)
def grafana(request: pytest.FixtureRequest) -> Iterator[GrafanaServer | None]:
    """The server under test."""
    if request.param == "real":
        yield None
        return
    with GrafanaServer(request.param) as server:
        yield server


@pytest.fixture
def target(request: pytest.FixtureRequest, grafana: GrafanaServer | None) -> Iterator[Target]:
    """A Grafana with nothing of ours in it; on the test server every rule that the test names must have taken part."""
    target = Target(grafana.url if grafana else REAL, grafana)
    RUN.clear()
    yield target
    idle = set(getattr(request.function, "proves", ())) - RUN
    target.clean()
    assert not idle or not grafana, f"the test names rules that took no part: {sorted(idle)}"
