"""Objects in an S3-compatible store: list, read, put once, move."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lakehouse.exceptions import ConfigurationError, ServiceError, TransientError, VerificationError

if TYPE_CHECKING:
    from lakehouse.async_objects import AsyncObjectStore

_ALREADY_THERE = ("PreconditionFailed", "412", "ConditionalRequestConflict")


@dataclass(frozen=True)
class StoredObject:
    """One entry of a listing; `size` in bytes, `modified` in UTC, `etag` changes with the content."""

    key: str
    size: int
    modified: datetime
    etag: str = ""


class ObjectStore:
    """One bucket."""

    def __init__(self, *, endpoint_url: str | None, access_key: str, secret_key: str, region: str, bucket: str) -> None:
        if not endpoint_url:
            raise ConfigurationError("the S3 connection has no extra `endpoint_url`: without it the client would go to the real AWS")
        self.bucket = bucket
        self.endpoint_url = endpoint_url
        self._access_key, self._secret_key, self._region = access_key, secret_key, region
        settings = Config(
            connect_timeout=5, read_timeout=60, retries={"max_attempts": 4, "mode": "standard"}, s3={"addressing_style": "path"}
        )
        self.client = boto3.client(
            "s3",
            endpoint_url=endpoint_url,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            region_name=region,
            config=settings,
        )

    def asynchronous(self) -> AsyncObjectStore:
        """The same bucket for many small objects at once."""
        # Readers, such as the gallery, do without this client.
        from lakehouse.async_objects import AsyncObjectStore

        return AsyncObjectStore(self, access_key=self._access_key, secret_key=self._secret_key, region=self._region)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Objects under a prefix, in the order of their keys; folder markers are left out."""
        for page in self._pages(Prefix=prefix):
            yield from _objects(page)

    def _pages(self, **arguments: str) -> Iterator[Any]:
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", **arguments, **token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def folders(self, prefix: str) -> tuple[tuple[str, ...], tuple[StoredObject, ...]]:
        """What lies right under a prefix: the prefixes of its folders, and objects in none of them; folder markers are left out."""
        folders: list[str] = []
        loose: list[StoredObject] = []
        for page in self._pages(Prefix=prefix, Delimiter="/"):
            folders += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
            loose += _objects(page)
        return tuple(folders), tuple(loose)

    def stat(self, key: str) -> StoredObject | None:
        """One object as a listing would show it; None when there is none."""
        try:
            head = self._call("head_object", Key=key)
        except ServiceError as error:
            if error.status == 404:
                return None
            raise
        return StoredObject(key, head["ContentLength"], head["LastModified"], head["ETag"])

    def read(self, key: str) -> bytes:
        """The object's bytes."""
        return bytes(self._call("get_object", Key=key)["Body"].read())

    def digest(self, entry: StoredObject) -> str | None:
        """SHA-256 (hex) of a listed object's bytes, as they stream by; None when it is gone or another one since it was listed."""
        chunks = self._chunks(entry)
        if chunks is None:
            return None
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
        return digest.hexdigest()

    def download(self, entry: StoredObject, path: Path) -> str | None:
        """Stream a listed object into a file; returns its SHA-256 (hex), None when it is gone or another one since it was listed."""
        chunks = self._chunks(entry)
        if chunks is None:
            return None
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
        return digest.hexdigest()

    def _chunks(self, entry: StoredObject) -> Iterator[bytes] | None:
        """The bytes of a listed object in pieces of a megabyte; None when it is gone or another one."""
        try:
            body = self._call("get_object", Key=entry.key, IfMatch=entry.etag)["Body"]
        except ServiceError as error:
            if error.status in (404, 412):
                return None
            raise
        return self._read(body, entry.key)

    def _read(self, body: Any, key: str) -> Iterator[bytes]:
        try:
            yield from body.iter_chunks(1 << 20)
        except BotoCoreError as error:
            raise TransientError(f"reading s3://{self.bucket}/{key} broke off: {error}: run the task again") from error

    def put_once(self, key: str, body: bytes, content_type: str) -> bool:
        """Store the object unless something is there already, and check that what is there is this very content.

        Returns:
            True when it was stored now, False when it was there.

        Raises:
            VerificationError: another content lies under the key.
        """
        digest = hashlib.sha256(body).digest()
        try:
            self._call(
                "put_object",
                Key=key,
                Body=body,
                ContentType=content_type,
                IfNoneMatch="*",
                ChecksumSHA256=base64.b64encode(digest).decode(),
                Metadata={"sha256": digest.hex()},
            )
            stored = True
        except ServiceError as error:
            if error.status != 412:
                raise
            stored = False
        head = self._call("head_object", Key=key)
        if head["ContentLength"] != len(body) or head["Metadata"].get("sha256") != digest.hex():
            raise VerificationError(f"s3://{self.bucket}/{key} holds another content than the one that was put there")
        return stored

    def put(self, key: str, body: bytes, content_type: str = "application/octet-stream") -> None:
        """Store the object, over whatever is there."""
        self._call("put_object", Key=key, Body=body, ContentType=content_type)

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        self._call("delete_object", Key=key)

    def move_unchanged(self, entry: StoredObject, target: str) -> bool:
        """Move a listed object, unless another content lies under its key by now, which then stays; returns whether it was moved."""
        if not self._is_unchanged(entry):
            return False
        self.move(entry.key, target)
        return True

    def delete_unchanged(self, entry: StoredObject) -> bool:
        """Remove a listed object, unless another content lies under its key by now; returns whether it was removed."""
        if not self._is_unchanged(entry):
            return False
        self.delete(entry.key)
        return True

    def _is_unchanged(self, entry: StoredObject) -> bool:
        """Whether the key still holds what was listed, or nothing any more."""
        there = self.stat(entry.key)
        return there is None or there.etag == entry.etag

    def move(self, source: str, target: str) -> None:
        """Copy within the bucket, then remove the source; safe to do again after a cut, or beside another that does the same."""
        try:
            self.copy(source, target)
        except ServiceError as error:
            if error.status == 404 and any(entry.key == target for entry in self.list(target)):
                return
            raise
        self.delete(source)

    def copy(self, source: str, target: str) -> None:
        """Copy within the bucket, over whatever is there."""
        self._call("copy_object", Key=target, CopySource={"Bucket": self.bucket, "Key": source})

    def _call(self, operation: str, **arguments: Any) -> Any:
        key = arguments.get("Key", arguments.get("Prefix", ""))
        where = f"s3://{self.bucket}/{key} at {self.endpoint_url}"
        try:
            return getattr(self.client, operation)(Bucket=self.bucket, **arguments)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            code = error.response.get("Error", {}).get("Code")
            if status is not None and (status >= 500 or status == 429):
                raise TransientError(f"{operation} of {where}: the store answered {status} {code}") from error
            status = 412 if code in _ALREADY_THERE else status
            hint = ": check the keys of its connection" if status in (401, 403) else ""
            if code == "RequestTimeTooSkewed":
                hint = ": the clocks of this machine and of the store differ by minutes; set them by NTP"
            raise ServiceError(f"{operation} of {where} was refused with {status} {code}{hint}", status=status, target=key) from error
        except BotoCoreError as error:
            raise TransientError(f"{operation} of {where}: the store does not answer ({error}): check that it runs") from error


def _objects(page: Any) -> Iterator[StoredObject]:
    for entry in page.get("Contents", []):
        if not entry["Key"].endswith("/"):
            yield StoredObject(entry["Key"], entry["Size"], entry["LastModified"], entry["ETag"])
