"""What the pages read, kept for five minutes; a snapshot never changes, so its name is part of every key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

from include.gallery import figures, lake
from include.gallery.pictures import Pictures
from include.gallery.query import FIELDS, KNOWN, ORDERS, PAGE_SIZE, Filters
from include.gallery.settings import CACHE_SECONDS, Settings, load
from include.gallery.waiting import within
from lakehouse.exceptions import HistoryError, LakehouseError, TransientError

Found = TypeVar("Found")

# Reading a column of a whole large table takes seconds.
READ_SECONDS = 30


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    """The settings, read once."""
    return load()


@st.cache_resource(show_spinner=False)
def pictures() -> Pictures:
    """The store."""
    return Pictures(settings().store)


@st.cache_resource(show_spinner=False)
def _counted_files() -> figures.Remembered:
    return figures.Remembered()


@st.cache_resource(ttl=CACHE_SECONDS, show_spinner=False)
def shown() -> lake.Shown:
    """The table at the snapshot that all pages show."""
    return lake.open_table(settings())


@st.cache_data(ttl=CACHE_SECONDS, show_spinner=False)
def options(version: str, _shown: lake.Shown) -> dict[str, list[str]]:  # noqa: ARG001  # part of the key
    """Values to choose from, by column: those that are known, and those that the manifests name."""
    whole = Filters().select(_shown.table, _shown.snapshot_id)
    there = _shown.table.schema().column_names
    return _read(
        lambda: {column: sorted({*known, *(whole.edge_values(column) if column in there else ())}) for column, known in KNOWN.items()}
    )


@st.cache_data(ttl=CACHE_SECONDS, max_entries=200, show_spinner=False)
def page(version: str, filters: Filters, order: str, number: int, _shown: lake.Shown) -> list[dict[str, Any]]:  # noqa: ARG001
    """A page of images; the first page is 1."""
    column, descending = ORDERS[order]
    selection, offset = filters.select(_shown.table, _shown.snapshot_id), (number - 1) * PAGE_SIZE
    return _read(lambda: selection.page(sort_by=column, descending=descending, offset=offset, limit=PAGE_SIZE, fields=FIELDS))


@st.cache_data(ttl=CACHE_SECONDS, max_entries=100, show_spinner=False)
def totals(version: str, filters: Filters, _shown: lake.Shown) -> figures.Totals:  # noqa: ARG001
    """The figures of all that matches."""
    return _read(lambda: figures.totals(filters.select(_shown.table, _shown.snapshot_id), _counted_files()))


@st.cache_data(ttl=CACHE_SECONDS, max_entries=20, show_spinner=False)
def sample(version: str, filters: Filters, images: int, _shown: lake.Shown) -> list[dict[str, Any]]:  # noqa: ARG001
    """Dimensions of some of the images."""
    return _read(lambda: figures.sample(filters.select(_shown.table, _shown.snapshot_id), images))


@st.cache_data(ttl=CACHE_SECONDS, max_entries=100, show_spinner=False)
def thumbnails(addresses: tuple[str | None, ...]) -> list[bytes | None]:
    """The thumbnails of a page, None for one that is missing or broken."""
    return pictures().thumbnails(addresses)


@st.cache_data(ttl=30, show_spinner=False)
def store_problem() -> str:
    """Why the store cannot be read; "" when it can."""
    try:
        pictures().check()
    except LakehouseError as error:
        return str(error)
    return ""


def refresh() -> None:
    """Look at the table and the store again; what was read of a snapshot still holds."""
    shown.clear()
    thumbnails.clear()
    store_problem.clear()


def _read(work: Callable[[], Found]) -> Found:
    """Rows come from the store, whose client raises plain OSErrors."""
    where = f"the store at {settings().store.endpoint_url}"
    try:
        return within(READ_SECONDS, where, work)
    except FileNotFoundError as error:
        raise HistoryError("files of the snapshot that is shown are gone, because it has expired: press Refresh") from error
    except OSError as error:
        raise TransientError(f"{where} does not give the table's files: {type(error).__name__}") from error
