"""Where back-ups lie: what is whole, what is secret, what goes."""

from __future__ import annotations

import io
from pathlib import Path

import pyrage
import pytest
from pyarrow import fs

from lakehouse.backup.vault import Kept, KeptFile, Vault
from lakehouse.exceptions import ConfigurationError, LakehouseError, TransientError, VerificationError

FIRST, SECOND, THIRD = "20261122T030000Z", "20261123T030000Z", "20261124T030000Z"
SECRET = b"a password hash\n" * 100_000


@pytest.fixture
def identity() -> pyrage.x25519.Identity:
    """Whoever may read the secrets."""
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def vault(tmp_path: Path, identity: pyrage.x25519.Identity) -> Vault:
    """An empty vault in a folder."""
    return Vault(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), str(tmp_path), str(identity.to_public()))


def put(vault: Vault, backup: str, content: bytes = b"rows", *, close: bool = True) -> KeptFile:
    """A back-up with one part."""
    file = vault.keep(backup, "airflow.dump", io.BytesIO(content), secret=True)
    vault.keep_part(backup, Kept("databases", [file], {"airflow/public.dag": "3 rows"}, {"owners": {"airflow": "airflow"}}))
    if close:
        vault.close(backup, ["databases"], run_id="manual")
    return file


def read(vault: Vault, backup: str, file: KeptFile, identity: object) -> bytes:
    """A file as the restore gets it."""
    sink = io.BytesIO()
    vault.copy_out(backup, file, sink, str(identity))
    return sink.getvalue()


def test_a_secret_comes_back_and_lies_there_as_age_file(vault: Vault, tmp_path: Path, identity: object) -> None:
    file = put(vault, FIRST, SECRET)

    lies_there = (tmp_path / FIRST / "airflow.dump.age").read_bytes()
    assert lies_there.startswith(b"age-encryption.org/v1\n")
    assert b"password" not in lies_there
    assert read(vault, FIRST, file, identity) == SECRET


def test_what_is_no_secret_can_be_read_by_people(vault: Vault, tmp_path: Path) -> None:
    file = vault.keep(FIRST, "boards.json", io.BytesIO(b"{}"), secret=False)

    assert (tmp_path / FIRST / "boards.json").read_bytes() == b"{}"
    assert read(vault, FIRST, file, "") == b"{}"


def test_another_key_is_refused_with_the_place_of_the_right_one(vault: Vault) -> None:
    file = put(vault, FIRST)

    with pytest.raises(ConfigurationError, match=r"BACKUP_IDENTITY is not the key .* it is in the secrets.env of that installation"):
        read(vault, FIRST, file, pyrage.x25519.Identity.generate())


def test_no_public_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the extra `recipient` is no public key of age"):
        Vault(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "here", "AGE-SECRET-KEY-1")


def test_a_back_up_counts_when_its_manifest_is_there(vault: Vault) -> None:
    put(vault, FIRST)
    put(vault, SECOND, close=False)

    assert vault.backups() == [FIRST]
    assert vault.part(FIRST, "databases").objects == {"airflow/public.dag": "3 rows"}
    with pytest.raises(ConfigurationError, match=rf"there is no whole back-up '{SECOND}' in .*; there are: {FIRST}"):
        vault.manifest(SECOND)


@pytest.mark.parametrize("missing", ["airflow.dump.age", "part-databases.json"])
def test_what_lacks_a_file_is_not_made_whole(vault: Vault, tmp_path: Path, missing: str) -> None:
    put(vault, FIRST, close=False)
    (tmp_path / FIRST / missing).unlink()

    with pytest.raises(VerificationError, match="clear"):
        vault.close(FIRST, ["databases"])
    assert vault.backups() == []


def test_a_file_that_changed_is_not_restored(vault: Vault, tmp_path: Path, identity: object) -> None:
    file = put(vault, FIRST)
    path = tmp_path / FIRST / "airflow.dump.age"
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    with pytest.raises(VerificationError, match="is not what was kept"):
        read(vault, FIRST, file, identity)


def test_the_oldest_go_and_halves_with_them(vault: Vault, tmp_path: Path) -> None:
    put(vault, FIRST)
    put(vault, "20261122T040000Z", close=False)
    put(vault, SECOND)
    put(vault, THIRD)
    (tmp_path / "opensearch").mkdir()

    assert vault.prune(2, THIRD) == ["20261122T040000Z", FIRST]
    assert vault.backups() == [THIRD, SECOND]
    assert (tmp_path / "opensearch").exists()


def test_a_newer_half_stays(vault: Vault) -> None:
    put(vault, SECOND)
    put(vault, THIRD, close=False)

    assert vault.prune(1, SECOND) == []
    vault.close(THIRD, ["databases"])


def test_a_name_cannot_lead_out_of_the_vault(vault: Vault) -> None:
    with pytest.raises(ConfigurationError, match="is no name of a back-up"):
        put(vault, "../elsewhere")


def test_a_place_that_cannot_be_written_is_named(identity: pyrage.x25519.Identity) -> None:
    nowhere = Vault(fs.SubTreeFileSystem("/proc/nowhere", fs.LocalFileSystem()), "/proc/nowhere", str(identity.to_public()))

    with pytest.raises(TransientError, match=r"/proc/nowhere cannot be written or read: .*: check connection lakehouse_backup"):
        put(nowhere, FIRST)


def test_an_unread_source_leaves_no_whole_back_up(vault: Vault) -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: object) -> int:
            raise OSError("the dump broke off")

    with pytest.raises(LakehouseError, match="the dump broke off"):
        vault.keep(FIRST, "airflow.dump", Broken(), secret=True)  # type: ignore[arg-type]
    assert vault.backups() == []
