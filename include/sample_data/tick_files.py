"""Sample XML files of option ticks, the same for the same day: two are fine, one comes twice, one has bad records, one is cut off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from itertools import islice
from xml.sax.saxutils import quoteattr

from include.spark.option_ticks import batches, work_of

_ROWS = 500
_SEED = 11
_COLUMNS = ("timestamp", "symbol", "bid_price", "bid_size", "ask_price", "ask_size", "last_price", "volume", "exchange")


def files(day: date) -> Iterator[tuple[str, bytes]]:
    """(file name, content) of each file."""
    lines = _lines(day)
    good, more, bad = (list(islice(lines, _ROWS)) for _ in range(3))
    # Few enough for what the contract allows.
    for number, (name, value) in enumerate((("bid_size", "-5"), ("symbol", "XYZ99C1"), ("bid_price", "99999"), ("timestamp", "noon"))):
        bad[10 * number] = re.sub(f'{name}="[^"]*"', f'{name}="{value}"', bad[10 * number])
    yield f"ticks-{day}-a.xml", _document(good)
    yield f"ticks-{day}-a-again.xml", _document(good)
    yield f"ticks-{day}-b.xml", _document(more)
    yield f"ticks-{day}-bad-records.xml", _document(bad)
    yield f"ticks-{day}-cut-off.xml", _document(good)[:-200]


def _lines(day: date) -> Iterator[str]:
    for batch in batches(work_of({day: 3 * _ROWS}), _SEED):
        for row in batch.select(list(_COLUMNS)).to_pylist():
            row["timestamp"] = row["timestamp"].isoformat(timespec="microseconds")
            row["volume"] //= 50  # a small second source, not the whole market again
            values = " ".join(f"{name}={quoteattr(str(value))}" for name, value in row.items() if value is not None)
            yield f"  <tick {values}/>"


def _document(lines: list[str]) -> bytes:
    text = '<?xml version="1.0" encoding="UTF-8"?>\n<ticks xmlns="urn:lakehouse:ticks:1" source="sample">\n'
    return (text + "\n".join(lines) + "\n</ticks>\n").encode()
