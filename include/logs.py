"""How a line of JSON becomes a row of `raw_logs`, and where in OpenSearch that row goes."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakehouse.opensearch.target import Target

OPENSEARCH = Path(__file__).resolve().parent / "opensearch"
LOGS = Target(
    prefix="logs-",
    event_time="event_time",
    template=OPENSEARCH / "index_templates" / "logs.json",
    json_columns=("meta",),
    lifted={"service": "meta.service"},
)
_MAX_MESSAGE = 32_768
# Made once: `json.dumps` with options makes an encoder at each call.
_TO_TEXT = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def to_row(document: dict[str, Any], ingest_time: datetime) -> dict[str, Any]:
    """A line's row without its key.

    Raises:
        ValueError: with a reason class and a detail, when the line cannot be taken.
    """
    message, meta, level = document.get("message"), document.get("meta"), document.get("level")
    if message is not None and len(str(message)) > _MAX_MESSAGE:
        raise ValueError("message_too_long", f"{len(str(message))} characters, at most {_MAX_MESSAGE}")
    return {
        "event_time": _moment(document.get("event_time")),
        "level": None if level is None else str(level).upper(),
        "message": None if message is None else str(message),
        "meta": meta if meta is None or isinstance(meta, str) else _TO_TEXT(meta),
        "ingest_time": ingest_time,
    }


def _moment(value: object) -> datetime | None:
    """ISO 8601; without a zone it is UTC."""
    if value is None:
        return None
    try:
        # Python reads 1764010112 as a day of the year 1764.
        if not _DAY.match(str(value)):
            raise ValueError("no date")
        moment = datetime.fromisoformat(str(value))
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("bad_event_time", f"event_time {value!r} is not ISO 8601 in the years 1 to 9999") from error
