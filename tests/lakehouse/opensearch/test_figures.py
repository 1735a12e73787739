from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry, Gauge

from lakehouse.opensearch.figures import OTHER, figures, grouping

FACTS = {
    "source_table": "logs_db.raw_logs",
    "target": "logs-*",
    "rows_read": 100,
    "indexed": 80,
    "already_there": 15,
    "refused": 5,
    "reasons": {"outside_retention": 3, "mapper_parsing_exception": 2},
    "bytes_sent": 12_345,
    "seconds": 4.0,
    "lag_rows": 7,
    "lag_seconds": 60.5,
}
WHERE = {"source_table": "logs_db.raw_logs", "target": "logs-*"}


def values(facts: dict, **options) -> dict[str, float]:
    """name{label of its own} -> value."""
    found = {}
    for figure in figures(facts, **options):
        own = {name: value for name, value in figure.labels.items() if name not in WHERE}
        assert figure.labels == own | grouping(facts)
        key = figure.name.removeprefix("lakehouse_shipment_") + "".join(f"{{{value}}}" for value in own.values())
        assert key not in found
        found[key] = figure.value
    return found


def test_a_shipment_is_told_by_its_figures():
    assert grouping(FACTS) == WHERE
    assert values(FACTS, now=1_790_000_000.5) == {
        "rows{indexed}": 80,
        "rows{already_there}": 15,
        "rows{refused}": 5,
        "refused_rows{outside_retention}": 3,
        "refused_rows{mapper_parsing_exception}": 2,
        "rows_per_second": 25,
        "bytes": 12_345,
        "duration_seconds": 4,
        "last_success_timestamp_seconds": 1_790_000_000.5,
        "lag_rows": 7,
        "lag_seconds": 60.5,
    }


def test_names_are_those_that_prometheus_takes_and_recommends():
    found = figures(FACTS)
    for name in {figure.name for figure in found}:
        same = [figure for figure in found if figure.name == name]
        assert re.fullmatch(
            r"lakehouse_shipment_[a-z_]+_(rows|bytes|seconds|rows_per_second)|lakehouse_shipment_(rows|bytes|rows_per_second)", name
        )
        assert len({tuple(figure.labels) for figure in same}) == len({figure.help for figure in same}) == 1
        Gauge(name, same[0].help, tuple(same[0].labels), registry=CollectorRegistry())


def test_a_run_with_nothing_to_do_is_told_too():
    nothing = dict.fromkeys(("rows_read", "indexed", "already_there", "refused", "bytes_sent", "seconds", "lag_rows"), 0)
    found = values(FACTS | nothing | {"reasons": {}, "lag_seconds": 0.0})
    assert found["rows{indexed}"] == found["rows_per_second"] == found["lag_seconds"] == 0
    assert not [key for key in found if key.startswith("refused_rows")]


@pytest.mark.parametrize("unknown", [{"lag_rows": None, "lag_seconds": None, "reasons": None}, {}], ids=["None", "absent"])
def test_what_nobody_measured_is_left_out(unknown):
    facts = {name: value for name, value in FACTS.items() if name not in ("lag_rows", "lag_seconds", "reasons")} | unknown
    assert not [key for key in values(facts) if key.startswith(("lag_", "refused_rows"))]


def test_of_many_reasons_the_most_frequent_twenty_have_a_series_and_the_rest_one_together():
    reasons = {f"reason_{number:02}": number for number in range(1, 31)} | {OTHER: 1000}
    found = {key: value for key, value in values(FACTS | {"reasons": reasons}).items() if key.startswith("refused_rows")}
    assert len(found) == 21
    assert found["refused_rows{reason_30}"] == 30
    assert "refused_rows{reason_10}" not in found
    assert found["refused_rows{other}"] == 1000 + sum(range(1, 11))
    assert sum(found.values()) == sum(reasons.values())


def test_reasons_that_are_equal_as_labels_are_counted_together():
    long = "x" * 100
    found = values(FACTS | {"reasons": {long + "1": 2, long + "2": 3, "line\nbreak": 1}})
    assert found[f"refused_rows{{{long}}}"] == 5
    assert found["refused_rows{line?break}"] == 1


def test_a_missing_fact_is_named():
    with pytest.raises(KeyError, match="bytes_sent"):
        figures({name: value for name, value in FACTS.items() if name != "bytes_sent"})
