"""What is around every page: the snapshot that it shows, errors as sentences, and how catalog and store are."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from include.gallery import cached, telling
from include.gallery.lake import Shown
from include.gallery.settings import CACHE_SECONDS
from lakehouse import markdown


def show(draw: Callable[[Shown], None]) -> None:
    """Draw a page of the present snapshot; whatever goes wrong is told in a sentence, never as a stack trace."""
    table = ""
    try:
        table = cached.settings().table
        shown = cached.shown()
        draw(shown)
        _status(shown)
    # The last place before the person who looks; the log has the rest.
    except Exception as error:  # noqa: BLE001
        level, text = telling.explained(error, table)
        (st.info if level == "info" else st.error)(text)
    if st.sidebar.button(
        "Refresh", icon=":material/refresh:", width="stretch", help=f"What is read is shown again for {CACHE_SECONDS // 60} minutes."
    ):
        cached.refresh()
        st.rerun()


def _status(shown: Shown) -> None:
    problem = cached.store_problem()
    store = f":red-badge[:material/error: store] {markdown.escape(problem)}" if problem else ":green-badge[:material/check: store]"
    snapshot = f"snapshot {shown.snapshot_id}, made {telling.moment(shown.made_at)}" if shown.snapshot_id else "no snapshot yet"
    st.divider()
    st.caption(f":green-badge[:material/check: catalog] {store} · {markdown.escape(cached.settings().table)} · {snapshot} · read only")
