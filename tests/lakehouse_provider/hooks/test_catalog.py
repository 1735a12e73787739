"""An Iceberg catalog that does not answer, is not well or refuses us is an error of ours that names its connection."""

from __future__ import annotations

import json

import pytest

from lakehouse.exceptions import LakehouseError, ServiceError, TransientError
from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from tests.fault_proxy import FaultProxy


def connect(monkeypatch: pytest.MonkeyPatch, url: str) -> LakehouseCatalogHook:
    extra = {"type": "rest", "warehouse": "s3://warehouse", "oauth2-server-uri": f"{url}/v1/oauth/tokens"}
    catalog = {"conn_type": "iceberg", "host": url, "login": "x", "password": "y", "extra": extra}
    store = {"conn_type": "aws", "login": "x", "password": "y", "extra": {"endpoint_url": url}}
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE_CATALOG", json.dumps(catalog))
    monkeypatch.setenv("AIRFLOW_CONN_LAKEHOUSE_S3", json.dumps(store))
    return LakehouseCatalogHook()


@pytest.mark.fault(22)
def test_a_catalog_that_is_not_there_is_named_with_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = connect(monkeypatch, "http://127.0.0.1:1")
    words = r"the Iceberg catalog at http://127\.0\.0\.1:1 does not answer: .*refused.*is it running\? Connection lakehouse_catalog$"
    with pytest.raises(TransientError, match=words):
        _ = hook.catalog


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, ServiceError, "refuses: .*mend connection lakehouse_catalog"),
        (403, ServiceError, "refuses"),
        (503, TransientError, "is not well"),
    ],
)
def test_what_it_answers_decides_whether_waiting_heals_it(
    monkeypatch: pytest.MonkeyPatch, status: int, kind: type[LakehouseError], words: str
) -> None:
    with FaultProxy("http://127.0.0.1:1") as proxy:
        proxy.add(".*", ".*", status=status, times=0)
        hook = connect(monkeypatch, proxy.url)
        with pytest.raises(kind, match=words):
            _ = hook.catalog


@pytest.mark.fault(22)
def test_a_catalog_whose_certificate_cannot_be_checked_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultProxy("http://127.0.0.1:1") as plain:
        hook = connect(monkeypatch, plain.url.replace("http:", "https:"))
        with pytest.raises(ServiceError, match="has a certificate that is not trusted"):
            _ = hook.catalog
