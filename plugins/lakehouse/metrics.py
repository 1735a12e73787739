"""The last figures of a batch job, given to a Prometheus Pushgateway, which keeps them for Prometheus to fetch.

Names follow Prometheus's practice (prometheus.io/docs/practices/naming): the prefix `lakehouse_`, base units, the unit in the plural at
the end (`_seconds`, `_bytes`), and no `_total`, which is for counters. A task that ends has gauges only, see
prometheus.io/docs/practices/pushing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread

import requests
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

from lakehouse.exceptions import ServiceError

log = logging.getLogger(__name__)

SECONDS = 5.0


@dataclass(frozen=True)
class Figure:
    """One gauge; figures of one name have the same label names."""

    name: str
    help: str
    labels: Mapping[str, str]
    value: float


def push(
    url: str,
    job: str,
    grouping: Mapping[str, str],
    figures: Sequence[Figure],
    *,
    auth: tuple[str, str] | None = None,
    verify: bool | str = True,
) -> bool:
    """Replace all figures of the group, which is the job and the grouping labels, by these.

    It decides no task's outcome: whatever goes wrong is one warning, and after `SECONDS` it is not waited for.

    Returns:
        Whether the gateway took them.
    """
    outcome: Future[None] = Future()

    def send() -> None:
        try:
            push_to_gateway(url, job, _registry(figures), dict(grouping), timeout=SECONDS, handler=_handler(auth, verify=verify))
        except Exception as error:  # noqa: BLE001  # it is raised again below
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    # A thread, because no client's timeout covers the look-up of the name, nor an answer that comes byte by byte.
    Thread(target=send, name="push-figures", daemon=True).start()
    try:
        outcome.result(SECONDS)
    except Exception as error:  # noqa: BLE001  # figures are less than the work that they tell of
        log.warning("the Pushgateway at %s has no figures of this run of %s, nothing else is affected: %s", url, job, _reason(error))
        return False
    return True


def _reason(error: BaseException) -> str:
    """The innermost error in one line; what requests says around it is mostly the address."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return " ".join(str(error).split())[:300] or f"no answer in {SECONDS:.0f} s"


def label_text(value: object, limit: int = 100) -> str:
    """A value that every label may have: printable and short, because each other value is another time series."""
    return "".join(char if char.isprintable() else "?" for char in str(value))[:limit]


def _registry(figures: Sequence[Figure]) -> CollectorRegistry:
    registry = CollectorRegistry()
    gauges: dict[str, Gauge] = {}
    for figure in figures:
        if figure.name not in gauges:
            gauges[figure.name] = Gauge(figure.name, figure.help, tuple(figure.labels), registry=registry)
        gauge = gauges[figure.name]
        (gauge.labels(**figure.labels) if figure.labels else gauge).set(figure.value)
    return registry


def _handler(auth: tuple[str, str] | None, *, verify: bool | str) -> Callable[..., Callable[[], None]]:
    """What prometheus-client sends with: its own knows no certificate authority, and drops the reason of a refusal."""

    def handler(url: str, method: str, timeout: float, headers: list[tuple[str, str]], data: bytes) -> Callable[[], None]:
        def send() -> None:
            response = requests.request(
                method, url, data=data, headers=dict(headers), timeout=timeout, auth=auth, verify=verify, allow_redirects=False
            )
            # 202 is of older gateways, which did not check what they were given.
            if response.status_code not in (200, 202):
                raise ServiceError(f"it answered {response.status_code}: {response.text[:200]}", status=response.status_code, target=url)

        return send

    return handler
