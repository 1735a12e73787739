"""Nobody waits for ever: a time limit on whatever a page asks of another server."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

from lakehouse.exceptions import TransientError

Answer = TypeVar("Answer")


def within(seconds: float, what: str, work: Callable[[], Answer]) -> Answer:
    """The result of `work`, unless it takes longer.

    Raises:
        TransientError: the time is over; the work goes on in its thread until its own limits end it.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="within")
    try:
        return pool.submit(work).result(timeout=seconds)
    except FutureTimeoutError as error:
        raise TransientError(f"{what} did not answer in {seconds:g} s") from error
    finally:
        pool.shutdown(wait=False)
