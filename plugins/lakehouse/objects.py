"""Objects in an S3-compatible store: list, read, put once, move."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lakehouse.exceptions import ConfigurationError, ServiceError, TransientError, VerificationError

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

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Objects under a prefix, in the order of their keys; folder markers are left out."""
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=prefix, **token)
            for entry in page.get("Contents", []):
                if not entry["Key"].endswith("/"):
                    yield StoredObject(entry["Key"], entry["Size"], entry["LastModified"], entry["ETag"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def read(self, key: str) -> bytes:
        """The object's bytes."""
        return bytes(self._call("get_object", Key=key)["Body"].read())

    def download(self, entry: StoredObject, path: Path) -> str | None:
        """Stream a listed object into a file; returns its SHA-256 (hex), None when it is gone or another one since it was listed."""
        digest = hashlib.sha256()
        try:
            body = self._call("get_object", Key=entry.key, IfMatch=entry.etag)["Body"]
        except ServiceError as error:
            if error.status in (404, 412):
                return None
            raise
        try:
            with path.open("wb") as file:
                for chunk in body.iter_chunks(1 << 20):
                    digest.update(chunk)
                    file.write(chunk)
        except BotoCoreError as error:
            raise TransientError(f"reading s3://{self.bucket}/{entry.key} broke off: {error}: run the task again") from error
        return digest.hexdigest()

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
        try:
            return bool(self._call("head_object", Key=entry.key)["ETag"] == entry.etag)
        except ServiceError as error:
            if error.status == 404:
                return True
            raise

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
