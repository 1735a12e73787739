"""An HTTP client that turns every outcome into a plain answer or one of our errors; base of the services' clients."""

from __future__ import annotations

import time
from typing import Any

import requests
from requests.auth import AuthBase
from urllib3.exceptions import NewConnectionError

from lakehouse.exceptions import ServiceError, TransientError
from lakehouse.masking import hide_secrets

TIMEOUT = (5, 60)
_PATIENCE = (0.5, 2.0, 5.0)
_TRANSIENT = {429, 500, 502, 503, 504}


class HttpClient:
    """Calls one service.

    Redirects are not followed: a service that sends a login page with status 200 must not look like success. Reads are tried
    again when the service is not there or asks for patience; writes only when the connection was never made.
    """

    def __init__(self, name: str, base_url: str, *, auth: tuple[str, str] | AuthBase | None = None, verify: bool | str = True) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.session = requests.Session()
        self.session.auth = auth
        self._verify = verify

    def request(self, method: str, path: str, *, accept: tuple[int, ...] = (), **options: Any) -> requests.Response:
        """Send a request and return the response when its status is 2xx or one of `accept`.

        Raises:
            TransientError: the service does not answer, or answers 429 or 5xx, through all tries.
            ServiceError: it refused; the error carries the status and the path.
        """
        repeatable = method in ("GET", "HEAD")
        for wait in (*_PATIENCE, None):
            try:
                # `verify` goes with each request: REQUESTS_CA_BUNDLE would take precedence over the session's.
                options = {"timeout": TIMEOUT, "verify": self._verify} | options
                response = self.session.request(method, self.base_url + path, allow_redirects=False, **options)
            except requests.exceptions.SSLError as error:
                raise ServiceError(
                    f"{self.name} at {self.base_url}: TLS failed, check the connection's ca_certs: {_reason(error)}"
                ) from error
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                # A write whose answer was lost may have been taken: only its caller knows whether it may go out again.
                if wait is None or not (repeatable or _never_sent(error)):
                    raise TransientError(
                        f"{self.name} at {self.base_url} does not answer ({_reason(error)}): "
                        "check that it runs, and host and port of its connection"
                    ) from error
            except requests.Timeout as error:
                if wait is None or not repeatable:
                    raise TransientError(f"{self.name} at {self.base_url} took too long over {method} {path}") from error
            else:
                if (response.ok and not response.is_redirect) or response.status_code in accept:
                    return response
                if response.status_code not in _TRANSIENT or not repeatable or wait is None:
                    raise self.error(response, method, path)
            time.sleep(wait)
        raise AssertionError("unreachable")

    def error(self, response: requests.Response, method: str, path: str) -> ServiceError | TransientError:
        """The error for a response that was not expected."""
        text = f"{self.name} answered {response.status_code} to {method} {path}: {hide_secrets(response.text[:400].strip())}"
        if response.status_code in _TRANSIENT:
            return TransientError(text)
        if response.status_code in (401, 403):
            text += " - check user, password and rights of its connection"
        return ServiceError(text, status=response.status_code, target=path)


def _never_sent(error: Exception) -> bool:
    """Whether the connection was not even made."""
    cause = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(error, requests.ConnectTimeout) or isinstance(cause, NewConnectionError)


def _reason(error: Exception) -> str:
    """The innermost words of a nested requests error."""
    text = str(error)
    for words in ("Connection refused", "Name or service not known", "certificate verify failed", "timed out", "Connection reset"):
        if words.lower() in text.lower():
            return words.lower()
    return text[:200]
