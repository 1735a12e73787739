"""One way of storing images, as a program: `python -m bench.images_rivals WAY ARGUMENTS` prints images, seconds and CPU."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from bench import harness
from bench.harness import REPO

LANDING, PUT = "landing/bench-images/", "bench-images/"
CONTRACT = REPO / "include" / "contracts" / "image_metadata.odcs.yaml"
TABLE = "bench_db.images"


def make(folder: Path, number: int, size: tuple[int, int]) -> None:
    """Photograph-like JPEG files that differ in their content."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    width, height = size
    coarse = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    grain = rng.integers(-12, 12, (height, width, 1))
    out = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(coarse, dtype=np.int16) + grain, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=85)
    body = out.getvalue()
    for entry in range(number):
        # A comment (JPEG, marker FFFE) makes the content another one without another encoding.
        comment = f"{entry:08d}".encode()
        (folder / f"{entry:06d}.jpg").write_bytes(body[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + body[2:])


def clear() -> None:
    """Remove what the ways have stored."""
    store = _store()
    for prefix in (LANDING, PUT):
        asyncio.run(_delete(prefix))
    catalog = harness.open_catalog()
    keys = []
    with suppress(Exception):
        for row in catalog.load_table(TABLE).scan(selected_fields=("s3_path", "source_checksum")).to_arrow().to_pylist():
            key = row["s3_path"].removeprefix(f"s3://{store.bucket}/")
            day, name = key.split("/")[-2:]
            keys += [key, f"raw/thumbnails/{day}/{name.partition('.')[0]}.jpg", f"archive/images/{day}/{row['source_checksum']}.jpg"]
        asyncio.run(_delete_keys(keys))
        catalog.purge_table(TABLE)


async def _delete(prefix: str) -> None:
    await _delete_keys([entry.key for entry in _store().list(prefix)])


async def _delete_keys(keys: list[str]) -> None:
    bulk = _store().asynchronous()
    for start in range(0, len(keys), 1_000):
        await bulk.delete(keys[start : start + 1_000])


def _store():
    from lakehouse_provider.hooks.object_store import ObjectStoreHook

    return ObjectStoreHook().store


def _files(folder: str, number: str | None = None) -> list[Path]:
    return sorted(Path(folder).iterdir())[: int(number) if number else None]


def _timed(images: int, work: Callable[[], object]) -> None:
    cpu, started = sum(os.times()[:4]), time.monotonic()
    work()
    print(json.dumps({"images": images, "seconds": time.monotonic() - started, "cpu": sum(os.times()[:4]) - cpu}))


def _put_ours(folder: str, number: str) -> None:
    bodies = [path.read_bytes() for path in _files(folder, number)]
    asyncio.run(_delete(PUT))
    bulk = _store().asynchronous()

    async def work() -> None:
        slots = asyncio.Semaphore(16)

        async def put(entry: int, body: bytes) -> None:
            async with slots:
                await bulk.put_once(f"{PUT}{entry}", body, "image/jpeg")

        await asyncio.gather(*(put(entry, body) for entry, body in enumerate(bodies)))

    _timed(len(bodies), lambda: asyncio.run(work()))


def _put_boto3(folder: str, number: str, threads: str) -> None:
    from botocore.config import Config

    bodies = [path.read_bytes() for path in _files(folder, number)]
    asyncio.run(_delete(PUT))
    store = _store()
    client = _boto3(Config(max_pool_connections=int(threads), s3={"addressing_style": "path"}))

    def put(entry: int, body: bytes) -> None:
        digest = hashlib.sha256(body).digest()
        key = {"Bucket": store.bucket, "Key": f"{PUT}{entry}"}
        checked = {"IfNoneMatch": "*", "ChecksumSHA256": b64encode(digest).decode(), "Metadata": {"sha256": digest.hex()}}
        client.put_object(**key, **checked, Body=body, ContentType="image/jpeg")
        head = client.head_object(**key)
        if head["ContentLength"] != len(body) or head["Metadata"]["sha256"] != digest.hex():
            raise RuntimeError(f"{key} holds another content")

    with ThreadPoolExecutor(int(threads)) as pool:
        _timed(len(bodies), lambda: list(pool.map(put, range(len(bodies)), bodies)))


def _boto3(config):
    import boto3
    from airflow.sdk import BaseHook

    connection = BaseHook.get_connection("lakehouse_s3")
    return boto3.client(
        "s3",
        endpoint_url=connection.extra_dejson["endpoint_url"],
        aws_access_key_id=connection.login,
        aws_secret_access_key=connection.password,
        region_name="us-east-1",
        config=config,
    )


def _put_s5cmd(folder: str, number: str) -> None:
    from airflow.sdk import BaseHook

    connection, store = BaseHook.get_connection("lakehouse_s3"), _store()
    asyncio.run(_delete(PUT))
    command = [str(Path(sys.executable).parent / "s5cmd"), "--endpoint-url", store.endpoint_url, "run"]
    lines = "\n".join(f"cp {path} s3://{store.bucket}/{PUT}{path.name}" for path in _files(folder, number))
    keys = {"AWS_ACCESS_KEY_ID": connection.login, "AWS_SECRET_ACCESS_KEY": connection.password, "AWS_REGION": "us-east-1"}
    _timed(int(number), lambda: subprocess.run(command, input=lines, text=True, check=True, capture_output=True, env=os.environ | keys))


def _look_ours(folder: str) -> None:
    from lakehouse.images.inspect import inspect

    bodies = _some(folder)
    _timed(len(bodies), lambda: [inspect(body) for body in bodies])


def _look_lanczos(folder: str) -> None:
    def look(body: bytes) -> None:
        with Image.open(io.BytesIO(body)) as image:
            image.load()
            scale = 200 / max(image.size)
            small = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
            small.save(io.BytesIO(), "JPEG", quality=85)

    bodies = _some(folder)
    _timed(len(bodies), lambda: [look(body) for body in bodies])


def _some(folder: str) -> list[bytes]:
    return [path.read_bytes() for path in _files(folder)[:200]]


def _land(folder: str, number: str) -> int:
    """A fresh table and a full landing prefix, before the clock starts."""
    from lakehouse.contracts import load
    from lakehouse.iceberg.table import ensure_table

    clear()
    files = _files(folder, number)
    bulk = _store().asynchronous()

    async def land() -> None:
        slots = asyncio.Semaphore(16)

        async def put(path: Path) -> None:
            async with slots:
                await bulk.put(LANDING + path.name, path.read_bytes(), "image/jpeg")

        await asyncio.gather(*(put(path) for path in files))

    asyncio.run(land())
    ensure_table(harness.open_catalog(), replace(load(CONTRACT), table=TABLE))
    return len(files)


def _whole_ours(folder: str, number: str) -> None:
    """Planned, stored batch by batch, registered: one after the other, where Airflow would take several batches at once."""
    from lakehouse.contracts import load
    from lakehouse.images.register import register
    from lakehouse.images.rules import ImageRules
    from lakehouse.images.sources import Labels, landed, plan
    from lakehouse.images.upload import upload

    images = _land(folder, number)
    catalog, store, contract = harness.open_catalog(), _store(), replace(load(CONTRACT), table=TABLE)

    def work() -> None:
        batches = plan(store, "bench", datetime.now(UTC), landed(store, LANDING, Labels("product", "batch")), max_files=images)
        outcomes = [upload(store, catalog, contract, ImageRules(), batch) for batch in batches]
        counts = register(store, catalog, contract, "bench", batches, outcomes)
        if counts.uploaded != images:
            raise RuntimeError(f"{counts.as_facts()} of {images}")

    _timed(images, work)


def _whole_script(folder: str, number: str) -> None:
    """As people write it: threads, Pillow in them, one append at the end; no limit, no check, no process of its own."""
    import pyarrow as pa
    from botocore.config import Config

    images = _land(folder, number)
    catalog, store = harness.open_catalog(), _store()
    client = _boto3(Config(max_pool_connections=16, s3={"addressing_style": "path"}))
    now = datetime.now(UTC)

    def take(key: str) -> dict[str, object]:
        body = client.get_object(Bucket=store.bucket, Key=key)["Body"].read()
        checksum = hashlib.sha256(body).hexdigest()
        with Image.open(io.BytesIO(body)) as image:
            image.load()
            small, out = image.copy(), io.BytesIO()
            small.thumbnail((200, 200), Image.Resampling.LANCZOS)
            small.save(out, "JPEG")
            width, height = image.size
        path = f"raw/images/{now:%Y-%m-%d}/{checksum}.jpg"
        client.put_object(Bucket=store.bucket, Key=path, Body=body)
        client.put_object(Bucket=store.bucket, Key=f"raw/thumbnails/{now:%Y-%m-%d}/{checksum}.jpg", Body=out.getvalue())
        client.copy_object(Bucket=store.bucket, Key=f"archive/images/{now:%Y-%m-%d}/{checksum}.jpg", CopySource=f"{store.bucket}/{key}")
        client.delete_object(Bucket=store.bucket, Key=key)
        facts = {"image_id": checksum, "s3_path": f"s3://{store.bucket}/{path}", "file_size": len(body), "mime_type": "image/jpeg"}
        times = {"upload_time": now, "created_at": now, "width": width, "height": height, "checksum": checksum}
        return facts | times | {"tag": "product", "source_system": "batch", "source_checksum": checksum}

    def work() -> None:
        keys = [entry.key for entry in store.list(LANDING)]
        table = catalog.load_table(TABLE)
        with ThreadPoolExecutor(16) as pool:
            table.append(pa.Table.from_pylist(list(pool.map(take, keys)), schema=table.schema().as_arrow()))

    _timed(images, work)


COMMANDS: dict[str, Callable[..., None]] = {
    "put-ours": _put_ours,
    "put-boto3": _put_boto3,
    "put-s5cmd": _put_s5cmd,
    "look-ours": _look_ours,
    "look-lanczos": _look_lanczos,
    "whole-ours": _whole_ours,
    "whole-script": _whole_script,
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
