"""Where images come from: a landing prefix, a folder, manifests of URLs; each source is one line of a batch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from lakehouse.exceptions import ConfigurationError
from lakehouse.groups import groups
from lakehouse.images.keys import STAGING
from lakehouse.images.manifest import BadLine, read_manifest
from lakehouse.objects import ObjectStore

TAGS, SOURCE_SYSTEMS = ("product", "user", "analytics"), ("manual", "batch", "api")
# A batch lies on its worker's disk as a whole.
_BATCH_FILES, _BATCH_BYTES = 500, 512_000_000
# Stands for the size of what is behind a URL, which nobody knows before it is fetched.
_URL_SIZE = 4_000_000
_MANIFEST_BYTES = 32_000_000


@dataclass(frozen=True)
class Labels:
    """What a row says of an image beside what is found in it."""

    tag: str
    source_system: str
    licence: str | None = None


@dataclass(frozen=True)
class Source:
    """One image that is to be taken.

    Attributes:
        kind: an object of the bucket, a file of this machine, a URL, or a line of a manifest that is refused already.
        place: key, path, URL, or manifest and line.
        etag: of the object as it was listed.
        manifest: key of the manifest that lists it, and `manifest_etag` its ETag then.
        refused: reason and detail of a bad line.
    """

    kind: Literal["object", "file", "url", "bad_line"]
    place: str
    size: int
    labels: Labels
    etag: str = ""
    manifest: str = ""
    manifest_etag: str = ""
    refused: tuple[str, str] | None = None

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Source:
        """As `asdict` wrote it."""
        refused = fields.get("refused")
        return cls(**fields | {"labels": Labels(**fields["labels"]), "refused": tuple(refused) if refused else None})


@dataclass(frozen=True)
class Batch:
    """Some sources of a run, listed in a staged object; `started` is the run's one upload time."""

    key: str
    files: int
    started: datetime


def landed(store: ObjectStore, landing: str, labels: Labels) -> Iterator[Source]:
    """Objects under a landing prefix; those in a folder named as a tag, and in it as a source system, are of that one.

    Raises:
        ConfigurationError: the prefix is none: the whole bucket would be taken.
    """
    if not landing.endswith("/"):
        raise ConfigurationError(f"landing is {landing!r}: write a prefix that ends in /")
    for entry in store.list(landing):
        own = labels
        folders = entry.key.removeprefix(landing).split("/")[:-1]
        if folders and folders[0] in TAGS:
            system = folders[1] if len(folders) > 1 and folders[1] in SOURCE_SYSTEMS else labels.source_system
            own = Labels(folders[0], system, labels.licence)
        yield Source("object", entry.key, entry.size, own, entry.etag)


def in_folder(folder: Path, labels: Labels) -> Iterator[Source]:
    """Files below a folder of this machine, in the order of their paths; links are not followed, and nothing is moved.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder of this worker")
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        name = str(path)
        if _is_text(name):
            yield Source("file", name, path.stat().st_size, labels)
        else:
            shown = name.encode(errors="surrogateescape").decode(errors="replace")
            yield Source("bad_line", shown, 0, labels, refused=("bad_name", "its name is not UTF-8"))


def in_manifests(store: ObjectStore, prefix: str, labels: Labels) -> Iterator[Source]:
    """What the manifests under a prefix list; a line that is no use, or a manifest without any, is a source that is refused."""
    for entry in store.list(prefix):
        if not 0 < entry.size <= _MANIFEST_BYTES:
            detail = f"{entry.size} bytes; a manifest has some, and at most {_MANIFEST_BYTES}"
            yield Source("bad_line", entry.key, 0, labels, "", entry.key, entry.etag, ("bad_manifest", detail))
            continue
        for line in read_manifest(store.read(entry.key), tags=TAGS, source_systems=SOURCE_SYSTEMS, defaults=asdict(labels)):
            if isinstance(line, BadLine):
                place = f"{entry.key}, line {line.line}"
                yield Source("bad_line", place, 0, labels, "", entry.key, entry.etag, (line.reason, line.detail))
            else:
                own = Labels(line.tag, line.source_system, line.licence)
                yield Source("url", line.url, _URL_SIZE, own, "", entry.key, entry.etag)


def plan(store: ObjectStore, run: str, started: datetime, sources: Iterable[Source], *, max_files: int) -> list[Batch]:
    """Stage the sources in batches for `upload`; what is beyond `max_files` waits, but a manifest or a folder is taken whole.

    Args:
        store: the bucket.
        run: name of the run, a part of a key.
        started: upload time of the run's images; its day decides their keys.
        sources: what is to be taken.
        max_files: how many of them at most.
    """
    batches = []
    for number, group in enumerate(groups(_bounded(sources, max_files), max_files=_BATCH_FILES, max_bytes=_BATCH_BYTES)):
        key = f"{STAGING}{run}/batch-{number:04d}.json"
        store.put(key, json.dumps([asdict(source) for source in group]).encode(), "application/json")
        batches.append(Batch(key, len(group), started))
    return batches


def _bounded(sources: Iterable[Source], max_files: int) -> Iterator[Source]:
    manifest = ""
    for number, source in enumerate(sources):
        # A folder's files stay, so that the first ones would be taken again and again.
        if number >= max_files and (source.kind == "object" or (source.manifest and source.manifest != manifest)):
            return
        manifest = source.manifest
        yield source


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def staged(body: bytes) -> list[Source]:
    """The sources of a staged batch."""
    return [Source.from_dict(fields) for fields in json.loads(body)]
