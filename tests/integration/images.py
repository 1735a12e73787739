"""A landing prefix of its own, a table, and runs from one to the other; run as a program, the steps that a test kills."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from PIL import Image
from pyiceberg.catalog import Catalog

from include.assets import contract
from lakehouse.contracts import Contract, load
from lakehouse.iceberg.catalog import open_catalog
from lakehouse.iceberg.table import ensure_table
from lakehouse.images.inspect import Limits
from lakehouse.images.register import Registered, register
from lakehouse.images.rules import ImageRules
from lakehouse.images.sources import Batch, Labels, Source, in_manifests, landed, plan
from lakehouse.images.upload import upload
from lakehouse.objects import ObjectStore
from stack.installation import REPO, Installation
from stack.report import query

LABELS = Labels("product", "batch")
RULES = ImageRules(limits=Limits(max_bytes=2_000_000))


def picture(seed: int, kind: str = "PNG", size: tuple[int, int] = (60, 40), **options: Any) -> bytes:
    """An image that no other test has: another seed, another content."""
    out = io.BytesIO()
    Image.effect_noise(size, 10 + seed % 50).convert("RGB").save(out, kind, **options)
    return out.getvalue()


class Landing:
    """A landing prefix, a table, and runs from one to the other."""

    def __init__(self, store: ObjectStore, catalog: Catalog, name: str) -> None:
        self.store, self.catalog, self.name = store, catalog, name
        self.prefix, self.manifests = f"landing/{name}/", f"landing/{name}-manifests/"
        self.contract: Contract = replace(load(contract("image_metadata")), table=f"test_db.{name}")
        ensure_table(catalog, self.contract)

    def put(self, **files: bytes) -> None:
        for name, body in files.items():
            self.store.put(self.prefix + name, body)

    def sources(self) -> Iterator[Source]:
        yield from landed(self.store, self.prefix, LABELS)
        yield from in_manifests(self.store, self.manifests, LABELS)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def plan(self, run: str = "run", **options: Any) -> list[Batch]:
        return plan(self.store, f"{self.name}-{run}", self.now(), self.sources(), **{"max_files": 1_000} | options)

    def upload(self, batches: list[Batch], rules: ImageRules = RULES, store: ObjectStore | None = None) -> list[str]:
        return [upload(store or self.store, self.catalog, self.contract, rules, batch) for batch in batches]

    def register(self, batches: list[Batch], outcomes: list[str], run: str = "run") -> Registered:
        return register(self.store, self.catalog, self.contract, f"{self.name}-{run}", batches, outcomes)

    def run(self, run: str = "run", rules: ImageRules = RULES) -> Registered:
        batches = self.plan(run)
        return self.register(batches, self.upload(batches, rules), run)

    def waiting(self) -> list[str]:
        return [entry.key.removeprefix(self.prefix) for entry in self.store.list(self.prefix)]

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.catalog.load_table(self.contract.table).scan().to_arrow().to_pylist()
        return rows

    def refused(self, stack: Installation) -> list[list[Any]]:
        return query(
            stack,
            f"SELECT source, reason, kept_at FROM ops_db.refused_files WHERE table_name = '{self.contract.table}' ORDER BY reason, source",
        )


def counts(registered: Registered) -> tuple[int, int, int, int, int]:
    return (registered.read, registered.uploaded, registered.already_there, registered.refused, registered.left)


def start_process(landing: Landing, batches: list[Batch], endpoint_url: str) -> subprocess.Popen[str]:
    """Upload and register in another process, which a test may kill, with the images' store behind `endpoint_url`."""
    catalog = landing.catalog
    given = {
        "catalog": [catalog.name, catalog.properties],
        "endpoint_url": endpoint_url,
        "name": landing.name,
        "batches": [asdict(batch) | {"started": batch.started.isoformat()} for batch in batches],
    }
    environment = os.environ | {"IMAGES": json.dumps(given), "PYTHONPATH": f"{REPO}:{REPO / 'plugins'}"}
    command = [sys.executable, "-m", "tests.integration.images"]
    return subprocess.Popen(command, cwd=REPO, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def store_at(endpoint_url: str, properties: dict[str, str]) -> ObjectStore:
    """The bucket behind another address, with the keys that the catalog has."""
    return ObjectStore(
        endpoint_url=endpoint_url,
        access_key=properties["s3.access-key-id"],
        secret_key=properties["s3.secret-access-key"],
        region=properties["s3.region"],
        bucket="lakehouse",
    )


def _main() -> None:
    given = json.loads(os.environ.pop("IMAGES"))
    name, properties = given["catalog"]
    landing = Landing(store_at(given["endpoint_url"], properties), open_catalog(name, **properties), given["name"])
    batches = [Batch(**batch | {"started": datetime.fromisoformat(batch["started"])}) for batch in given["batches"]]
    sys.stdout.write(json.dumps(landing.register(batches, landing.upload(batches)).as_facts()))


if __name__ == "__main__":
    _main()
