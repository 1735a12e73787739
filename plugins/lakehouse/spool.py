"""A log collector's spool folder into a landing prefix: files that cannot grow any more, each put there once."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import orjson

from lakehouse.masking import hide_secrets_in
from lakehouse.objects import ObjectStore

OPEN = ".jsonl.open"
# The collector writes a file a minute and nothing to it afterwards; the rest is for a machine that is slow.
_QUIET_SECONDS = 120
_MAX_MESSAGE = 32_000


def take_spool(folder: Path, store: ObjectStore, prefix: str) -> int:
    """Put every file that has been quiet for two minutes under `prefix`, then remove it; returns how many.

    Secrets are hidden on the way. A file's name has its content's digest: what is put again after a kill is the same object, and known
    to the loader.
    """
    taken = 0
    for path in sorted(folder.glob(f"*{OPEN}")):
        if time.time() - path.stat().st_mtime < _QUIET_SECONDS:
            continue
        body = hide_secrets_in(join_lines(path.read_bytes()))
        if body:
            digest = hashlib.sha256(body).hexdigest()[:12]
            store.put_once(f"{prefix}{path.name.removesuffix(OPEN)}-{digest}.jsonl", body, "application/x-ndjson")
        path.unlink()
        taken += 1
    return taken


def join_lines(body: bytes) -> bytes:
    """One JSON line per message: a line marked `continues` goes to the message before it in its file, as a stack trace does.

    What is marked `left_out` is dropped, with the lines that belong to it. A line that is not JSON stays as it is; the loader refuses it
    with a reason.
    """
    messages: list[dict[str, Any] | bytes] = []
    newest: dict[str, dict[str, Any] | None] = {}
    for line in body.split(b"\n"):
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
            file, text = record["meta"]["file"], record.get("message", "")
        except (ValueError, LookupError, TypeError, AttributeError):
            messages.append(line)
            continue
        if record.pop("left_out", 0):
            newest[file] = None
            continue
        if record.pop("continues", 0) and file in newest:
            before = newest[file]
            if before is None:
                continue
            if len(before["message"]) + len(text) < _MAX_MESSAGE:
                before["message"] += "\n" + text
                continue
        newest[file] = record
        messages.append(record)
    return b"".join((one if isinstance(one, bytes) else orjson.dumps(one)) + b"\n" for one in messages)
