"""What the tests of shipping share: a table of logs of their own, its daily indices, and clients of the real catalog and node."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog

from include.logs import LOGS
from lakehouse.contracts import Contract, load
from lakehouse.iceberg import schema as schemas
from lakehouse.iceberg.catalog import open_catalog
from lakehouse.iceberg.filters import equal
from lakehouse.iceberg.table import ensure_table
from lakehouse.opensearch import ship as shipping
from lakehouse.opensearch.client import OpenSearchClient
from lakehouse.opensearch.shipment import Shipment
from stack.installation import REPO

NOW = datetime.now(UTC)
# Not by include.assets, which takes Airflow along: the processes that ship are to start quickly.
CONTRACT = REPO / "include" / "contracts" / "raw_logs.odcs.yaml"


class Logs:
    """One table `test_db.<name>` and its indices `logs-<name>-*`.

    Attributes:
        client: with the rights of the shipper; `at(url)` is one of a proxy.
        admin: for what a test looks at and sets.
    """

    def __init__(self, catalog: Catalog, name: str, template: Path) -> None:
        from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook

        self.catalog, self.name = catalog, name
        self.contract: Contract = replace(load(CONTRACT), table=f"test_db.{name}")
        self.target = replace(LOGS, prefix=f"logs-{name}-", template=template)
        self.client, self.admin = LakehouseOpenSearchHook().client, LakehouseOpenSearchHook("lakehouse_opensearch_admin").client
        self.numbers = iter(range(10**6))
        ensure_table(catalog, self.contract)

    def append(self, times: Sequence[datetime | None], **columns: Any) -> list[dict[str, Any]]:
        """Append a row for each time; returns the rows."""
        plain = {"level": "ERROR", "message": "same text", "meta": None, "ingest_time": NOW} | columns
        rows = [plain | {"log_id": f"{self.name}-{next(self.numbers):05d}", "event_time": moment} for moment in times]
        return self.append_rows(rows)

    def append_rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Append rows as they are."""
        self.table().append(pa.Table.from_pylist(rows, schema=schemas.schema(self.contract).as_arrow()))
        return rows

    def table(self) -> Any:
        """The table as it is now."""
        return self.catalog.load_table(self.contract.table)

    def head(self) -> int:
        """The current snapshot."""
        return int(self.table().current_snapshot().snapshot_id)

    def ship(self, client: OpenSearchClient | None = None, **options: Any) -> Shipment:
        """One whole run."""
        return shipping.ship(self.catalog, client or self.client, self.contract, self.target, **options)

    def at(self, url: str) -> OpenSearchClient:
        """The shipper's client of another address."""
        return OpenSearchClient("OpenSearch", url, auth=self.client.session.auth)

    def documents(self) -> dict[tuple[str, str], dict[str, Any]]:
        """(index, id) -> source."""
        self.admin.refresh(self.target.pattern)
        answer = self.admin.request("POST", f"/{self.target.pattern}/_search", json={"size": 10_000}).json()
        return {(hit["_index"], hit["_id"]): hit["_source"] for hit in answer["hits"]["hits"]}

    def numbers_of_shipments(self) -> list[int]:
        """Numbers of the shipments on record."""
        rows = self.catalog.load_table("ops_db.shipments").scan(equal("source_table", self.contract.table)).to_arrow()
        return sorted(rows["number"].to_pylist())

    def refused(self) -> list[dict[str, Any]]:
        """Refused rows on record."""
        return self.catalog.load_table("ops_db.refused_records").scan(equal("table_name", self.contract.table)).to_arrow().to_pylist()

    def index(self, moment: datetime = NOW) -> str:
        """The index of a moment."""
        return self.target.index_of(f"{moment:%Y.%m.%d}")

    def set_block(self, kind: str, *, on: bool) -> None:
        """Set or lift a block of all indices."""
        self.admin.request("PUT", f"/{self.target.pattern}/_settings", json={f"index.blocks.{kind}": on or None})

    def start_process(self, url: str, bulk_bytes: int) -> subprocess.Popen[str]:
        """Ship in another process, which a test may kill; nothing secret is in its command line."""
        given = {
            "catalog": [self.catalog.name, self.catalog.properties],
            "node": [url, self.client.session.auth],
            "name": self.name,
            "template": str(self.target.template),
            "bulk_bytes": bulk_bytes,
        }
        environment = os.environ | {"SHIPPING": json.dumps(given), "PYTHONPATH": f"{REPO}:{REPO / 'plugins'}"}
        command = [sys.executable, "-m", "tests.integration.shipping"]
        return subprocess.Popen(command, cwd=REPO, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def logs(catalog: Catalog, name: str, change_mapping: Callable[[dict[str, Any]], None] = lambda _: None) -> Iterator[Logs]:
    """A table and an index template of its own; the indices are gone afterwards."""
    template = json.loads(LOGS.template.read_text()) | {"index_patterns": [f"logs-{name}-*"], "priority": 900}
    change_mapping(template["template"]["mappings"])
    with TemporaryDirectory() as folder:
        file = Path(folder) / "template.json"
        file.write_text(json.dumps(template))
        made = Logs(catalog, name, file)
        made.admin.request("PUT", f"/_index_template/{name}", json=template)
        try:
            yield made
        finally:
            made.admin.request("DELETE", f"/{made.target.pattern}")
            made.admin.request("DELETE", f"/_index_template/{name}")
            for client in (made.client, made.admin):
                client.session.close()


def document(row: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """What the index must have of a row of `Logs.append`, but for the snapshot."""
    times = {name: f"{row[name]:%Y-%m-%dT%H:%M:%S.%f}Z" for name in ("event_time", "ingest_time")}
    return {"level": row["level"], "message": row["message"]} | times | fields


def killer(process: Callable[[], subprocess.Popen[str]]) -> Callable[[], None]:
    """Kills a process with SIGKILL, and comes back when it is dead."""

    def kill() -> None:
        victim = process()
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()

    return kill


def _main() -> None:
    given = json.loads(os.environ.pop("SHIPPING"))
    (catalog_name, properties), (url, auth), name = given["catalog"], given["node"], given["name"]
    shipping.BULK_BYTES = given["bulk_bytes"]
    made = replace(load(CONTRACT), table=f"test_db.{name}")
    client = OpenSearchClient("OpenSearch", url, auth=tuple(auth))
    target = replace(LOGS, prefix=f"logs-{name}-", template=Path(given["template"]))
    shipment = shipping.ship(open_catalog(catalog_name, **properties), client, made, target)
    sys.stdout.write(json.dumps(shipment.facts()))


if __name__ == "__main__":
    _main()
