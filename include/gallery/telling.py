"""Text for people: sizes, times, and what an error means and what to do about it. Text from the table is escaped here."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any, Literal

from include.gallery.lake import MissingTableError
from lakehouse import markdown
from lakehouse.exceptions import ConfigurationError, HistoryError, ServiceError, TransientError, VerificationError

log = logging.getLogger(__name__)

LABELS = {
    "image_id": "Image id", "tag": "Tag", "mime_type": "Format", "file_size": "Size", "frames": "Frames", "upload_time": "Uploaded",
    "created_at": "Registered", "source_system": "Source system", "source": "Source", "licence": "Licence", "checksum": "SHA-256",
    "source_checksum": "SHA-256 as it came", "perceptual_hash": "Perceptual hash", "private_metadata": "GPS and serial numbers",
    "s3_path": "Object",
}  # fmt: skip


def explained(error: Exception, table: str = "the table") -> tuple[Literal["info", "error"], str]:
    """How bad it is, and Markdown that says what is wrong and what to do."""
    said = markdown.escape(error)
    if isinstance(error, MissingTableError):
        return (
            "info",
            f"There is no table {markdown.escape(table)} yet. The DAG upload_images makes it: trigger it in Airflow, then press Refresh.",
        )
    if isinstance(error, TransientError):
        return "error", f"Nothing can be shown: {said}. Check that it runs (on the native stack: make status), then press Refresh."
    if isinstance(error, ServiceError):
        return "error", f"Nothing can be shown: {said}. Check the keys in the gallery's settings file; docs/gallery.md says what they need."
    if isinstance(error, (ConfigurationError, HistoryError, VerificationError)):
        return "error", f"{said[:1].upper()}{said[1:]}."
    log.error("not expected", exc_info=error)
    return (
        "error",
        f"The gallery met an error that it does not know ({type(error).__name__}). Its log has the details (make logs SERVICE=gallery).",
    )


def size(number: float | None) -> str:
    """Bytes as people say them; a kilobyte is 1,000 bytes."""
    if number is None:
        return "-"
    for unit in ("B", "KB", "MB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit == "B" or number >= 100 else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} GB"


def moment(value: datetime | None) -> str:
    """A time to the second, in UTC."""
    if value is None:
        return "-"
    return f"{value.astimezone(UTC) if value.tzinfo else value:%Y-%m-%d %H:%M:%S} UTC"


def dimensions(row: Mapping[str, Any]) -> str:
    """Width and height."""
    return f"{row['width']} x {row['height']}" if row.get("width") and row.get("height") else "-"


def facts(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Everything known of an image, by label."""
    shown = [("Resolution", dimensions(row))]
    for column, label in LABELS.items():
        value = row.get(column)
        text = size(value) + f" ({value:,} bytes)" if column == "file_size" and value is not None else value
        shown.append((label, moment(value) if isinstance(value, datetime) else "-" if text is None else str(text)))
    return shown


def as_html(pairs: list[tuple[str, str]]) -> str:
    """Labels and values; none of them can be more than text."""
    lines = (f"<div><span>{escape(label)}</span><span>{escape(value)}</span></div>" for label, value in pairs)
    return f"<div class='facts'>{''.join(lines)}</div>"
