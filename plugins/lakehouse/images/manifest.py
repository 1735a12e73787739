"""Reads a list of image URLs, CSV with a header or JSON lines, line by line: each is an entry, or refused with a reason."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from io import BytesIO
from typing import BinaryIO

import orjson

from lakehouse.images.fetch_rules import shown_url

COLUMNS = ("url", "tag", "source_system", "licence")
_LICENCE_LENGTH = 200


@dataclass(frozen=True)
class ManifestEntry:
    """One image that is asked for; `line` counts from 1, the header and empty lines included."""

    line: int
    url: str
    tag: str
    source_system: str
    licence: str | None


@dataclass(frozen=True)
class BadLine:
    """A line that is not taken; with the reasons `bad_header` and `too_many_lines` it stands for all lines after it, too."""

    line: int
    reason: str
    detail: str


class _Bad(ValueError):  # noqa: N818  # becomes a BadLine
    """Reason and detail."""


def read_manifest(
    manifest: bytes | BinaryIO,
    *,
    tags: Collection[str],
    source_systems: Collection[str],
    defaults: Mapping[str, str | None],
    max_lines: int = 100_000,
    max_line_bytes: int = 8_192,
) -> Iterator[ManifestEntry | BadLine]:
    """Entries and bad lines in their order; a manifest whose first line begins with a brace is JSON lines.

    Args:
        manifest: its bytes, or a file opened for bytes, of which one line is held at a time.
        tags: what may stand in the column `tag`.
        source_systems: what may stand in the column `source_system`.
        defaults: values by column, for what a line leaves out or empty.
        max_lines: nothing is read after these.
        max_line_bytes: a longer line is refused without being held.
    """
    allowed = {"tag": tags, "source_system": source_systems}
    parse: Callable[[str], dict[str, object]] | None = None
    seen: dict[bytes, int] = {}
    for number, line in enumerate(_lines(BytesIO(manifest) if isinstance(manifest, bytes) else manifest, max_line_bytes), start=1):
        if number > max_lines:
            yield BadLine(number, "too_many_lines", f"nothing is read from here on, at most {max_lines} lines are: split the manifest")
            return
        if not line.strip():
            continue
        if parse is None and line.lstrip().startswith(b"{"):
            parse = _from_json
        try:
            text = _text(line, max_line_bytes)
            if parse is None:
                parse = partial(_from_csv, _header(text))
                continue
            entry = _entry(number, parse(text), allowed, defaults)
            first = seen.setdefault(sha256(entry.url.encode()).digest(), number)
            if first != number:
                raise _Bad("duplicate", f"line {first} has the same URL: {shown_url(entry.url)}")
            yield entry
        except _Bad as error:
            reason, detail = error.args
            if parse is None:
                yield BadLine(number, "bad_header", f"line {number}: {detail}; nothing of this manifest is read")
                return
            yield BadLine(number, reason, f"line {number}: {detail}")


def _lines(file: BinaryIO, most: int) -> Iterator[bytes]:
    """Lines without a byte-order mark; of one that is too long, no more than shows it."""
    line = file.readline(most + 5).removeprefix(b"\xef\xbb\xbf")
    while line:
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(65_536)
        yield line.rstrip(b"\r\n")
        line = file.readline(most + 5)


def _text(line: bytes, most: int) -> str:
    if len(line) > most:
        raise _Bad("line_too_long", f"at most {most} bytes are read")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise _Bad("not_utf8", "it is not UTF-8") from None


def _header(text: str) -> list[str]:
    names = [name.strip() for name in _cells(text)]
    _check_columns(names)
    if "url" not in names or len(set(names)) < len(names):
        raise _Bad("bad_header", f"the header names url, and each of {', '.join(COLUMNS[1:])} once at most")
    return names


def _from_csv(header: list[str], text: str) -> dict[str, object]:
    cells = _cells(text)
    if len(cells) != len(header):
        raise _Bad("not_csv", f"{len(cells)} fields, the header has {len(header)}")
    return dict(zip(header, cells, strict=True))


def _cells(text: str) -> list[str]:
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise _Bad("not_csv", str(error)) from None


def _from_json(text: str) -> dict[str, object]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _Bad("not_json", error.msg) from None
    if not isinstance(found, dict):
        raise _Bad("not_json", "it is no JSON object")
    _check_columns(found)
    return found


def _check_columns(names: Iterable[str]) -> None:
    if unknown := [shown_url(name)[:40] for name in names if name not in COLUMNS]:  # Where a header is missing, that is a URL.
        raise _Bad("unknown_column", f"unknown {', '.join(map(repr, unknown[:4]))}; the columns are {', '.join(COLUMNS)}")


def _entry(
    number: int, fields: dict[str, object], allowed: Mapping[str, Collection[str]], defaults: Mapping[str, str | None]
) -> ManifestEntry:
    values = {}
    for name in COLUMNS:
        value = fields.get(name)
        if value is not None and not isinstance(value, str):
            raise _Bad(f"bad_{name}", f"{name} is a {type(value).__name__}, text is wanted")
        values[name] = (value or "").strip() or defaults.get(name) or ""
        if name in allowed and values[name] not in allowed[name]:
            raise _Bad(f"bad_{name}", f"{name} is none of {', '.join(allowed[name])}")
    if not values["url"]:
        raise _Bad("bad_url", "there is no url")
    if len(values["licence"]) > _LICENCE_LENGTH or not values["licence"].isprintable():
        raise _Bad("bad_licence", f"licence is one line of at most {_LICENCE_LENGTH} letters")
    return ManifestEntry(number, values["url"], values["tag"], values["source_system"], values["licence"] or None)
