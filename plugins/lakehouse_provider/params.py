"""What a run was asked to do: its day, and the refusal of params that the DAG does not have."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lakehouse.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Context


def run_day(context: Context) -> date:
    """The run's day: `params.date`, else the data interval's start, else yesterday (UTC).

    Raises:
        ConfigurationError: `params.date` is no date.
    """
    text = context["params"].get("date")
    if text:
        try:
            return date.fromisoformat(str(text))
        except ValueError as error:
            raise ConfigurationError(f"param date is {text!r}: write a day as YYYY-MM-DD") from error
    start: datetime | None = context.get("data_interval_start")
    if start is not None:
        return start.date()
    return (context["dag_run"].run_after - timedelta(days=1)).date()


def refuse_unknown_params(context: Any) -> None:
    """A `pre_execute` hook: Airflow takes a misspelt param without a word, and the run then does something else than was asked.

    Raises:
        ConfigurationError: the run was given a param that the DAG does not have.
    """
    given = set(context["dag_run"].conf or {})
    known = set(context["dag"].params)
    if unknown := sorted(given - known):
        raise ConfigurationError(f"unknown params {unknown}: this DAG takes {sorted(known) or 'none'}")
