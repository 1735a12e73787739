"""Where the gallery reads from: one JSON file, named by `LAKEHOUSE_GALLERY`, that only its owner can read."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse.exceptions import ConfigurationError

VARIABLE = "LAKEHOUSE_GALLERY"
# How long what was read is shown again, and how long a signed URL opens an image.
CACHE_SECONDS = 300
LINK_SECONDS = 300


@dataclass(frozen=True)
class Store:
    """The images' bucket, with a key that can read and nothing else; `public_url` is the address that browsers reach it at."""

    endpoint_url: str
    public_url: str
    region: str
    bucket: str
    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Settings:
    """The table, its catalog (PyIceberg's own properties) and the store."""

    table: str
    catalog_name: str
    catalog: dict[str, str]
    store: Store


def load(path: Path | None = None) -> Settings:
    """The settings of `path`, by default the file that the environment names.

    Raises:
        ConfigurationError: there is no such file, or a field is missing or unknown.
    """
    named = path or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is None:
        raise ConfigurationError(f"{VARIABLE} is not set: it names the settings file, see docs/gallery.md")
    try:
        fields: dict[str, Any] = json.loads(named.read_text())
        return Settings(**{**fields, "store": Store(**fields["store"])})
    except OSError as error:
        raise ConfigurationError(f"the settings file {named} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        # The error's own text may show a value, and some of them are secret.
        raise ConfigurationError(f"the settings file {named} has a wrong or missing field: compare it with docs/gallery.md") from error
