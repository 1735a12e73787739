"""Objects of the gallery's bucket: thumbnails for the pages, and links that open an image in the browser for a few minutes.

Thumbnails go through the gallery's own port: pages then work wherever the gallery is reached, and do not go blank when links expire.
Originals may have 50 MB each and go straight from the store to the browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from include.gallery.settings import LINK_SECONDS, Store
from include.gallery.waiting import within
from lakehouse.exceptions import ServiceError, TransientError
from lakehouse.images.keys import IMAGES, THUMBNAILS, thumbnail_key

SECONDS = 20
# A person waits for this. Refused connections are tried again at once, a frozen store is given up after two times eight seconds.
_PATIENCE = Config(
    connect_timeout=3,
    read_timeout=8,
    retries={"total_max_attempts": 2, "mode": "standard"},
    s3={"addressing_style": "path"},
    signature_version="s3v4",
)


class Pictures:
    """The bucket, with a key that can read and nothing else."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.where = f"the store at {store.endpoint_url}"

    @cached_property
    def _client(self) -> Any:
        return _client(self.store, self.store.endpoint_url)

    @cached_property
    def _public_client(self) -> Any:
        """Signs for the address that browsers use: the host is part of a signature."""
        return _client(self.store, self.store.public_url)

    def check(self) -> None:
        """Ask for an object that is not there, which needs no right to list.

        Raises:
            ServiceError: the store refuses the gallery's key.
            TransientError: it does not answer.
        """
        self.has(f"{THUMBNAILS}none")

    def key_of(self, address: str | None) -> str | None:
        """The key of an image's `s3://` address; None when it is not one of this bucket's images."""
        parts = urlsplit(address or "")
        key = parts.path.lstrip("/")
        return key if (parts.scheme, parts.netloc) == ("s3", self.store.bucket) and key.startswith(IMAGES) else None

    def thumbnails(self, addresses: Sequence[str | None]) -> list[bytes | None]:
        """The thumbnails of images, by their addresses, read side by side; None for one that is not there or is no JPEG.

        Raises:
            ServiceError, TransientError: as for `check`.
        """
        keys = [thumbnail_key(key) if (key := self.key_of(address)) else None for address in addresses]
        with ThreadPoolExecutor(8, thread_name_prefix="pictures") as pool:
            found = within(SECONDS, self.where, lambda: list(pool.map(lambda key: self._read(key) if key else None, keys)))
        return [body if body and body.startswith(b"\xff\xd8\xff") else None for body in found]

    def has(self, key: str) -> bool:
        """Whether there is such an object."""
        return within(SECONDS, self.where, lambda: self._call("head_object", key)) is not None

    def _read(self, key: str) -> bytes | None:
        answer = self._call("get_object", key)
        return None if answer is None else bytes(answer["Body"].read())

    def link(self, key: str, *, save_as: str | None = None) -> str:
        """A URL that opens the object for a few minutes; with a name, browsers save it instead of showing it."""
        named = {"ResponseContentDisposition": f'attachment; filename="{save_as}"'} if save_as else {}
        arguments = {"Bucket": self.store.bucket, "Key": key, **named}
        return str(self._public_client.generate_presigned_url("get_object", Params=arguments, ExpiresIn=LINK_SECONDS))

    def _call(self, operation: str, key: str) -> Any:
        """The store's answer; None when it has no such object."""
        try:
            return getattr(self._client, operation)(Bucket=self.store.bucket, Key=key)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status == 404:
                return None
            if status >= 500 or status == 429:
                raise TransientError(f"{self.where} answers {status}") from error
            raise ServiceError(f"{self.where} refuses the gallery's key ({status})", status=status, target=key) from error
        except BotoCoreError as error:
            raise TransientError(f"{self.where} does not answer ({type(error).__name__})") from error


def _client(store: Store, url: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name=store.region,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        config=_PATIENCE,
    )
