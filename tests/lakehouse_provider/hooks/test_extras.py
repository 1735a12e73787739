from __future__ import annotations

import json

import pytest
from airflow.sdk import Connection

from lakehouse.exceptions import ConfigurationError
from lakehouse_provider.hooks.extras import base_url, public_url, read_extras


def connection(extra: dict | None = None, **fields) -> Connection:
    return Connection(conn_id="lake", conn_type="http", extra=json.dumps(extra or {}), **fields)


def test_extras_are_read_by_name_with_defaults_where_the_connection_is_silent():
    found = read_extras(connection({"ca_certs": "/ca.pem", "public_url": "https://x/"}), ca_certs=None, index="logs")
    assert found == {"ca_certs": "/ca.pem", "index": "logs"}


def test_a_misspelt_extra_is_refused_and_its_value_is_not_shown():
    with pytest.raises(ConfigurationError, match=r"connection lake: unknown extras \['ca_cert'\]; known are \['ca_certs'") as caught:
        read_extras(connection({"ca_cert": "hunter2"}), ca_certs=None)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("extra", "url"), [({"public_url": "https://x.example/"}, "https://x.example"), ({}, "")])
def test_the_public_address_has_no_slash_at_its_end(extra, url):
    assert public_url(connection(extra)) == url


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("trino", 8080, "https://trino:8080"),
        ("http://trino", 8080, "http://trino:8080"),
        ("https://superset.example.org", None, "https://superset.example.org"),
    ],
)
def test_the_scheme_is_the_hosts_own_or_the_default(host, port, url):
    assert base_url(connection(host=host, port=port), "https") == url
