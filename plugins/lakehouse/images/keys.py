"""Where images lie in the bucket. Names come from content and dates alone: text from outside is never part of a key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

IMAGES, THUMBNAILS = "raw/images/", "raw/thumbnails/"
ARCHIVE, REFUSED, QUARANTINE, STAGING = "archive/images/", "refused/images/", "quarantine/images/", "staging/images/"
SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/gif": "gif"}
_SUFFIXES = sorted(set(SUFFIXES.values()))
_IMAGE_NAME = re.compile(rf"([0-9a-f]{{64}})\.(?:{'|'.join(_SUFFIXES)})")
_THUMBNAIL_NAME = re.compile(r"([0-9a-f]{64})\.jpg")


def image_key(day: date, image_id: str, mime_type: str) -> str:
    """Key of an image; `day` is the one on which it was stored first."""
    return f"{IMAGES}{day:%Y-%m-%d}/{image_id}.{SUFFIXES[mime_type]}"


def thumbnail_key(image_key: str) -> str:
    """Key of the thumbnail that belongs to an image's key."""
    return Layout().thumbnail_of(image_key)


@dataclass(frozen=True)
class Layout:
    """The prefixes of one table's images, ours by default."""

    images: str = IMAGES
    thumbnails: str = THUMBNAILS
    staging: str = STAGING
    archive: str = ARCHIVE
    quarantine: str = QUARANTINE

    def thumbnail_of(self, key: str) -> str:
        """Key of the thumbnail that belongs to an image's key."""
        return self.thumbnails + key.removeprefix(self.images).rpartition(".")[0] + ".jpg"

    def images_of(self, key: str) -> list[str]:
        """Keys of the image that a thumbnail, or an image, may belong to."""
        if not key.startswith(self.thumbnails):
            return [key]
        stem = self.images + key.removeprefix(self.thumbnails).rpartition(".")[0]
        return [f"{stem}.{suffix}" for suffix in _SUFFIXES]

    def image_id(self, key: str) -> str | None:
        """The image that a key is named by; None when the name is not one of ours."""
        prefix, pattern = (self.images, _IMAGE_NAME) if key.startswith(self.images) else (self.thumbnails, _THUMBNAIL_NAME)
        folder, _, name = key.removeprefix(prefix).partition("/")
        found = pattern.fullmatch(name)
        return found[1] if found and key.startswith(prefix) and day_of(folder) else None


def day_of(folder: str) -> date | None:
    """The day that a folder is named by; None when it is named otherwise."""
    try:
        day = date.fromisoformat(folder)
    except ValueError:
        return None
    return day if day.isoformat() == folder else None
