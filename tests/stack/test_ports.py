from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.errors import StackError
from stack.installation import Installation
from stack.ports import check_free


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        yield made


def shifted(folder: Path, port: int) -> Installation:
    """An installation whose Trino would listen on that port."""
    return Installation(folder, port - Installation(folder).ports["trino"])


def test_a_taken_port_is_named_with_its_owner_and_the_way_out(tmp_path, listener):
    port = listener.getsockname()[1]
    with pytest.raises(StackError, match=rf"{port} \(trino\) is held by pid {os.getpid()}, ") as caught:
        check_free(shifted(tmp_path, port), ["trino"])
    assert "PORT_OFFSET" in str(caught.value)


def test_ports_that_are_not_asked_about_do_not_matter(tmp_path, listener):
    check_free(shifted(tmp_path, listener.getsockname()[1]), [])


def test_a_port_that_was_left_is_free(tmp_path, listener):
    port = listener.getsockname()[1]
    listener.close()
    check_free(shifted(tmp_path, port), ["trino"])
