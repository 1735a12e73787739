"""A grid of images, and one of them in full."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import streamlit as st

from include.gallery import cached, telling
from include.gallery.settings import LINK_SECONDS
from lakehouse.exceptions import LakehouseError

COLUMNS = 4
STYLE = """<style>
[class*="st-key-picture"] div:has(img) {width: 100% !important}
[class*="st-key-picture"] img {aspect-ratio: 4 / 3; object-fit: contain; width: 100% !important; background: #f1f3f5; border-radius: 6px}
.st-key-fullsize img {max-height: 65vh; object-fit: contain}
.missing {aspect-ratio: 4 / 3; display: flex; align-items: center; justify-content: center; text-align: center; padding: 0 1rem;
  background: #fff4e6; color: #8a4b08; border-radius: 6px; font-size: .85rem}
.caption {display: flex; justify-content: space-between; gap: .5rem; font-size: .85rem; color: #495057}
.caption span {white-space: nowrap}
.caption b {color: #212529; overflow: hidden; text-overflow: ellipsis; white-space: nowrap}
.facts {display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: .4rem 1rem; font-size: .8rem}
.facts span {display: block; overflow-wrap: anywhere}
.facts span:first-child {color: #6c757d}
</style>"""


def grid(rows: Sequence[dict[str, Any]]) -> None:
    """Cards, four in a row where the window is wide enough."""
    st.html(STYLE)
    found, problem = _thumbnails(rows)
    if problem:
        st.error(telling.explained(problem)[1])
    cells = st.grid(COLUMNS, min_column_width=190, border=True)
    for row, thumbnail in zip(rows, found, strict=True):
        with cells.cell():
            _card(
                row,
                thumbnail,
                reason="the store gives no thumbnails" if problem else "thumbnail missing: run reconcile_images",
                alone=len(rows) == 1,
            )


def _thumbnails(rows: Sequence[dict[str, Any]]) -> tuple[list[bytes | None], LakehouseError | None]:
    try:
        return cached.thumbnails(tuple(row.get("s3_path") for row in rows)), None
    except LakehouseError as error:
        return [None] * len(rows), error


def _card(row: dict[str, Any], thumbnail: bytes | None, *, reason: str, alone: bool) -> None:
    image_id = row["image_id"]
    with st.container(key=f"picture-{image_id}", gap="xsmall"):
        if thumbnail is None:
            st.html(f"<div class='missing'>{escape(reason)}</div>")
        else:
            st.image(thumbnail, width="stretch", alt=f"{row.get('tag') or 'image'} {image_id[:12]}")
        tag, detail = escape(str(row.get("tag") or "no tag")), escape(f"{telling.dimensions(row)} · {telling.size(row.get('file_size'))}")
        st.html(f"<div class='caption'><b>{tag}</b><span>{detail}</span></div>")
        with st.expander("Details", expanded=alone):
            st.html(telling.as_html(telling.facts(row)))
        if st.button("Full size", key=f"open-{image_id}", width="stretch"):
            full_size(row)


@st.dialog("Image", width="large")
def full_size(row: dict[str, Any]) -> None:
    """The original, straight from the store by a link that soon ends."""
    st.html(STYLE)
    store, key = cached.pictures(), cached.pictures().key_of(row.get("s3_path"))
    try:
        there = key is not None and store.has(key)
    except LakehouseError as error:
        st.error(telling.explained(error)[1])
        return
    if key is None or not there:
        st.warning("The object of this image is missing: run reconcile_images, which lists what is gone.")
    else:
        name = f"{row['image_id'][:16]}.{key.rpartition('.')[2]}"
        with st.container(horizontal=True, vertical_alignment="center"):
            st.link_button("Download", store.link(key, save_as=name), type="primary", icon=":material/download:")
            st.caption(f"The links work for {LINK_SECONDS // 60} minutes; open the image again for new ones.")
        with st.container(key="fullsize"):
            st.image(store.link(key), alt=f"image {row['image_id'][:12]}")
    st.html(telling.as_html(telling.facts(row)))
