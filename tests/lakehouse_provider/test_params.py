from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from lakehouse.exceptions import ConfigurationError
from lakehouse_provider.params import refuse_unknown_params, run_day

RUN = SimpleNamespace(run_after=datetime(2026, 11, 20, 0, 30, tzinfo=UTC), conf=None)
INTERVAL = datetime(2026, 11, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("context", "day"),
    [
        pytest.param({"params": {"date": "2026-01-31"}, "data_interval_start": INTERVAL}, date(2026, 1, 31), id="the param comes first"),
        pytest.param({"params": {"date": None}, "data_interval_start": INTERVAL}, date(2026, 11, 18), id="then the data interval"),
        pytest.param({"params": {}, "data_interval_start": None}, date(2026, 11, 19), id="then the day before the run"),
        pytest.param({"params": {"date": ""}}, date(2026, 11, 19), id="an empty param is none"),
    ],
)
def test_the_day_of_a_run(context, day):
    assert run_day({"dag_run": RUN} | context) == day


@pytest.mark.fault(25)
@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "2026-11-20'; DROP TABLE x; --"])
def test_a_day_that_is_none_says_what_to_write(text):
    with pytest.raises(ConfigurationError, match="write a day as YYYY-MM-DD"):
        run_day({"params": {"date": text}, "dag_run": RUN})


@pytest.mark.parametrize("conf", [None, {}, {"rows": 5}])
def test_params_that_the_dag_has_are_taken(conf):
    refuse_unknown_params({"dag_run": SimpleNamespace(conf=conf), "dag": SimpleNamespace(params={"rows": 1, "date": None})})


def test_a_misspelt_param_is_refused_with_those_that_exist():
    context = {"dag_run": SimpleNamespace(conf={"row": 5}), "dag": SimpleNamespace(params={"rows": 1, "date": None})}
    with pytest.raises(ConfigurationError, match=r"unknown params \['row'\]: this DAG takes \['date', 'rows'\]"):
        refuse_unknown_params(context)
