"""How a line of JSON becomes a row of `raw_logs`, and how that becomes a document of `logs-*`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import orjson

_MAX_KEYS = 50
_MAX_LENGTH = 8_000
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


def to_document(row: dict[str, Any]) -> tuple[datetime | None, dict[str, Any]]:
    """Event time and document; `meta` is opened into flat fields of text, and kept as text where that cannot be.

    Kept as text: what is not a JSON object, or has over 50 keys or 8,000 characters. Values that are not plain are kept as JSON text,
    so that no two documents disagree on a field's type.
    """
    event_time, ingest_time, meta = _utc(row["event_time"]), _utc(row["ingest_time"]), row["meta"]
    document = {
        "event_time": event_time.isoformat() if event_time else None,
        "level": row["level"],
        "message": row["message"],
        "ingest_time": ingest_time.isoformat() if ingest_time else None,
    }
    if meta is None:
        return event_time, document
    fields = _open(meta)
    if fields is None:
        return event_time, document | {"meta_text": meta[:_MAX_LENGTH]}
    return event_time, document | {"service": fields.get("service"), "meta": fields}


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


def _utc(moment: datetime | None) -> datetime | None:
    """A table made by hand has times without a zone; they are UTC."""
    return moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None


def _open(meta: str) -> dict[str, str] | None:
    if len(meta) > _MAX_LENGTH:
        return None
    try:
        # Strict: lone surrogates and deep nesting are errors here, not in the middle of a bulk.
        parsed = orjson.loads(meta)
        if not isinstance(parsed, dict) or len(parsed) > _MAX_KEYS:
            return None
        values = {key: value if isinstance(value, str) else orjson.dumps(value).decode() for key, value in parsed.items()}
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    fields = {key: value for key, value in values.items() if "." not in key}
    for key in values.keys() - fields.keys():
        # A dot in a key would make an object out of it and clash with a plain field of that name.
        name = key.replace(".", "_")
        while name in fields:
            name += "_"
        fields[name] = values[key]
    return fields
