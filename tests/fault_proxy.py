"""A reverse proxy on loopback that lets chosen calls to a real service go wrong.

`with FaultProxy("https://127.0.0.1:9200", verify=ca) as proxy:` then point a client at `proxy.url`. A fault is for the calls whose verb and
path match, from the `nth` of them on, `times` times (0: for ever); all others pass unchanged. Calls are passed on byte for byte,
with the client's own headers. A service that signs its host (S3) sees the proxy's: sign for that one.
"""

from __future__ import annotations

import http.client
import re
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

_OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Answer:
    """What a service answers."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass
class Fault:
    """What goes wrong with some calls.

    Attributes:
        when: whether a call with this body is meant.
        delay: seconds before the call is passed on.
        before, after: called before the call is passed on, and between the service's answer and the client's; may kill a process.
        status: answered in the service's place, which never sees the call.
        request: changes the body that is passed on.
        answer: changes what the client gets.
        drop: the client gets no answer, only a closed connection; the service took the call.
        cut: the answer ends after so many bytes of its body.
        seen: how many calls matched.
    """

    verb: str
    path: re.Pattern[str]
    nth: int = 1
    times: int = 1
    when: Callable[[bytes], bool] | None = None
    delay: float = 0.0
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None
    status: int | None = None
    request: Callable[[bytes], bytes] | None = None
    answer: Callable[[Answer], Answer] | None = None
    drop: bool = False
    cut: int | None = None
    seen: int = 0

    def takes(self, verb: str, path: str, body: bytes) -> bool:
        """Whether it is this call's turn; counts it."""
        if not (re.fullmatch(self.verb, verb) and self.path.search(path)) or (self.when is not None and not self.when(body)):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times == 0 or self.seen < self.nth + self.times)


class FaultProxy:
    """The proxy; faults are tried in the order in which they were added, and the first that takes a call has it."""

    def __init__(self, service: str, *, verify: str | None = None, timeout: float = 60) -> None:
        self._service, self._timeout = urlsplit(service), timeout
        self._tls = ssl.create_default_context(cafile=verify) if self._service.scheme == "https" else None
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.calls: list[tuple[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def __getattr__(handler, name: str) -> Any:  # noqa: N805  # `self` is the proxy
                if name.startswith("do_"):
                    return lambda: self._handle(handler)
                raise AttributeError(name)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up, killed ones above all
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def add(self, verb: str, path: str, **what: Any) -> Fault:
        """A fault for the calls whose verb is (and whose path has) a match of these regular expressions."""
        fault = Fault(verb, re.compile(path), **what)
        with self._lock:
            self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """Every call passes from now on."""
        with self._lock:
            self._faults.clear()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, call: BaseHTTPRequestHandler) -> None:
        body = call.rfile.read(int(call.headers.get("content-length", 0)))
        with self._lock:
            self.calls.append((call.command, call.path))
            taking = [fault for fault in self._faults if fault.takes(call.command, call.path, body)]
        fault = taking[0] if taking else Fault("", re.compile(""))
        time.sleep(fault.delay)
        if fault.before is not None:
            fault.before()
        answer = Answer(fault.status) if fault.status is not None else self._pass_on(call, fault.request(body) if fault.request else body)
        if fault.answer is not None:
            answer = fault.answer(answer)
        if fault.after is not None:
            fault.after()
        if fault.drop:
            call.close_connection = True
            return
        call.send_response(answer.status)
        for name, value in answer.headers:
            call.send_header(name, value)
        if call.command != "HEAD":
            call.send_header("Content-Length", str(len(answer.body)))
        call.end_headers()
        call.wfile.write(answer.body[: fault.cut])
        call.close_connection = call.close_connection or fault.cut is not None

    def _pass_on(self, call: BaseHTTPRequestHandler, body: bytes) -> Answer:
        host, port = self._service.hostname or "", self._service.port
        if self._tls is None:
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
        else:
            connection = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._tls)
        headers = {name: value for name, value in call.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
        try:
            connection.request(call.command, self._service.path.rstrip("/") + call.path, body=body, headers=headers)
            response = connection.getresponse()
            kept = tuple((name, value) for name, value in response.getheaders() if name.lower() not in _OF_ONE_CONNECTION)
            if call.command == "HEAD":
                kept += tuple((name, value) for name, value in response.getheaders() if name.lower() == "content-length")
            return Answer(response.status, kept, response.read())
        except (OSError, http.client.HTTPException) as error:
            return Answer(502, body=f"the service does not answer: {error}".encode())
        finally:
            connection.close()


def with_body(change: Callable[[bytes], bytes]) -> Callable[[Answer], Answer]:
    """For `Fault.answer`: the same answer with another body."""
    return lambda answer: replace(answer, body=change(answer.body))
