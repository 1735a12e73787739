"""Many small objects at once: what `lakehouse.objects` does, over obstore's asynchronous client."""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from lakehouse.exceptions import ServiceError, TransientError, VerificationError
from lakehouse.objects import ObjectStore, StoredObject

_Result = TypeVar("_Result")
# The client's threads let go of their last results a moment after we have taken them; one that does so while Python shuts down aborts the
# process, after all its work is done (pyo3-async-runtimes #40; 1 of 25 short programs here, none of 60 with this). Airflow ends its tasks
# without that step.
atexit.register(time.sleep, 0.2)
# Seconds: a store that is restarted is back soon.
_PATIENCE, _FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 0.2, 5.0
_CHUNK = 1 << 20


class _UnusualKeyError(ServiceError):
    """A key that this client cannot ask for."""


class AsyncObjectStore:
    """One bucket; safe to use from many tasks of one event loop.

    Args:
        plain: the same bucket; it takes keys that this client does not.
    """

    def __init__(self, plain: ObjectStore, *, access_key: str, secret_key: str, region: str) -> None:
        self._plain = plain
        bucket, endpoint_url = plain.bucket, plain.endpoint_url
        self.bucket, self.endpoint_url = bucket, endpoint_url
        self._store = S3Store(
            bucket,
            endpoint=endpoint_url,
            access_key_id=access_key,
            secret_access_key=secret_key,
            region=region,
            virtual_hosted_style_request=False,
            checksum_algorithm="SHA256",
            client_options={"allow_http": endpoint_url.startswith("http://"), "connect_timeout": "5s", "timeout": "60s"},
            retry_config={"max_retries": 2},
        )

    async def download(self, key: str, path: Path, etag: str = "") -> bool:
        """Stream an object into a file; False when it is gone, or another one than the listed `etag`."""

        async def get() -> None:
            body = await obstore.get_async(self._store, key, options={"if_match": etag} if etag else None)
            with path.open("wb") as file:
                async for chunk in body.stream(min_chunk_size=_CHUNK):
                    file.write(chunk)

        try:
            await self._steadily("get", key, get)
        except _UnusualKeyError:
            return await asyncio.to_thread(self._plain.download, self._entry(key, etag), path) is not None
        except ServiceError as error:
            if error.status in (404, 412):
                return False
            raise
        return True

    async def put_once(self, key: str, body: bytes, content_type: str) -> bool:
        """Store the object unless something is there already, and check that what is there is this very content.

        Returns:
            True when it was stored now, False when it was there, which may be our own first try whose answer was lost.

        Raises:
            VerificationError: another content lies under the key.
        """
        checksum = hashlib.sha256(body).hexdigest()
        attributes = {"Content-Type": content_type, "sha256": checksum}

        async def put() -> bool:
            try:
                await obstore.put_async(self._store, key, body, mode="create", attributes=attributes, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

        async def head() -> obstore.GetResult:
            return await obstore.get_async(self._store, key, options={"head": True})

        stored = await self._steadily("put", key, put)
        found = await self._steadily("head", key, head)
        if found.meta["size"] != len(body) or found.attributes.get("sha256") != checksum:
            raise VerificationError(f"s3://{self.bucket}/{key} holds another content than the one that was put there")
        return stored

    async def put(self, key: str, body: bytes, content_type: str) -> None:
        """Store the object, over whatever is there."""

        async def put() -> None:
            await obstore.put_async(self._store, key, body, attributes={"Content-Type": content_type}, use_multipart=False)

        await self._steadily("put", key, put)

    async def move(self, source: str, target: str, etag: str = "") -> bool:
        """Copy within the bucket, then remove the source; False, and nothing is done, when it is gone or no longer the listed `etag`."""

        async def move() -> bool:
            if etag and (await obstore.head_async(self._store, source))["e_tag"] != etag:
                return False
            await obstore.copy_async(self._store, source, target)
            # S3 copies by key: what was put there between the look and the copy is another object, and stays.
            if etag and (await obstore.head_async(self._store, target))["e_tag"] != etag:
                await obstore.delete_async(self._store, target)
                return False
            await obstore.delete_async(self._store, source)
            return True

        try:
            return await self._steadily("move", source, move)
        except _UnusualKeyError:
            return await asyncio.to_thread(self._plain.move_unchanged, self._entry(source, etag), target)
        except ServiceError as error:
            if error.status == 404:
                return False
            raise

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; nothing happens for those that are not there."""

        async def delete() -> None:
            await obstore.delete_async(self._store, list(keys))

        if keys:
            await self._steadily("delete", keys[0], delete)

    def _entry(self, key: str, etag: str) -> StoredObject:
        return StoredObject(key, 0, datetime.now(UTC), etag)

    async def _steadily(self, operation: str, key: str, call: Callable[[], Awaitable[_Result]]) -> _Result:
        """Call until the store answers, for a minute; the client's own retries leave out some connections that break off."""
        where = f"{operation} of s3://{self.bucket}/{key} at {self.endpoint_url}"
        deadline, pause = time.monotonic() + _PATIENCE, _FIRST_PAUSE
        while True:
            try:
                return await call()
            except FileNotFoundError as error:
                raise ServiceError(f"{where}: there is no such object", status=404, target=key) from error
            except PreconditionError as error:
                raise ServiceError(f"{where}: it is another object by now", status=412, target=key) from error
            except (PermissionDeniedError, UnauthenticatedError) as error:
                raise ServiceError(f"{where} was refused: check the keys of its connection", status=403, target=key) from error
            # A tab, an empty folder: other clients put such keys, this one does not parse them.
            except (InvalidPathError, ValueError) as error:
                raise _UnusualKeyError(f"{where}: {str(error).partition(chr(10))[0]}", status=400, target=key) from error
            except BaseError as error:
                if time.monotonic() + pause > deadline:
                    cause = str(error).partition("\n")[0]  # what follows is pages of debugging output
                    raise TransientError(f"{where}: the store does not answer ({cause}): check that it runs") from error
            await asyncio.sleep(random.uniform(0.5, 1) * pause)  # noqa: S311  # no secret
            pause = min(2 * pause, _LONGEST_PAUSE)
