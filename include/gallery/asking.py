"""The widgets that ask which images; what is chosen stands in the page's address, so that a link opens the same images."""

from __future__ import annotations

from datetime import date

import streamlit as st

from include.gallery import cached
from include.gallery.lake import Shown
from include.gallery.query import ORDERS, Filters

# Names in the address; operators link to the gallery with them (docs/gallery.md).
PARAMETERS = ("tag", "from", "to", "source_system", "format", "min_kb", "max_kb", "image", "order", "page")
# Without bounds Streamlit takes ten years around today.
_FIRST, _LAST = date(1970, 1, 1), date(2099, 12, 31)


def first_page() -> None:
    """Other images are asked for."""
    st.session_state["page"] = 1


def clear() -> None:
    """Forget what was asked for."""
    for name in PARAMETERS:
        st.session_state.pop(name, None)
        st.query_params.pop(name, None)


def filters(shown: Shown) -> Filters:
    """What is chosen in the side bar."""
    offered = cached.options(shown.version, shown)
    with st.sidebar:
        st.subheader("Filters")
        tag = st.multiselect("Tag", offered["tag"], key="tag", accept_new_options=True, on_change=first_page, bind="query-params")
        first = st.date_input(
            "Uploaded from", None, key="from", min_value=_FIRST, max_value=_LAST, on_change=first_page, bind="query-params"
        )
        last = st.date_input(
            "Uploaded to (UTC)", None, key="to", min_value=_FIRST, max_value=_LAST, on_change=first_page, bind="query-params"
        )
        left, right = st.columns(2)
        low = left.number_input("From KB", 0, step=100, value=None, key="min_kb", on_change=first_page, bind="query-params")
        high = right.number_input("To KB", 0, step=100, value=None, key="max_kb", on_change=first_page, bind="query-params")
        kinds = st.multiselect(
            "Format", offered["mime_type"], key="format", accept_new_options=True, on_change=first_page, bind="query-params"
        )
        systems = st.multiselect(
            "Source system",
            offered["source_system"],
            key="source_system",
            accept_new_options=True,
            on_change=first_page,
            bind="query-params",
        )
        image = st.text_input("Image id begins with", key="image", on_change=first_page, bind="query-params")
        st.button("Clear filters", on_click=clear, width="stretch")
    return Filters(
        tag=tuple(tag),
        first=_day(first),
        last=_day(last),
        min_bytes=None if low is None else low * 1000,
        max_bytes=None if high is None else high * 1000,
        mime_type=tuple(kinds),
        source_system=tuple(systems),
        image_id=image.strip(),
    )


def order() -> str:
    """The order of the images."""
    return st.selectbox("Order", list(ORDERS), key="order", on_change=first_page, bind="query-params")


def page_number() -> int:
    """The page that is asked for, before its widget is drawn below the images."""
    asked = st.session_state.get("page", st.query_params.get("page", "1"))
    return max(1, int(asked)) if str(asked).isdecimal() else 1


def _day(value: object) -> date | None:
    return value if isinstance(value, date) else None
