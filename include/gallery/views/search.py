"""Looks for images by what is known of them."""

from __future__ import annotations

import streamlit as st

from include.gallery import cached
from include.gallery.lake import Shown
from include.gallery.query import ORDERS, PAGE_SIZE, Filters
from include.gallery.telling import LABELS


def draw(shown: Shown) -> None:
    """A form, and the images found as a table."""
    st.title("Search", anchor=False)
    filters, order = _form()
    if not filters.chosen():
        st.info("Fill in at least one field: ids and checksums match from their beginning, the source's and the licence's text anywhere.")
        return
    with st.spinner("Searching …", show_time=True):
        totals = cached.totals(shown.version, filters, shown)
    if not totals.images:
        st.info("No image matches.")
        return
    st.subheader(f"{totals.images:,} found", anchor=False)
    pages = -(-totals.images // PAGE_SIZE)
    number = min(st.pagination(pages, key="found_page"), pages) if pages > 1 else 1
    rows = cached.page(shown.version, filters, order, number, shown)
    columns = ("image_id", "tag", "mime_type", "width", "height", "file_size", "upload_time", "source", "licence", "checksum")
    listed = [{"open": f"./?image={row['image_id']}", **{LABELS.get(name, name): row.get(name) for name in columns}} for row in rows]
    config = {
        "open": st.column_config.LinkColumn("", display_text="Open", width="small"),
        LABELS["file_size"]: st.column_config.NumberColumn("Bytes", format="localized"),
        LABELS["upload_time"]: st.column_config.DatetimeColumn("Uploaded (UTC)", timezone="UTC", format="YYYY-MM-DD HH:mm:ss"),
    }
    st.dataframe(listed, column_config=config, hide_index=True, width="stretch", height="content")


def _form() -> tuple[Filters, str]:
    with st.form("search"), st.grid(3, min_column_width=220):
        image_id = st.text_input("Image id begins with", key="found_id")
        checksum = st.text_input("SHA-256 begins with", key="found_checksum", help="of the stored object, or of the file as it came")
        order = st.selectbox("Order", list(ORDERS), key="found_order")
        source = st.text_input("Source has in it", key="found_source", help="a key, a path or an address, in any case")
        licence = st.text_input("Licence has in it", key="found_licence")
        tag = st.text_input("Tag", key="found_tag")
        widths = st.slider("Width, pixels", 0, 10_000, (0, 10_000), 10, key="found_width")
        heights = st.slider("Height, pixels", 0, 10_000, (0, 10_000), 10, key="found_height")
        st.form_submit_button("Search", type="primary", icon=":material/search:", width="stretch")
    return Filters(
        image_id=image_id.strip(),
        checksum=checksum.strip(),
        source=source.strip(),
        licence=licence.strip(),
        tag=(tag.strip(),) if tag.strip() else (),
        min_width=widths[0] or None,
        max_width=widths[1] if widths[1] < 10_000 else None,
        min_height=heights[0] or None,
        max_height=heights[1] if heights[1] < 10_000 else None,
    ), order
