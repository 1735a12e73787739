from __future__ import annotations

import socket
import threading
import time

import pyarrow as pa
import pytest
import requests

from lakehouse.exceptions import TransientError
from lakehouse.iceberg import append
from lakehouse.iceberg import catalog as catalogs
from lakehouse.iceberg.append import Input, append_once

CONFIG = b'{"defaults": {}, "overrides": {}}'


@pytest.mark.fault(4)
@pytest.mark.parametrize("credential", [False, True], ids=["its settings", "a token"])
def test_a_catalog_that_never_answers_is_given_up_in_time(monkeypatch, credential):
    monkeypatch.setattr(catalogs, "TIMEOUT", (1, 0.2))
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        more = {"credential": "key:secret", "oauth2-server-uri": f"{address}/v1/oauth/tokens"} if credential else {}
        started = time.monotonic()
        with pytest.raises(requests.exceptions.RequestException, match="timed out"):
            catalogs.open_catalog("silent", type="rest", uri=address, **more)
    assert time.monotonic() - started < 10


@pytest.mark.fault(4)
def test_an_append_to_a_catalog_that_falls_silent_names_the_cause(serve, monkeypatch, waits):
    silent = threading.Event()

    def answer(method, path, headers, body):
        if "config" in path:
            return 200, {"Content-Type": "application/json"}, CONFIG
        silent.wait(0.5)
        return None

    monkeypatch.setattr(catalogs, "TIMEOUT", (1, 0.1))
    monkeypatch.setattr(append, "_SECONDS", 1)
    opened = catalogs.open_catalog("silent", type="rest", uri=serve(answer))
    with pytest.raises(TransientError, match=r"no commit to db.t went through.*timed out.*check that catalog and object store answer"):
        append_once(opened, "db.t", [Input("c", "c", pa.table({"x": [1]}))])
    silent.set()
