"""What can be taken along: the metadata as CSV, and a data set that stays what it is."""

from __future__ import annotations

import tempfile
from functools import partial
from typing import BinaryIO, cast

import streamlit as st

from include.gallery import asking, cached, dataset
from include.gallery.lake import Shown
from include.gallery.query import Filters
from include.gallery.views.gallery import NO_IMAGES


def draw(shown: Shown) -> None:
    """Both take the images that the side bar chooses."""
    filters = asking.filters(shown)
    st.title("Export", anchor=False)
    if shown.snapshot_id is None:
        st.info(NO_IMAGES)
        return
    with st.spinner("Counting …", show_time=True):
        images = cached.totals(shown.version, filters, shown).images
    chosen = ", ".join(filters.chosen()) or "none"
    st.text(f"{images:,} images match. Filters set in the side bar: {chosen}.")
    with st.container(border=True):
        _csv(shown, filters, images)
    with st.container(border=True):
        _data_set(shown, filters)


def _csv(shown: Shown, filters: Filters, images: int) -> None:
    st.subheader("Metadata as CSV", anchor=False)
    parts = max(1, -(-images // dataset.CSV_ROWS))
    part = 1
    if parts > 1:
        st.markdown(f"A file has at most {dataset.CSV_ROWS:,} images; these take {parts}.")
        part = st.number_input("Part", 1, parts)
    name = f"images-{shown.snapshot_id}-{part}.csv" if parts > 1 else f"images-{shown.snapshot_id}.csv"
    make = partial(_csv_file, shown, filters, (part - 1) * dataset.CSV_ROWS)
    st.download_button("Download CSV", make, name, "text/csv", on_click="ignore", icon=":material/download:", disabled=not images)


def _csv_file(shown: Shown, filters: Filters, skip: int) -> BinaryIO:
    """Written to disk as it is read."""
    file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115  # Streamlit reads and closes it
    dataset.write_csv(filters.select(shown.table, shown.snapshot_id), file, skip=skip)
    file.seek(0)
    return cast(BinaryIO, file.buffer)


def _data_set(shown: Shown, filters: Filters) -> None:
    st.subheader("Data set pinned to a snapshot", anchor=False)
    st.markdown(
        "A manifest in JSON lines: the first line names table, snapshot and filters, then comes one line for each image, with its object "
        "and checksum. The same snapshot and filters give the same bytes again, as long as the snapshot is kept."
    )
    asked = st.text_input("Snapshot id", placeholder=f"{shown.snapshot_id}, the present one", key="snapshot")
    if not st.button("Prepare the manifest", type="primary"):
        return
    typed = asked.strip() or str(shown.snapshot_id)
    if not typed.isdecimal():
        st.error("A snapshot id is a number, such as that of the present one.")
        return
    selection = filters.select(shown.table, int(typed))
    images = selection.count() if shown.table.snapshot_by_id(int(typed)) else 0
    if images > dataset.MANIFEST_IMAGES:
        st.error(
            f"{images:,} images are more than a page can hand over ({dataset.MANIFEST_IMAGES:,}). "
            f"Set more filters, or run: python -m include.gallery.dataset --snapshot {int(typed)} --out images.jsonl"
        )
        return
    with tempfile.TemporaryFile() as file, st.spinner("Reading …", show_time=True):
        made = dataset.write_manifest(shown, filters, int(typed), file)
        file.seek(0)
        data = file.read()
    st.success(f"{made.images:,} images, {len(data):,} bytes. SHA-256 of the file:")
    st.code(made.sha256, language=None)
    name = f"images-{typed}-{made.sha256[:12]}.jsonl"
    st.download_button("Download manifest", data, name, "application/jsonl", on_click="ignore", icon=":material/download:")
