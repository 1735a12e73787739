"""Where back-ups lie: one folder for each, in a file system or a bucket. One is whole when its manifest is there.

What holds secrets is encrypted to a public key in the age format (https://age-encryption.org/v1), so that whoever makes back-ups cannot
read them; `age --decrypt` reads them without this package.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import IO, Any

import pyarrow
import pyrage
from pyarrow import fs

from lakehouse.exceptions import ConfigurationError, StorageFullError, TransientError, VerificationError

log = logging.getLogger(__name__)

ENCRYPTED = ".age"
_MANIFEST = "manifest.json"
_NAME = re.compile(r"^\d{8}T\d{6}Z$")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class KeptFile:
    """A file of a back-up as it lies there: size in bytes, and SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Kept:
    """One part of a back-up, such as the databases.

    Attributes:
        objects: what it holds, by name, each with a text that is the same for the same content.
        facts: what else the restore must know.
    """

    part: str
    files: Sequence[KeptFile]
    objects: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)


class Vault:
    """A folder or a bucket that keeps back-ups.

    Args:
        files: the file system; paths in it begin at the vault.
        shown: how people call the place.
        recipient: public key of the age format, `age1…`.

    Raises:
        ConfigurationError: the key is none.
    """

    def __init__(self, files: fs.FileSystem, shown: str, recipient: str) -> None:
        self._files, self.shown = files, shown
        try:
            self._recipient = pyrage.x25519.Recipient.from_str(recipient)
        except pyrage.RecipientError as error:
            raise ConfigurationError(f"the extra `recipient` is no public key of age (`age1…`): {error}") from error

    def keep(self, backup: str, name: str, source: IO[bytes], *, secret: bool) -> KeptFile:
        """Copy a stream into a back-up, encrypted where it is secret, and read it back.

        Raises:
            StorageFullError: there is no room.
            TransientError: the place does not answer.
            VerificationError: it reads back differently.
        """
        path = f"{_named(backup)}/{name}{ENCRYPTED if secret else ''}"
        try:
            self._files.create_dir(backup, recursive=True)
            with self._files.open_output_stream(path) as stream:
                sink = _Counted(stream)
                if secret:
                    pyrage.encrypt_io(source, sink, [self._recipient])
                else:
                    while block := source.read(_BLOCK):
                        sink.write(block)
            kept = KeptFile(path.partition("/")[2], sink.size, sink.sha256.hexdigest())
            found = self._measured(path)
        except (OSError, pyrage.EncryptError) as error:  # pyrage wraps those of its streams
            raise _told(error, self.shown) from error
        if found != (kept.size, kept.sha256):
            raise VerificationError(
                f"{self.shown}/{path} reads back with {found[0]} bytes, {kept.size} were written: is the disk well? Clear the task"
            )
        log.info("%s: %.1f MB%s", path, kept.size / 1e6, ", encrypted" if secret else "")
        return kept

    def keep_part(self, backup: str, kept: Kept) -> None:
        """Note what a part holds, for the manifest."""
        self.keep(backup, f"part-{kept.part}.json", io.BytesIO(_json(asdict(kept))), secret=False)

    def close(self, backup: str, parts: Sequence[str], **facts: Any) -> dict[str, Kept]:
        """Make a back-up whole: every part is there, with every file in its size, and the manifest says so.

        Raises:
            VerificationError: a part or a file is missing.
        """
        found = {part: self._part(backup, part) for part in parts}
        for kept in found.values():
            for file in kept.files:
                info = self._files.get_file_info(f"{backup}/{file.name}")
                if info.size != file.size:
                    raise VerificationError(f"{self.shown}/{backup}/{file.name} has {info.size} bytes and not {file.size}: clear all tasks")
        manifest = facts | {"backup": backup, "parts": {part: asdict(kept) for part, kept in found.items()}}
        self.keep(backup, _MANIFEST, io.BytesIO(_json(manifest)), secret=False)
        return found

    def backups(self) -> list[str]:
        """Names of the whole ones, the newest first."""
        return [name for name in self._folders() if self._files.get_file_info(f"{name}/{_MANIFEST}").type == fs.FileType.File]

    def manifest(self, backup: str) -> dict[str, Any]:
        """What a back-up says of itself.

        Raises:
            ConfigurationError: there is no such back-up.
        """
        known = self.backups()
        if backup not in known:
            raise ConfigurationError(f"there is no whole back-up {backup!r} in {self.shown}; there are: {', '.join(known[:5]) or 'none'}")
        return dict(json.loads(self._read(f"{backup}/{_MANIFEST}")))

    def part(self, backup: str, part: str) -> Kept:
        """One part of a whole back-up.

        Raises:
            ConfigurationError: the back-up is not there, or has no such part.
        """
        said = self.manifest(backup)["parts"]
        if part not in said:
            raise ConfigurationError(f"back-up {backup} has no {part}; it has: {', '.join(said)}")
        return Kept(**{**said[part], "files": [KeptFile(**file) for file in said[part]["files"]]})

    def copy_out(self, backup: str, file: KeptFile, sink: IO[bytes], identity: str) -> None:
        """Copy a file of a back-up to a stream, decrypted.

        Raises:
            ConfigurationError: the private key is not the one that the back-up was made for.
            VerificationError: the file is not what was kept.
        """
        path = f"{backup}/{file.name}"
        if self._measured(path) != (file.size, file.sha256):
            raise VerificationError(f"{self.shown}/{path} is not what was kept: take another back-up, or another copy of this one")
        with self._files.open_input_stream(path) as source:
            if not file.name.endswith(ENCRYPTED):
                while block := source.read(_BLOCK):
                    sink.write(block)
                return
            try:
                pyrage.decrypt_io(source, sink, [pyrage.x25519.Identity.from_str(identity)])
            except (pyrage.DecryptError, pyrage.IdentityError) as error:
                raise ConfigurationError(
                    f"BACKUP_IDENTITY is not the key that {path} was made for ({error}): it is in the secrets.env of that installation"
                ) from error

    def prune(self, keep: int, newest: str) -> list[str]:
        """Remove all but the newest `keep` whole back-ups, and older ones that were never made whole; returns their names."""
        stay = {newest, *self.backups()[:keep]}
        gone = [name for name in self._folders() if name not in stay and name < newest]
        for name in gone:
            # First what makes it whole: half a back-up must not look like one.
            if self._files.get_file_info(f"{name}/{_MANIFEST}").type == fs.FileType.File:
                self._files.delete_file(f"{name}/{_MANIFEST}")
            self._files.delete_dir(name)
            log.info("removed back-up %s", name)
        return gone

    def _folders(self) -> list[str]:
        try:
            found = self._files.get_file_info(fs.FileSelector("", allow_not_found=True))
        except OSError as error:
            raise _told(error, self.shown) from error
        names = [info.base_name for info in found if info.type == fs.FileType.Directory and _NAME.match(info.base_name)]
        return sorted(names, reverse=True)

    def _part(self, backup: str, part: str) -> Kept:
        try:
            said = json.loads(self._read(f"{backup}/part-{part}.json"))
        except FileNotFoundError as error:
            raise VerificationError(f"{self.shown}/{backup} has no {part}: clear the task that backs it up") from error
        return Kept(**{**said, "files": [KeptFile(**file) for file in said["files"]]})

    def _read(self, path: str) -> bytes:
        with self._files.open_input_stream(path) as stream:
            return bytes(stream.read())

    def _measured(self, path: str) -> tuple[int, str]:
        size, digest = 0, hashlib.sha256()
        with self._files.open_input_stream(path) as stream:
            while block := stream.read(_BLOCK):
                size += len(block)
                digest.update(block)
        return size, digest.hexdigest()


class _Counted:
    """What pyrage writes to: counts and digests what passes."""

    def __init__(self, stream: pyarrow.NativeFile) -> None:
        self._stream, self.size, self.sha256 = stream, 0, hashlib.sha256()

    def write(self, block: bytes) -> int:
        self._stream.write(block)
        self.sha256.update(block)
        self.size += len(block)
        return len(block)

    def flush(self) -> None:
        self._stream.flush()


def _named(backup: str) -> str:
    if not _NAME.match(backup):
        raise ConfigurationError(f"{backup!r} is no name of a back-up: write it as 20261124T030000Z")
    return backup


def _told(error: Exception, shown: str) -> Exception:
    if "No space left" in str(error):
        return StorageFullError(f"there is no room for back-ups in {shown}: make some, or keep fewer (param keep)")
    return TransientError(f"{shown} cannot be written or read: {error}: check connection lakehouse_backup")


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
