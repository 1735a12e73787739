"""What Streamlit runs: the pages and the way between them."""

from __future__ import annotations

from functools import partial

import streamlit as st
from PIL import Image

from include.gallery.frame import show
from include.gallery.views import export, gallery, search, statistics

# Named here, because browsers would fetch a page's own icon from another host.
st.set_page_config("Images", page_icon=Image.new("RGB", (32, 32), "#2563eb"), layout="wide")
pages = [
    st.Page(partial(show, gallery.draw), title="Gallery", icon=":material/photo_library:", url_path="gallery", default=True),
    st.Page(partial(show, search.draw), title="Search", icon=":material/search:", url_path="search"),
    st.Page(partial(show, statistics.draw), title="Statistics", icon=":material/bar_chart:", url_path="statistics"),
    st.Page(partial(show, export.draw), title="Export", icon=":material/download:", url_path="export"),
]
st.navigation(pages, position="top").run()
