"""What the engines' tests share: a real catalog on disk, a real HTTP server that answers as told, and time that does not pass."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog

Answer = tuple[int, dict[str, str], bytes] | None


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    """A real Iceberg catalog: SQLite for the pointers, files under `tmp_path` for the rest."""
    opened = SqlCatalog("unit", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    yield opened
    opened.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Back-off without its time: the seconds that the code asked to sleep."""
    asked: list[float] = []
    monkeypatch.setattr(time, "sleep", asked.append)
    return asked


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start a server on loopback that answers each request with `answer(method, path, headers, body)`; returns its address.

    An answer is (status, headers, body); None drops the connection without a word.
    """
    servers = []

    def start(answer: Callable[[str, str, dict[str, str], bytes], Answer], tls: ssl.SSLContext | None = None) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body are two writes

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                given = answer(self.command, self.path, dict(self.headers), body)
                if given is None:
                    self.close_connection = True
                    return
                status, headers, content = given
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(content))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815  # http.server's names

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *_: None  # a client that refuses our certificate hangs up
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()
