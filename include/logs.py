"""How a row of `raw_logs` becomes a document of `logs-*`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

_MAX_KEYS = 50
_MAX_LENGTH = 8_000


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
