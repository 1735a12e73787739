"""Sample application logs: closed JSON-lines files of ten minutes each, ending now; a slot's content is always the same."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

SLOT = timedelta(minutes=10)
_SECONDS = SLOT.total_seconds()
# Of ten slots about one has an outage; it lies within the slot, so that no slot has to know another.
_OUTAGE_SHARE = 0.1
_OUTAGES = {
    "order-gateway": "java.net.SocketTimeoutException: connect timed out: exchange-gateway:9443",
    "risk": "java.sql.SQLTransientConnectionException: connection timed out after 3000 ms: risk-db:5432",
    "market-data": "java.net.ConnectException: connection timed out: feed-handler:7001",
    "settlement": "java.io.IOException: connection to SeaweedFS timed out: s3:8333",
}
_TRACE = """{cause}
\tat com.example.{package}.Client.call(Client.java:{line})
\tat com.example.{package}.Retry.run(Retry.java:41)
\tat java.base/java.lang.Thread.run(Thread.java:1583)
Caused by: java.nio.channels.ClosedChannelException
\t... {more} more"""
_REJECTED = ("price out of range", "insufficient margin", "market closed", "unknown symbol")
_BACKGROUND = (
    ("market-data", "INFO", "quotes refreshed"),
    ("market-data", "WARN", "quote is stale"),
    ("risk", "INFO", "positions reconciled"),
    ("risk", "WARN", "slow answer of the margin calculator"),
    ("settlement", "INFO", "batch written"),
    ("settlement", "ERROR", "S3 upload failed, the batch is kept for the next turn"),
)


def files(rows: int, now: datetime | None = None) -> Iterator[tuple[str, bytes]]:
    """About `rows` lines over the 24 hours before `now`, as (file name, content); only slots that are over."""
    now = now or datetime.now(UTC)
    end = datetime.fromtimestamp(now.timestamp() // _SECONDS * _SECONDS, UTC)
    slots = int(timedelta(days=1) / SLOT)
    for number in range(slots, 0, -1):
        start = end - number * SLOT
        # Quiet at 03:00, busy at 15:00; over a day the shares add up to one.
        rhythm = 1 - 0.6 * math.cos((start.hour + start.minute / 60 - 3) * math.pi / 12)
        yield f"app-{start:%Y%m%dT%H%M}.jsonl", _Slot(start, max(1, round(rows / slots * rhythm))).body()


class _Slot:
    """Ten minutes of the services' lines, from a generator that is seeded by their beginning."""

    def __init__(self, start: datetime, rows: int) -> None:
        self.start, self.rows = start, rows
        self.random = random.Random(f"{start.isoformat()}/{rows}")  # noqa: S311  # sample data, not a secret
        self.lines: list[tuple[float, dict[str, Any]]] = []
        self.failing = self.random.choice(list(_OUTAGES)) if self.random.random() < _OUTAGE_SHARE else None
        self.down = self.random.uniform(60, 240)
        self.up = self.down + self.random.uniform(90, 300)

    def body(self) -> bytes:
        """The slot's lines in the order of their times."""
        if self.failing:
            self._outage(self.failing)
        while len(self.lines) < self.rows:
            self._session() if self.random.random() < 0.8 else self._background()
        lines = sorted(self.lines[: self.rows], key=lambda entry: entry[0])
        return "".join(json.dumps(line) + "\n" for _, line in lines).encode()

    def _say(self, moment: float, service: str, level: str, message: str, **meta: Any) -> float:
        """Adds a line, and returns when the next one may come."""
        moment = min(moment, _SECONDS - 0.001)
        slow = 6.0 if level != "INFO" else 1.0
        latency = round(self.random.lognormvariate(3, 0.6) * slow, 1)
        event_time = (self.start + timedelta(seconds=moment)).isoformat(timespec="microseconds")
        fields = {"service": service, "host": f"{service}-{self.random.randrange(2)}", **meta, "latency_ms": latency}
        self.lines.append((moment, {"event_time": event_time, "level": level, "message": message, "meta": fields}))
        return moment + latency / 1000 + self.random.expovariate(0.5)

    def _session(self) -> None:
        """A user signs in, trades and leaves."""
        who = {"user": f"user-{self.random.randrange(40):02d}", "visit_id": f"V-{self.random.getrandbits(32):08x}"}
        moment = self._say(self.random.uniform(0, _SECONDS - 30), "web", "INFO", "session opened", **who)
        for _ in range(self.random.randint(1, 4)):
            moment = self._order(moment, who)
        self._say(moment, "web", "INFO", "session closed", **who)

    def _order(self, moment: float, who: dict[str, str]) -> float:
        order = who | {"order_id": f"ORD-{self.random.getrandbits(40):010x}"}
        if self._is_down("order-gateway", moment):
            moment = self._fails(moment, "order-gateway", **order)
        moment = self._say(moment, "order-gateway", "INFO", "order accepted", **order)
        if self._is_down("risk", moment):
            moment = self._fails(moment, "risk", **order)
        if self.random.random() < 0.9:
            return self._say(moment, "order-gateway", "INFO", "order filled", **order)
        reason = self.random.choice(_REJECTED)
        return self._say(moment, "risk", "WARN", f"order rejected: {reason}", **order)

    def _background(self) -> None:
        service, level, message = self.random.choices(_BACKGROUND, weights=(40, 8, 25, 5, 20, 2))[0]
        moment = self.random.uniform(0, _SECONDS)
        self._say(moment, service, level, message) if not self._is_down(service, moment) else self._fails(moment, service)

    def _is_down(self, service: str, moment: float) -> bool:
        return service == self.failing and self.down <= moment < self.up

    def _fails(self, moment: float, service: str, **meta: Any) -> float:
        """A timeout with its stack trace, and a retry."""
        package = service.replace("-", "")
        trace = _TRACE.format(
            cause=_OUTAGES[service], package=package, line=self.random.randrange(60, 200), more=self.random.randrange(5, 30)
        )
        moment = self._say(moment, service, "ERROR", f"call failed: {trace}", **meta)
        return self._say(moment, service, "WARN", "retrying", attempt=self.random.randint(1, 3), **meta)

    def _outage(self, service: str) -> None:
        """The service fails for minutes, tries again and again, and recovers."""
        moment, last = self.down, self.up
        # At most half of a slot's lines; a small sample has a thinner burst.
        while moment < last and len(self.lines) < self.rows // 2:
            moment = self._fails(moment, service)
        self._say(last, service, "INFO", "recovered: the connection is back")
