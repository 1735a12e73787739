from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import streamlit as st
from pyiceberg.types import NestedField, StringType, TimestamptzType
from streamlit.testing.v1 import AppTest

from lakehouse.images.keys import thumbnail_key
from tests.include.gallery.local_lake import TABLE, Lake, row, write_settings

Pages = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def _no_custom_components(monkeypatch: pytest.MonkeyPatch) -> None:
    """At each first run Streamlit looks through every installed package for them, which takes a second."""
    monkeypatch.setattr("streamlit.components.v2.manifest_scanner.scan_component_manifests", list)


def _forget() -> None:
    st.cache_data.clear()
    st.cache_resource.clear()


def _open(name: str, **address: Any) -> AppTest:
    """A page as a person's first visit has it, with what stands in its address."""
    app = AppTest.from_function(_draw, args=(name,), default_timeout=60)
    for key, value in address.items():
        app.query_params[key.rstrip("_")] = value
    return app.run()


@pytest.fixture
def page(lake: Lake) -> Iterator[Pages]:
    """Opens pages of a gallery that the test fills itself."""
    _forget()
    yield _open
    _forget()


@pytest.fixture(scope="module")
def warm(sixty: Lake) -> Iterator[Pages]:
    _forget()
    yield _open
    _forget()


@pytest.fixture
def sixty_page(warm: Pages, sixty: Lake, monkeypatch: pytest.MonkeyPatch) -> Pages:
    """Opens pages of a gallery of sixty images, that the test leaves as it is."""
    monkeypatch.setenv("LAKEHOUSE_GALLERY", str(sixty.settings))
    return warm


@pytest.fixture
def filled(lake: Lake) -> int:
    """Sixty images in the test's own gallery; the snapshot."""
    return lake.add(*(row(number) for number in range(60)))


def _draw(name: str) -> None:
    import importlib

    from include.gallery.frame import show

    show(importlib.import_module(f"include.gallery.views.{name}").draw)


def texts(app: AppTest) -> str:
    """All that is written on the page."""
    assert not app.exception, app.exception
    kinds = ("title", "markdown", "info", "error", "warning", "success", "caption", "text", "code", "html")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def cards(app: AppTest) -> list[str]:
    """Ids of the images that are shown, in order."""
    assert not app.exception, app.exception
    return [button.key.removeprefix("open-") for button in app.button if button.key and button.key.startswith("open-")]


def press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def ids(*numbers: int) -> list[str]:
    return [row(number)["image_id"] for number in numbers]


def test_twenty_images_a_page_newest_first_with_their_figures(sixty_page, sixty):
    app = sixty_page("gallery")
    assert cards(app) == ids(*range(59, 39, -1))
    assert len(app.image) == 20
    assert [metric.value for metric in app.metric] == ["60", "1.8 MB", "30.5 KB", "3"]
    assert f"snapshot {sixty.snapshot_id}, made 20" in texts(app)
    assert "check: catalog" in texts(app)
    assert "check: store" in texts(app)


def test_pages_follow_one_another_and_one_past_the_last_is_said(sixty_page):
    app = sixty_page("gallery")
    assert cards(app.get("pagination")[0].set_value(3).run()) == ids(*range(19, -1, -1))
    assert "There is no page 9: these images fill 3." in texts(app := sixty_page("gallery", page="9"))
    assert cards(press(app, "To the first page")) == ids(*range(59, 39, -1))


def test_a_link_opens_the_gallery_filtered(sixty_page):
    app = sixty_page("gallery", tag="user", from_="2026-11-02", to="2026-11-03")
    assert cards(app) == ids(*range(59, 19, -3))
    assert app.metric[0].value == "14"
    assert cards(sixty_page("gallery", image=ids(7)[0][:10])) == ids(7)


@pytest.mark.parametrize(
    ("address", "numbers"),
    [
        ({"format": "image/jpeg", "tag": "product"}, range(55, 0, -6)),
        ({"source_system": "api", "max_kb": "10"}, [9, 6, 3, 0]),
        ({"min_kb": "58"}, [59, 58, 57]),
        ({"tag": "none of them"}, []),
    ],
)
def test_filters_narrow_the_images_down(sixty_page, address, numbers):
    app = sixty_page("gallery", **address)
    assert cards(app) == ids(*numbers)
    assert app.metric[0].value == str(len(numbers))
    assert ("No image matches these filters" in texts(app)) == (not numbers)


def test_another_filter_begins_at_the_first_page_and_can_be_cleared(sixty_page):
    app = sixty_page("gallery", page="3")
    app.multiselect(key="tag").select("user").run()
    assert cards(app) == ids(*range(59, 0, -3))
    app = press(app, "Clear filters")
    assert app.metric[0].value == "60"


@pytest.mark.parametrize(
    ("order", "first"),
    [("Oldest first", [0, 1]), ("Largest file first", [59, 58]), ("Smallest file first", [0, 1]), ("Widest first", [59, 58])],
)
def test_orders(sixty_page, order, first):
    assert cards(sixty_page("gallery").selectbox(key="order").select(order).run())[:2] == ids(*first)


def test_what_was_read_is_kept_until_refresh(page, lake, filled):
    app = page("gallery")
    lake.add(row(60))
    assert app.run().metric[0].value == "60"
    assert press(app, "Refresh").metric[0].value == "61"


def test_a_thumbnail_that_is_missing_or_broken_is_said_on_its_card_alone(page, lake, filled):
    missing, broken = (thumbnail_key(row(number)["s3_path"].removeprefix("s3://lakehouse/")) for number in (59, 50))
    del lake.objects[missing]
    lake.objects[broken] = b"<svg onload=alert(1)>"
    lake.add(row(60, s3_path="s3://elsewhere/raw/images/2026-11-01/x.png"))
    app = page("gallery")
    assert len(cards(app)) == 20
    assert len(app.image) == 17
    assert texts(app).count("thumbnail missing: run reconcile_images") == 3


def test_a_missing_table_is_told_with_what_to_do(page):
    for name in ("gallery", "search", "statistics", "export"):
        app = page(name)
        assert "There is no table media_db.image_metadata yet. The DAG upload_images makes it" in texts(app)
        assert not app.error


@pytest.mark.parametrize("name", ["gallery", "statistics", "export"])
def test_an_empty_table_is_told_with_what_to_do(page, lake, name):
    lake.make_table()
    app = page(name)
    assert "The table has no images yet. Put some under landing/images/ and run the DAG upload_images" in texts(app)
    assert "no snapshot yet" in texts(app) or name != "gallery"


def closed_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{found.getsockname()[1]}"


def test_a_catalog_that_is_down_is_told(page, lake):
    properties = {"type": "rest", "uri": closed_port(), "credential": "a:very-secret"}
    write_settings(lake.settings, properties, lake.url)
    app = page("gallery")
    assert f"Nothing can be shown: the catalog at {properties['uri']} does not answer" in texts(app).replace("\\", "")
    assert "make status" in texts(app)
    assert "very-secret" not in texts(app)


def test_a_store_that_is_down_leaves_the_metadata(page, lake, filled):
    lake.status = 503
    app = page("gallery")
    assert len(cards(app)) == 20
    assert "answers 503" in app.error[0].value
    assert "error: store" in texts(app)
    lake.status = 200
    assert not press(app, "Refresh").error


def test_a_key_that_the_store_refuses_is_told(page, lake, filled):
    lake.status = 403
    assert "refuses the gallery's key" in page("gallery").error[0].value


def test_settings_that_are_missing_are_told(page, lake, monkeypatch):
    monkeypatch.delenv("LAKEHOUSE_GALLERY")
    assert "LAKEHOUSE_GALLERY is not set" in page("gallery").error[0].value


def test_an_error_that_nobody_thought_of_is_a_sentence_too(page, filled, monkeypatch, caplog):
    monkeypatch.setattr("include.gallery.query.Filters.select", lambda *_: 1 / 0)
    app = page("gallery")
    assert "met an error that it does not know (ZeroDivisionError)" in app.error[0].value
    assert "division by zero" in caplog.text


def test_text_from_the_table_is_never_markup(page, lake):
    hostile = "<script>alert(1)</script> **b** [l](http://e) :red[x]"
    lake.add(row(1, tag=hostile, source=hostile, licence=hostile))
    html = "\n".join(element.value for element in page("gallery").get("html"))
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt; **b** [l](http://e) :red[x]") == 4
    for name in ("gallery", "statistics", "export"):
        markdown = "\n".join(element.value for element in page(name).markdown)
        assert "script" not in markdown


def test_the_full_size_opens_by_links_for_browsers_that_soon_end(sixty_page):
    app = sixty_page("gallery")
    next(button for button in app.button if button.key == f"open-{ids(59)[0]}").click().run()
    assert not app.exception
    [link] = app.get("link_button")
    assert link.proto.url.startswith("http://pictures.example:8333/lakehouse/raw/images/2026-11-03/")
    assert "X-Amz-Expires=300" in link.proto.url
    assert "response-content-disposition=attachment" in link.proto.url
    original = app.image[-1].value[0]
    assert original.startswith("http://pictures.example:8333/")
    assert "response-content-disposition" not in original


def test_an_original_that_is_gone_is_told(page, lake, filled):
    del lake.objects[row(59)["s3_path"].removeprefix("s3://lakehouse/")]
    app = page("gallery")
    next(button for button in app.button if button.key == f"open-{ids(59)[0]}").click().run()
    assert "The object of this image is missing" in app.warning[0].value
    assert not app.get("link_button")


def test_a_table_by_hand_without_the_newer_columns_and_with_nulls_is_shown(page, lake):
    from pyiceberg.schema import Schema

    lake.catalog.create_namespace("media_db")
    schema = Schema(NestedField(1, "image_id", StringType()), NestedField(2, "upload_time", TimestamptzType()))
    made = lake.catalog.create_table(TABLE, schema=schema)
    import pyarrow as pa

    made.append(pa.Table.from_pylist([{"image_id": "ab", "upload_time": None}], schema=made.schema().as_arrow()))
    app = page("gallery")
    assert cards(app) == ["ab"]
    assert "no tag" in texts(app)
    app = page("gallery", tag="user")
    assert cards(app) == []
    assert not app.error
    for name in ("search", "statistics", "export"):
        texts(page(name))


@pytest.mark.parametrize(
    ("field", "text", "numbers"),
    [
        ("found_id", row(3)["image_id"][:9].upper(), [3]),
        ("found_checksum", row(4)["source_checksum"], [4]),
        ("found_checksum", row(5)["checksum"][:12], [5]),
        ("found_source", "sample-1", [19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 1]),
        ("found_licence", "cc0-1", range(59, 0, -2)),
        ("found_tag", "user", range(59, 0, -3)),
        ("found_source", "nowhere", []),
    ],
)
def test_search(sixty_page, field, text, numbers):
    app = sixty_page("search")
    assert "Fill in at least one field" in app.info[0].value
    app.text_input(key=field).set_value(text)
    app = press(app, "Search")
    assert not app.exception
    if not numbers:
        assert app.info[0].value == "No image matches."
        return
    assert app.subheader[0].value == f"{len(numbers)} found"
    assert list(app.dataframe[0].value["Image id"]) == ids(*numbers)[:20]


def test_search_by_dimensions(sixty_page):
    app = sixty_page("search")
    app.slider(key="found_width").set_value((690, 10_000))
    assert list(press(app, "Search").dataframe[0].value["Image id"]) == ids(*range(59, 49, -1))


def test_statistics_are_plotted(sixty_page):
    app = sixty_page("statistics")
    assert not app.exception
    plots = [json.loads(chart.proto.spec) for chart in app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")]
    assert len(plots) == 5
    assert list(app.dataframe[0].value["image id"]) == ids(*range(59, 49, -1))


def manifest(app: AppTest, snapshot: object = "") -> AppTest:
    if snapshot:
        app.text_input(key="snapshot").set_value(str(snapshot))
    app = press(app, "Prepare the manifest")
    assert not app.exception
    return app


def test_a_pinned_data_set_stays_what_it_is_when_images_come(page, lake, filled):
    first = manifest(page("export", tag="user"))
    assert "20 images" in first.success[0].value
    lake.add(row(60), row(61), row(62))
    app = page("export", tag="user")
    app = press(app, "Refresh")
    assert manifest(app).code[0].value != first.code[0].value
    assert manifest(app, filled).code[0].value == first.code[0].value


@pytest.mark.parametrize(("snapshot", "told"), [("soon", "A snapshot id is a number"), ("42", "has no snapshot 42")])
def test_a_snapshot_that_is_not_there_is_told(sixty_page, snapshot, told):
    assert told in manifest(sixty_page("export"), snapshot).error[0].value


def test_a_data_set_that_is_too_large_for_a_page_names_the_command(sixty_page, sixty, monkeypatch):
    monkeypatch.setattr("include.gallery.dataset.MANIFEST_IMAGES", 59)
    app = manifest(sixty_page("export"))
    assert f"python -m include.gallery.dataset --snapshot {sixty.snapshot_id}" in app.error[0].value
