"""Whether the objects that a sample of the rows names are there."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lakehouse.contracts import Check
from lakehouse.quality.results import OBJECTS, Measured
from lakehouse.sql import Cursor, identifier

SAMPLE = 50


def missing_objects(cursor: Cursor, check: Check, source: str, exists: Callable[[str], bool]) -> Measured:
    """How many objects are missing, of a random sample of the addresses in the rule's column (50, or its argument `sample`).

    A percentage is one of the sample.
    """
    column = identifier(check.column or "")
    limit = int(dict(check.arguments).get("sample", SAMPLE))
    cursor.execute(f"SELECT {column} FROM {source} WHERE {column} IS NOT NULL ORDER BY random() LIMIT {limit:d}")  # noqa: S608  # quoted
    addresses = [str(row[0]) for row in cursor.fetchall()]
    with ThreadPoolExecutor(max_workers=8) as pool:
        missing = [address for address, there in zip(addresses, pool.map(exists, addresses), strict=True) if not there]
    value = float(len(missing)) if not check.percent or not addresses else 100 * len(missing) / len(addresses)
    return Measured(value, OBJECTS, detail=f"of a sample of {len(addresses)}" + (f", missing such as {missing[0]}" if missing else ""))
