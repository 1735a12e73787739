"""Calls to the test server, its answers, and which function answers which path."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from tests.grafana.access import Identity
    from tests.grafana.state import State

Document = dict[str, Any]
Result = tuple[int, Any]


class Refused(Exception):  # noqa: N818  # an answer, as `Http404` is one
    """The call is answered with an error.

    Args:
        message_id: makes it the body of Grafana's `errutil` errors.
        body: further keys.
    """

    def __init__(self, status: int, message: str, /, *, message_id: str = "", **body: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body: Document = {"message": message, **body}
        if message_id:
            self.body |= {"statusCode": status, "messageId": message_id, "extra": None, "traceID": ""}


@dataclass
class Call:
    """A call that has come in.

    Attributes:
        parameters: the variable segments of its path.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    state: State
    who: Identity | None = None
    parameters: dict[str, str] = field(default_factory=dict)

    def document(self) -> Document:
        """The JSON object of its body.

        Raises:
            Refused: there is none.
        """
        try:
            found = json.loads(self.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Refused(400, "bad request data")
        return found

    def first(self, name: str, default: str = "") -> str:
        """A parameter of the query."""
        return self.query.get(name, [default])[0]

    def page(self, *, size: int, name: str = "limit") -> slice:
        """The part of a list that is asked for."""
        limit = int(self.first(name) or size) or size
        start = (max(int(self.first("page") or 1), 1) - 1) * limit
        return slice(start, start + limit)

    @property
    def signed_in(self) -> Identity:
        """Who calls; only where the route needs a login."""
        assert self.who is not None
        return self.who


Handler = Callable[[Call], Result]


@dataclass(frozen=True)
class Route:
    """A path and what answers it.

    Attributes:
        needs: the permission that the caller needs; empty: a login is enough; None: not even that.
        alone: no other call is answered meanwhile.
    """

    method: str
    path: re.Pattern[str]
    needs: str | None
    handler: Handler
    alone: bool


ROUTES: list[Route] = []


def route(method: str, path: str, needs: str | None = "", *, alone: bool = True) -> Callable[[Handler], Handler]:
    """Answer a path such as `/api/folders/{uid}` with this function."""
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "/?")

    def register(handler: Handler) -> Handler:
        ROUTES.append(Route(method, pattern, needs, handler, alone))
        return handler

    return register


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a path, and its variable segments."""
    for route_ in ROUTES:
        if route_.method == method and (match := route_.path.fullmatch(path)):
            return route_, {name: unquote(value) for name, value in match.groupdict().items()}
    return None
