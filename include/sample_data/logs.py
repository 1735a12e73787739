"""Sample application logs: closed JSON-lines files of ten minutes each, ending now; a slot's content is always the same."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

SLOT = timedelta(minutes=10)
_MESSAGES = {
    "INFO": ("order accepted", "order filled", "session opened", "quote refreshed", "position reconciled"),
    "WARN": ("quote is stale", "retrying the order gateway", "slow response of the risk service"),
    "ERROR": ("S3 upload failed", "order rejected by the exchange", "connection to SeaweedFS timed out"),
}
_SERVICES = ("order-gateway", "risk", "market-data", "settlement")


def files(rows: int, now: datetime | None = None) -> Iterator[tuple[str, bytes]]:
    """About `rows` lines over the 24 hours before `now`, as (file name, content); only slots that are over."""
    now = now or datetime.now(UTC)
    end = datetime.fromtimestamp(now.timestamp() // SLOT.total_seconds() * SLOT.total_seconds(), UTC)
    slots = int(timedelta(days=1) / SLOT)
    per_slot = max(1, round(rows / slots))
    for number in range(slots, 0, -1):
        start = end - number * SLOT
        yield f"app-{start:%Y%m%dT%H%M}.jsonl", _slot(start, per_slot)


def _slot(start: datetime, rows: int) -> bytes:
    rng = random.Random(f"{start.isoformat()}/{rows}")  # noqa: S311  # sample data, not a secret
    moments = sorted(rng.uniform(0, SLOT.total_seconds()) for _ in range(rows))
    lines = []
    for moment in moments:
        level = rng.choices(("INFO", "WARN", "ERROR"), weights=(85, 10, 5))[0]
        meta: dict[str, str | int] = {
            "user": f"user-{rng.randrange(40):02d}",
            "order_id": f"ORD-{rng.randrange(100_000):05d}",
            "service": rng.choice(_SERVICES),
        }
        meta |= {"latency_ms": rng.randrange(1, 900)}
        event_time = (start + timedelta(seconds=moment)).isoformat(timespec="microseconds")
        lines.append(json.dumps({"event_time": event_time, "level": level, "message": rng.choice(_MESSAGES[level]), "meta": meta}))
    return ("\n".join(lines) + "\n").encode()
