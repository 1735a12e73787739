"""Plots of what matches."""

from __future__ import annotations

import streamlit as st

from include.gallery import asking, cached, plots, telling
from include.gallery.lake import Shown
from include.gallery.views.gallery import NO_IMAGES, metrics


def draw(shown: Shown) -> None:
    """Figures and plots; the side bar narrows them down."""
    filters = asking.filters(shown)
    st.title("Statistics", anchor=False)
    with st.spinner("Counting …", show_time=True):
        totals = cached.totals(shown.version, filters, shown)
    metrics(totals)
    if not totals.images:
        st.info("No image matches these filters." if filters.chosen() else NO_IMAGES)
        return
    _plot("Images by upload day and tag", plots.by_day(totals))
    with st.grid(2, min_column_width=320):
        with st.container():
            _plot("File sizes", plots.sizes(totals))
        with st.container():
            _plot("Formats", plots.counted("Format", totals.formats))
        with st.container():
            _plot("Source systems", plots.counted("Source system", totals.systems))
        with st.container():
            points = cached.sample(shown.version, filters, totals.images, shown)
            _plot(f"Dimensions of {len(points):,} of the images" if len(points) < totals.images else "Dimensions", plots.dimensions(points))
    st.subheader("Biggest files", anchor=False)
    rows = cached.page(shown.version, filters, "Largest file first", 1, shown)[:10]
    st.dataframe(
        [
            {
                "open": f"./?image={row['image_id']}",
                "size": telling.size(row.get("file_size")),
                "resolution": telling.dimensions(row),
                "format": row.get("mime_type"),
                "tag": row.get("tag"),
                "image id": row["image_id"],
            }
            for row in rows
        ],
        column_config={"open": st.column_config.LinkColumn("", display_text="Open", width="small")},
        hide_index=True,
        width="stretch",
    )


def _plot(title: str, spec: plots.Spec) -> None:
    st.markdown(f"**{title}**")
    st.vega_lite_chart({**spec, "height": 240}, width="stretch")
