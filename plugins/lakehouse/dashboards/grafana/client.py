"""A session with Grafana's HTTP API.

Source: grafana/grafana, `pkg/api/` and `pkg/services/ngalert/api/`, whose `/api/...` paths Grafana 12 and 13 both serve.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import requests
from requests.auth import AuthBase

from lakehouse.exceptions import ConfigurationError, ServiceError, TransientError
from lakehouse.http import HttpClient

_OLDEST, _NEWEST = 12, 13


class GrafanaClient(HttpClient):
    """Calls Grafana as a service account, or as a user.

    Args:
        base_url: with the sub-path, where Grafana is served below one.
        password: a service account's token, or with `user` its password.
        public_url: what browsers reach.
    """

    def __init__(self, base_url: str, password: str, *, user: str = "", verify: bool | str = True, public_url: str = "") -> None:
        super().__init__("Grafana", base_url, auth=(user, password) if user else _Bearer(password), verify=verify)
        self.public_url = public_url or self.base_url

    def request(self, method: str, path: str, *, accept: tuple[int, ...] = (), **options: Any) -> requests.Response:
        """As `HttpClient.request`; a page instead of JSON is an error, whatever its status says."""
        response = super().request(method, path, accept=accept, **options)
        kind = response.headers.get("content-type", "")
        if response.content and not kind.startswith("application/json"):
            raise ServiceError(
                f"Grafana answered {method} {path} with {kind or 'no content type'}, not with JSON: is {self.base_url} its "
                "address, and not a login page before it?",
                status=response.status_code,
                target=path,
            )
        return response

    def get(self, path: str) -> Any:
        """What is at a path; None where there is nothing."""
        response = self.request("GET", path, accept=(404,))
        return None if response.status_code == 404 else response.json()

    def error(self, response: requests.Response, method: str, path: str) -> ServiceError | TransientError:
        """As `HttpClient.error`, in Grafana's own words instead of its JSON."""
        said = super().error(response, method, path)
        try:
            message = str(response.json()["message"])
        except (ValueError, KeyError, TypeError):
            return said
        what = f"Grafana answered {response.status_code} to {method} {path}: {message[:400]}"
        if isinstance(said, TransientError):
            return TransientError(what)
        if response.status_code == 401:
            what += " - the token of its connection is wrong, has expired, or was revoked: make a new one"
        elif response.status_code == 403:
            what += " - the service account of its connection needs the role Admin, or this permission"
        return ServiceError(what, status=response.status_code, target=path)

    @cached_property
    def version(self) -> str:
        """The server's version, such as `12.4.0`; health may hide it from strangers."""
        said = self.request("GET", "/api/health").json().get("version")
        if not said:
            said = self.request("GET", "/api/frontend/settings").json()["buildInfo"]["version"]
        return str(said)

    @cached_property
    def _me(self) -> dict[str, Any]:
        return dict(self.request("GET", "/api/user").json())

    @property
    def login(self) -> str:
        """Who we are, such as `sa-1-airflow`."""
        return str(self._me["login"])

    def author(self, name: str | None) -> str:
        """Who changed something; our own login also where Grafana writes a service account's name instead."""
        return self.login if name and name in (self._me.get("name"), self.login) else name or ""

    def require_version(self) -> None:
        """Refuse a server that keeps other rules.

        Raises:
            ConfigurationError: it is older than 12, or newer than 13.
        """
        major = self.version.split(".")[0]
        if not major.isdigit() or not _OLDEST <= int(major) <= _NEWEST:
            raise ConfigurationError(
                f"Grafana at {self.base_url} is {self.version}: this sync was made for {_OLDEST} and {_NEWEST}. An older one wants an "
                "upgrade; for a newer one look whether this package has a newer version"
            )


class _Bearer(AuthBase):
    """The token as a header; a session's auth wins over a `~/.netrc`."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request
