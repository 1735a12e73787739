"""Images for the gallery's tests: a real Iceberg catalog on disk, and what the store has."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from lakehouse import contracts
from lakehouse.iceberg.data_files import write_data_files
from lakehouse.iceberg.table import ensure_table
from lakehouse.images.keys import image_key, thumbnail_key

TABLE = "media_db.image_metadata"
CONTRACT = contracts.load(Path(__file__).parents[3] / "include/contracts/image_metadata.odcs.yaml")
FIRST = datetime(2026, 11, 1, 12, tzinfo=UTC)
TAGS, SYSTEMS = ("analytics", "product", "user"), ("api", "batch", "manual")
FORMATS = ("image/png", "image/jpeg")


def row(number: int, **values: Any) -> dict[str, Any]:
    """An image; twenty a day."""
    image_id = hashlib.sha256(f"image {number}".encode()).hexdigest()
    at, kind = FIRST + timedelta(days=number // 20, minutes=number), FORMATS[number % 2]
    made = {
        "image_id": image_id,
        "s3_path": f"s3://lakehouse/{image_key(at.date(), image_id, kind)}",
        "file_size": 1000 * (number + 1),
        "mime_type": kind,
        "upload_time": at,
        "source_system": SYSTEMS[number % 3],
        "tag": TAGS[number % 3],
        "width": 640 + number,
        "height": 480,
        "checksum": image_id,
        "created_at": at,
        "source": f"landing/images/Sample-{number}.png",
        "source_checksum": hashlib.sha256(f"source {number}".encode()).hexdigest(),
        "licence": "CC0-1.0" if number % 2 else None,
        "frames": 1,
        "perceptual_hash": f"{number:016x}",
        "private_metadata": "none",
    }
    return made | values


def thumbnail(color: str = "red") -> bytes:
    """A small JPEG."""
    out = io.BytesIO()
    Image.new("RGB", (20, 15), color).save(out, "JPEG")
    return out.getvalue()


@dataclass
class Lake:
    """What the gallery under test looks at; `objects` by key, `status` is what the store answers when it is not 200."""

    catalog: SqlCatalog
    url: str
    settings: Path
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    status: int = 200

    def make_table(self) -> Table:
        return ensure_table(self.catalog, CONTRACT)

    def add(self, *rows: dict[str, Any], thumbnails: bool = True) -> int:
        """Register images in one commit and store their objects; returns the snapshot."""
        table = self.make_table()
        files = write_data_files(table, [pa.Table.from_pylist(list(rows))])
        with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
            for file in files:
                append.append_data_file(file)
        for entry in rows:
            key = entry["s3_path"].removeprefix("s3://lakehouse/")
            self.objects[key] = b"an image"
            if thumbnails:
                self.objects[thumbnail_key(key)] = thumbnail()
        return self.snapshot_id

    @property
    def snapshot_id(self) -> int:
        """The present snapshot."""
        head = self.catalog.load_table(TABLE).current_snapshot()
        assert head is not None
        return head.snapshot_id


def write_settings(path: Path, catalog: dict[str, str], url: str, public_url: str = "http://pictures.example:8333") -> Path:
    keys = {
        "endpoint_url": url,
        "public_url": public_url,
        "region": "us-east-1",
        "bucket": "lakehouse",
        "access_key": "a",
        "secret_key": "s",
    }
    path.write_text(json.dumps({"table": TABLE, "catalog_name": "unit", "catalog": catalog, "store": keys}))
    return path
