"""A gallery on this machine alone: a real Iceberg catalog on disk, and a small HTTP server that answers as a store does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from tests.include.gallery.local_lake import Lake, row, write_settings


@contextmanager
def _served(folder: Path) -> Iterator[Lake]:
    properties = {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}/warehouse"}
    catalog = SqlCatalog("unit", **properties)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    url = f"http://127.0.0.1:{server.server_port}"
    made = Lake(catalog, url, write_settings(folder / "gallery.json", properties, url))

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            key = self.path.partition("?")[0].removeprefix("/lakehouse/")
            made.asked.append(key)
            status = made.status if made.status != 200 else 200 if key in made.objects else 404
            body = made.objects[key] if status == 200 else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_GET = do_HEAD = _answer  # noqa: N815  # http.server's names

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server.RequestHandlerClass = Handler
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()
    catalog.close()


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """One without a table, that the gallery's settings lead to."""
    with _served(tmp_path) as made:
        monkeypatch.setenv("LAKEHOUSE_GALLERY", str(made.settings))
        yield made


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """One with sixty images, for tests that only look."""
    with _served(tmp_path_factory.mktemp("sixty")) as made:
        made.add(*(row(number) for number in range(60)))
        yield made
