"""The gallery on the real catalog and store, with the key that it has there; each test has a table of its own."""

from __future__ import annotations

import csv
import io
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import requests
import streamlit as st
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError
from streamlit.testing.v1 import AppTest

from include.gallery import dataset, lake, settings
from include.gallery.pictures import Pictures
from include.gallery.query import Filters
from lakehouse.exceptions import ServiceError
from lakehouse.iceberg.catalog import open_catalog
from lakehouse.iceberg.data_files import write_data_files
from lakehouse.iceberg.table import ensure_table
from lakehouse.images.keys import thumbnail_key
from lakehouse.objects import ObjectStore
from stack.installation import Installation
from tests.include.gallery.local_lake import CONTRACT, row, thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.integration


class Gallery:
    """A table of its own in the real lake, and the pages that show it."""

    def __init__(self, stack: Installation, catalog: Catalog, store: ObjectStore, name: str, folder: Path) -> None:
        self.catalog, self.store = catalog, store
        self.contract = replace(CONTRACT, table=f"media_db.{name}")
        self.day = f"1990-{name}"
        self.fields: dict[str, Any] = json.loads((stack.etc / "gallery" / "gallery.json").read_text()) | {"table": self.contract.table}
        self.path = folder / "gallery.json"
        self.configure()

    def configure(self, **store: str) -> None:
        self.path.write_text(json.dumps(self.fields | {"store": self.fields["store"] | store}))

    def row(self, number: int, **values: Any) -> dict[str, Any]:
        made = row(number)
        return made | {"s3_path": f"s3://lakehouse/raw/images/{self.day}/{made['image_id']}.png"} | values

    def add(self, *rows: dict[str, Any]) -> None:
        for entry in rows:
            key = entry["s3_path"].removeprefix("s3://lakehouse/")
            self.store.put(key, b"an image", "image/png")
            self.store.put(thumbnail_key(key), thumbnail(), "image/jpeg")
        table = ensure_table(self.catalog, self.contract)
        files = write_data_files(table, [pa.Table.from_pylist(list(rows))])
        with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
            for file in files:
                append.append_data_file(file)

    def remove(self) -> None:
        for prefix in ("raw/images/", "raw/thumbnails/"):
            for entry in self.store.list(f"{prefix}{self.day}/"):
                self.store.delete(entry.key)
        if self.catalog.table_exists(self.contract.table):
            self.catalog.purge_table(self.contract.table)


@pytest.fixture
def gallery(
    stack: Installation, catalog: Catalog, store: ObjectStore, fresh_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Gallery]:
    with suppress(NamespaceAlreadyExistsError):
        catalog.create_namespace("media_db")
    made = Gallery(stack, catalog, store, fresh_name, tmp_path)
    monkeypatch.setenv("LAKEHOUSE_GALLERY", str(made.path))
    _forget()
    yield made
    _forget()
    made.remove()


def _forget() -> None:
    st.cache_data.clear()
    st.cache_resource.clear()


def _draw(name: str) -> None:
    import importlib

    from include.gallery.frame import show

    show(importlib.import_module(f"include.gallery.views.{name}").draw)


def visit(name: str, **address: str) -> AppTest:
    app = AppTest.from_function(_draw, args=(name,), default_timeout=120)
    for key, value in address.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def cards(app: AppTest) -> list[str]:
    return [button.key.removeprefix("open-") for button in app.button if button.key and button.key.startswith("open-")]


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception
    return app


def test_from_no_table_to_a_data_set_that_stays_what_it_is(gallery):
    app = visit("gallery")
    assert "There is no table" in app.info[0].value
    table = ensure_table(gallery.catalog, gallery.contract)
    assert "The table has no images yet" in press(app, "Refresh").info[0].value

    rows = [gallery.row(number) for number in range(60)]
    gallery.add(*rows)
    gallery.store.delete(thumbnail_key(rows[58]["s3_path"].removeprefix("s3://lakehouse/")))
    app = press(app, "Refresh")
    ids = [entry["image_id"] for entry in reversed(rows)]
    assert cards(app) == ids[:20]
    assert len(app.image) == 19
    assert sum("thumbnail missing: run reconcile_images" in element.value for element in app.get("html")) == 1
    assert [metric.value for metric in app.metric] == ["60", "1.8 MB", "30.5 KB", "3"]
    assert cards(app.get("pagination")[0].set_value(3).run()) == ids[40:]
    assert cards(visit("gallery", tag="user", max_kb="9")) == [rows[number]["image_id"] for number in (8, 5, 2)]
    smallest = visit("gallery").selectbox(key="order").select("Smallest file first").run()
    assert cards(smallest) == ids[:-21:-1]

    shown = lake.open_table(settings.load())
    text = io.StringIO()
    assert dataset.write_csv(Filters(tag=("user",)).select(shown.table, shown.snapshot_id), text) == 20
    listed = {line["image_id"] for line in csv.DictReader(io.StringIO(text.getvalue()))}
    assert listed == {entry["image_id"] for entry in rows if entry["tag"] == "user"}
    pinned = shown.snapshot_id
    before = press(visit("export"), "Prepare the manifest").code[0].value
    gallery.add(gallery.row(60))
    app = press(visit("export"), "Refresh")
    app.text_input(key="snapshot").set_value(str(pinned))
    assert press(app, "Prepare the manifest").code[0].value == before
    assert table.name() == shown.table.name()


def test_an_original_opens_in_the_browser_by_a_link_and_by_no_other(gallery):
    gallery.add(gallery.row(1))
    pictures = Pictures(settings.load().store)
    key = gallery.row(1)["s3_path"].removeprefix("s3://lakehouse/")
    link = pictures.link(key, save_as="one.png")
    answer = requests.get(link, timeout=10)
    assert (answer.status_code, answer.content) == (200, b"an image")
    assert answer.headers["content-disposition"] == 'attachment; filename="one.png"'
    assert requests.get(link.partition("?")[0], timeout=10).status_code == 403
    assert requests.get(link.replace(key, "archive/images/x"), timeout=10).status_code == 403
    assert requests.put(link, data=b"x", timeout=10).status_code == 403
    short = pictures._public_client.generate_presigned_url("get_object", Params={"Bucket": "lakehouse", "Key": key}, ExpiresIn=1)
    time.sleep(2.1)
    assert requests.get(short, timeout=10).status_code == 403


def test_the_gallerys_key_can_read_images_and_their_table_and_nothing_else(gallery, store):
    gallery.add(gallery.row(1))
    fields = gallery.fields["store"]
    keys = {"access_key": fields["access_key"], "secret_key": fields["secret_key"], "region": fields["region"], "bucket": "lakehouse"}
    ours = ObjectStore(endpoint_url=fields["endpoint_url"], **keys)
    image = gallery.row(1)["s3_path"].removeprefix("s3://lakehouse/")
    assert ours.read(image) == b"an image"
    refused: list[Callable[[], object]] = [lambda: ours.put(image, b"x"), lambda: ours.delete(image), lambda: list(ours.list("raw/"))]
    for prefix in ("archive/images", "refused/images", "landing/images", "quarantine/images", "staging/images", "raw/logs"):
        key = f"{prefix}/{gallery.day}"
        store.put(key, b"private")
        refused += [lambda key=key: ours.read(key), lambda key=key: ours.put(key, b"x")]
    for call in refused:
        with pytest.raises(ServiceError) as error:
            call()
        assert error.value.status == 403
    for prefix in ("archive/images", "refused/images", "landing/images", "quarantine/images", "staging/images", "raw/logs"):
        store.delete(f"{prefix}/{gallery.day}")

    catalog = open_catalog("hive_prod", **gallery.fields["catalog"])
    with pytest.raises(Exception, match=r"not authorized|Access Denied|Forbidden"):
        catalog.create_namespace(gallery.day.replace("-", "_"))
    table = catalog.load_table(gallery.contract.table)
    with pytest.raises(Exception, match=r"."), table.transaction() as transaction:
        transaction.set_properties(by="the gallery")
    assert "by" not in gallery.catalog.load_table(gallery.contract.table).properties


def test_a_store_that_is_down_is_told_soon(gallery):
    gallery.add(gallery.row(1))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        gallery.configure(endpoint_url=f"http://127.0.0.1:{found.getsockname()[1]}")
    started = time.monotonic()
    app = visit("gallery")
    assert "Nothing can be shown: the " in app.error[0].value
    assert "make status" in app.error[0].value
    assert time.monotonic() - started < 30
    gallery.configure()
    _forget()
    assert len(cards(visit("gallery"))) == 1
