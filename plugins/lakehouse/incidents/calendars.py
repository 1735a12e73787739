"""Days on which people wait for data: the trading days of an exchange."""

from __future__ import annotations

from datetime import date
from functools import cache

import holidays

from lakehouse.exceptions import ConfigurationError

_SATURDAY = 5


def is_business_day(exchange: str, day: date) -> bool:
    """Whether an exchange trades on a day.

    Args:
        exchange: code of the package `holidays`, such as XNYS (New York) or XECB (the Eurosystem's TARGET).

    Raises:
        ConfigurationError: the package does not know the exchange.
    """
    return day.weekday() < _SATURDAY and day not in _holidays(exchange)


@cache
def _holidays(exchange: str) -> holidays.HolidayBase:
    try:
        return holidays.financial_holidays(exchange)
    except NotImplementedError as error:
        known = ", ".join(sorted(holidays.list_supported_financial()))
        raise ConfigurationError(f"calendar {exchange!r} is not known: write one of {known}") from error
