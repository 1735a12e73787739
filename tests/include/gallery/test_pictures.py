from __future__ import annotations

import socket
import threading
import time

import pytest

from include.gallery import pictures
from include.gallery.pictures import Pictures
from include.gallery.settings import Store, load
from include.gallery.waiting import within
from lakehouse.exceptions import ServiceError, TransientError
from tests.include.gallery.local_lake import row, thumbnail

KEY = "raw/images/2026-11-01/a.png"


@pytest.fixture
def store(lake):
    return Pictures(load().store)


def test_thumbnails_come_in_the_order_that_was_asked_for(lake, store):
    lake.add(row(1), row(2), row(3))
    lake.objects["raw/thumbnails/2026-11-01/blue.jpg"] = thumbnail("blue")
    found = store.thumbnails(
        [row(1)["s3_path"], None, "s3://lakehouse/raw/images/2026-11-01/blue.png", "s3://lakehouse/raw/images/none.png"]
    )
    assert found == [thumbnail("red"), None, thumbnail("blue"), None]


@pytest.mark.parametrize(
    "address", ["s3://other/raw/images/a.png", "s3://lakehouse/refused/images/a", "https://lakehouse/raw/images/a.png", "", None]
)
def test_only_images_of_the_bucket_are_asked_for(lake, store, address):
    assert store.key_of(address) is None
    assert store.thumbnails([address]) == [None]
    assert lake.asked == []


@pytest.mark.parametrize(("status", "error"), [(403, ServiceError), (500, TransientError), (503, TransientError)])
def test_a_store_that_refuses_or_fails_is_told_apart(lake, store, status, error):
    lake.status = status
    with pytest.raises(error, match=str(status)):
        store.check()


def test_a_store_that_is_not_there_is_told(lake):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{found.getsockname()[1]}"
    with pytest.raises(TransientError, match=f"{url} does not answer"):
        Pictures(Store(url, url, "us-east-1", "lakehouse", "a", "s")).check()


def test_a_store_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(pictures, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(TransientError, match=r"did not answer in 0\.3 s"):
            Pictures(Store(url, url, "us-east-1", "lakehouse", "a", "s")).check()
        assert time.monotonic() - started < 3


def test_links_are_signed_for_the_public_address(store):
    link = store.link(KEY, save_as="a.png")
    assert link.startswith(f"http://pictures.example:8333/lakehouse/{KEY}?")
    assert "response-content-disposition=attachment%3B%20filename%3D%22a.png%22" in link
    assert "X-Amz-Expires=300" in link
    assert "X-Amz-SignedHeaders=host" in link


def test_an_error_of_the_work_itself_comes_through():
    with pytest.raises(ZeroDivisionError):
        within(5, "it", lambda: 1 / 0)


def test_the_result_of_quick_work_is_given():
    assert within(5, "it", threading.active_count) > 0
