"""A session with Superset 6.1's REST API.

Sources, in apache-superset 6.1.0: `superset/security/api.py`, `superset/views/base_api.py`, `superset/versioning` (`/version`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from itertools import count
from typing import Any

import requests

from lakehouse.exceptions import ConfigurationError, ServiceError, TransientError
from lakehouse.http import HttpClient

_OLDEST = (6, 1)
_PAGE = 100
_TRIES = 3


class SupersetClient(HttpClient):
    """A session of one user; signs in at the first call and once more when its token has run out."""

    def __init__(self, base_url: str, user: str, password: str, *, verify: bool | str = True, public_url: str = "") -> None:
        super().__init__("Superset", base_url, verify=verify)
        self.user, self._password = user, password
        self.public_url = public_url or base_url
        self._signed_in = False

    def request(self, method: str, path: str, *, accept: tuple[int, ...] = (), **options: Any) -> requests.Response:
        """As `HttpClient.request`; anything but JSON or a zip file is an error, whatever its status says."""
        if not self._signed_in:
            self._sign_in()
        response = super().request(method, path, accept=(302, 400, 401, *accept), **options)
        if _has_run_out(response):
            self._sign_in()
            response = super().request(method, path, accept=accept, **options)
        elif response.status_code == 400 and 400 not in accept:
            raise self.error(response, method, path)
        content = response.headers.get("content-type", "")
        if not content.startswith(("application/json", "application/zip", "application/x-zip")):
            raise ServiceError(f"Superset answered {method} {path} with {content}, not with JSON", status=response.status_code, target=path)
        return response

    def error(self, response: requests.Response, method: str, path: str) -> ServiceError | TransientError:
        """As `HttpClient.error`; a page of HTML tells a reader nothing."""
        if "json" not in response.headers.get("content-type", ""):
            response._content = b"a page of HTML, no reason; Superset's own log has it (`make logs SERVICE=superset`)"
        return super().error(response, method, path)

    def log_in(self) -> str:
        """Prove the password, which needs no right at all; returns the user's name."""
        self.session.headers.pop("Authorization", None)
        login = {"username": self.user, "password": self._password, "provider": "db", "refresh": False}
        token = super().request("POST", "/api/v1/security/login", json=login).json()["access_token"]
        self.session.headers["Authorization"] = f"Bearer {token}"
        return self.user

    def _sign_in(self) -> None:
        self.log_in()
        # A write needs all three: the token, the session cookie that comes with it, and the referer.
        csrf = super().request("GET", "/api/v1/security/csrf_token/").json()["result"]
        self.session.headers.update({"X-CSRFToken": csrf, "Referer": self.base_url})
        self._signed_in = True

    def me(self) -> str:
        """The user's name, as the server sees it."""
        return str(self.request("GET", "/api/v1/me/").json()["result"]["username"])

    @cached_property
    def display_name(self) -> str:
        """The user's name as Superset writes it beside what was changed."""
        user = self.request("GET", "/api/v1/me/").json()["result"]
        return f"{user['first_name']} {user['last_name']}".strip()

    def version(self) -> str:
        """The server's version number (`/version` is there since 6.1)."""
        return str(self.request("GET", "/version").json()["version_string"])

    def require_version(self) -> None:
        """Refuse a server whose import means something else.

        Raises:
            ConfigurationError: it is older than 6.1.
        """
        try:
            version = self.version()
        except ServiceError as error:
            if error.status != 404:
                raise
            version = ""
        if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _OLDEST:
            raise ConfigurationError(
                f"Superset at {self.base_url} is {version or 'older than 6.1 (it has no /version)'}, and before 6.1 an import merges where "
                "6.1 replaces: upgrade it to 6.1 or newer"
            )

    def list(self, resource: str, columns: Iterable[str]) -> list[dict[str, Any]]:
        """Every entry of a list endpoint, such as `chart`, with these columns and its `id`.

        Raises:
            TransientError: entries kept moving from page to page while they were read.
        """
        names = ",".join(dict.fromkeys(["id", *columns]))
        for _ in range(_TRIES):
            entries: dict[int, dict[str, Any]] = {}
            for page in count():
                answer = self.request("GET", f"/api/v1/{resource}/?q=(page:{page},page_size:{_PAGE},columns:!({names}))").json()
                entries |= {entry["id"]: entry for entry in answer["result"]}
                if (page + 1) * _PAGE >= answer["count"]:
                    break
            # The newest come first: what is saved meanwhile moves to a page that was read already, and pushes others to the next.
            if len(entries) == answer["count"]:
                return list(entries.values())
        raise TransientError(f"Superset's list of {resource} changed each time it was read: run the task again")


def _has_run_out(response: requests.Response) -> bool:
    """Whether the token or the CSRF token is not taken any more; without a session a write is sent to the login page."""
    return response.status_code in (302, 401) or (response.status_code == 400 and "csrf" in response.text.lower())
