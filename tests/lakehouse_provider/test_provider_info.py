"""What Airflow's provider manager is told."""

from __future__ import annotations

import json
from pathlib import Path

import airflow
import jsonschema
import pytest

from lakehouse_provider import get_provider_info

SCHEMA = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())


def test_the_provider_info_is_what_airflow_reads():
    jsonschema.validate(get_provider_info(), SCHEMA)


@pytest.mark.parametrize("entry", get_provider_info()["connection-types"], ids=lambda entry: entry["connection-type"])
def test_a_connection_form_hides_what_it_does_not_use_and_explains_the_rest(entry):
    behaviour = entry["ui-field-behaviour"]
    assert set(behaviour) <= {"hidden-fields", "relabeling", "placeholders"}
    assert {"schema", "port"} <= set(behaviour["hidden-fields"])
    assert all(field["description"] for field in entry["conn-fields"].values())
