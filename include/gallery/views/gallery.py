"""The images, a page at a time."""

from __future__ import annotations

import streamlit as st

from include.gallery import asking, cached, cards
from include.gallery.figures import Totals
from include.gallery.lake import Shown
from include.gallery.query import PAGE_SIZE
from include.gallery.telling import size


def draw(shown: Shown) -> None:
    """The images come first, the figures, which need a look at all that matches, after them."""
    filters = asking.filters(shown)
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    left.title("Images", anchor=False)
    with right:
        order = asking.order()
    place = st.container()
    number = asking.page_number()
    rows = cached.page(shown.version, filters, order, number, shown)
    if rows:
        cards.grid(rows)
    with st.spinner("Counting …", show_time=True):
        totals = cached.totals(shown.version, filters, shown)
    with place:
        metrics(totals)
    if not totals.images:
        st.info(
            "No image matches these filters. Clear one of them, or all by the button in the side bar." if filters.chosen() else NO_IMAGES
        )
        return
    pages = -(-totals.images // PAGE_SIZE)
    if not rows:
        st.info(f"There is no page {number}: these images fill {pages}.")
        st.button("To the first page", on_click=asking.first_page)
        return
    if pages > 1:
        st.pagination(pages, key="page", bind="query-params")


NO_IMAGES = "The table has no images yet. Put some under landing/images/ and run the DAG upload_images, then press Refresh."


def metrics(totals: Totals) -> None:
    """The four figures of what matches."""
    with st.grid(4, min_column_width=160):
        st.metric("Images", f"{totals.images:,}", border=True)
        st.metric("Total", size(totals.bytes), border=True)
        st.metric("Average", size(totals.average_bytes), border=True)
        st.metric("Tags", f"{len(totals.tags.keys() - {None}):,}", border=True)
