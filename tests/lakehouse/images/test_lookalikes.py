from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import NestedField, StringType

from lakehouse.images.lookalikes import MAX_BITS, Pair, lookalikes

BUSY = 0x5A5A_1234_9BCD_E0F7


SCHEMA = Schema(NestedField(1, "image_id", StringType()), NestedField(2, "perceptual_hash", StringType()))
NUMBERS = count()


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> Iterator[SqlCatalog]:
    folder = tmp_path_factory.mktemp("catalog")
    opened = SqlCatalog("alike", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    opened.create_namespace("db")
    yield opened
    opened.close()


def alike(catalog: SqlCatalog, hashes: dict[str, int | None], *new: str) -> list[Pair]:
    rows = [{"image_id": key, "perceptual_hash": None if value is None else f"{value:016x}"} for key, value in hashes.items()]
    table = catalog.create_table(f"db.images{next(NUMBERS)}", SCHEMA)
    table.append(pa.Table.from_pylist(rows, schema=pa.schema([("image_id", pa.string()), ("perceptual_hash", pa.string())])))
    return lookalikes(table, {key: f"{hashes[key]:016x}" for key in new})


def test_new_images_are_paired_with_those_that_differ_in_few_bits_the_most_alike_first(catalog):
    hashes = {"new": BUSY, "same": BUSY, "near": BUSY ^ 0b101, "far": BUSY ^ 0b1111, "older": None}
    assert alike(catalog, hashes, "new") == [Pair("new", "same", 0), Pair("new", "near", 2)]


def test_a_pair_of_two_new_images_is_told_once(catalog):
    assert alike(catalog, {"a": BUSY, "b": BUSY}, "a", "b") == [Pair("a", "b", 0)]


def test_plain_surfaces_are_not_paired(catalog):
    assert alike(catalog, {"white": 0, "grey": 0, "black": 2**64 - 1}, "white", "grey") == []


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sets(st.integers(0, 63), max_size=6), min_size=1, max_size=6))
def test_no_pair_within_the_bound_is_missed(catalog, flips):
    hashes = {"new": BUSY} | {f"{number}": BUSY ^ sum(1 << bit for bit in bits) for number, bits in enumerate(flips)}
    near = {(key, (BUSY ^ value).bit_count()) for key, value in hashes.items() if key != "new" and (BUSY ^ value).bit_count() <= MAX_BITS}
    assert {(pair.other_id, pair.bits) for pair in alike(catalog, hashes, "new")} == near
