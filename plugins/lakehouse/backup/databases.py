"""PostgreSQL's databases: dumped and measured in one snapshot, restored beside the old ones, compared, and put in their place.

Sources: PostgreSQL's manual, "pg_dump" (`--snapshot`), "Snapshot Synchronization Functions", "Predefined Roles" (`pg_read_all_data`).
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

import psycopg
from psycopg import sql

from lakehouse.backup.compare import Compared, compare
from lakehouse.backup.vault import Kept, KeptFile, Vault
from lakehouse.exceptions import ConfigurationError, LakehouseError, ServiceError, TransientError, VerificationError

log = logging.getLogger(__name__)

PART = "databases"
_CONNECT_SECONDS = 5


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server and who we are there: a role that may read all data; to restore, one that may create databases.

    Attributes:
        options: parameters of libpq besides, such as `sslmode`.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"PostgreSQL {self.host}:{self.port}"

    @contextmanager
    def connect(self, database: str = "postgres", *, autocommit: bool = True) -> Iterator[psycopg.Connection]:
        """A connection for as long as the block lasts.

        Raises:
            TransientError: it does not answer, or goes away.
            ServiceError: it refuses the role or a statement.
        """
        try:
            with psycopg.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                dbname=database,
                connect_timeout=_CONNECT_SECONDS,
                autocommit=autocommit,
                **self.options,  # type: ignore[arg-type]  # libpq's own, all text
            ) as connection:
                yield connection
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):
                raise ServiceError(f"{self} refuses {self.user}: {error}: mend connection lakehouse_postgres", target=database) from error
            raise TransientError(f"{self}, database {database}: {' '.join(str(error).split())}: is it running?") from error
        except psycopg.Error as error:
            raise ServiceError(f"{self} refuses {self.user} in {database}: {error}", target=database) from error

    @contextmanager
    def tool(self, program: str, *arguments: str, **pipes: int) -> Iterator[subprocess.Popen[bytes]]:
        """PostgreSQL's own program with a pipe; the password goes by environment.

        Raises:
            ConfigurationError: the program is not installed, or is older than the server.
            ServiceError: it failed; its words are in the error.
        """
        path = shutil.which(program)
        if path is None:
            raise ConfigurationError(f"there is no {program} on the PATH: install PostgreSQL's client of the server's major version")
        named = {f"PG{name.upper()}": value for name, value in self.options.items()}
        environment = {
            **os.environ,
            **named,
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
        }
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen([path, *arguments], env=environment, stderr=said, **pipes)  # type: ignore[call-overload]
            try:
                yield process
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        pipe.close()
                code = process.wait()
            except BrokenPipeError:  # It ended before it had read all; its words say why.
                code = process.wait()
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            if code:
                said.seek(0)
                words = said.read().decode(errors="replace").strip()[-800:]
                if "server version mismatch" in words:
                    raise ConfigurationError(
                        f"{path} is older than {self}: put PostgreSQL's client of the server's major version first on the PATH: {words}"
                    )
                raise ServiceError(f"{program} on {self} ended with {code}: {words}", target=arguments[-1])


def back_up(server: Server, vault: Vault, backup: str) -> Kept:
    """Dump every database that people or services have.

    Raises:
        LakehouseError: see `Server` and `Vault`.
    """
    files: list[KeptFile] = []
    objects: dict[str, str] = {}
    owners = _owners(server)
    for number, name in enumerate(sorted(owners), 1):
        log.info("database %d of %d: %s", number, len(owners), name)
        with server.connect(name, autocommit=False) as connection:
            # The counts and the dump see the same moment, whatever is written meanwhile.
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            row = connection.execute("SELECT pg_export_snapshot()").fetchone()
            assert row is not None  # noqa: S101  # a function without FROM has one row
            with server.tool("pg_dump", "--format=custom", f"--snapshot={row[0]}", f"--dbname={name}", stdout=subprocess.PIPE) as process:
                files.append(vault.keep(backup, f"{name}.dump", _stream(process.stdout), secret=True))
            objects |= _measure(connection, name)
    return Kept(PART, files, objects, {"owners": owners})


def restore(server: Server, vault: Vault, backup: str, identity: str) -> list[Compared]:
    """Restore every database beside the one that is there, compare, and only then put it in its place.

    Whoever uses the databases has to be stopped: their connections are ended.

    Raises:
        VerificationError: a restored database is not what was kept; the old one is in its place.
        LakehouseError: see `Server` and `Vault`.
    """
    kept = vault.part(backup, PART)
    compared: list[Compared] = []
    for file in kept.files:
        name = file.name.partition(".dump")[0]
        beside, owner = f"{name}__restoring", kept.facts["owners"][name]
        log.info("restoring database %s", name)
        with server.connect() as connection:
            connection.execute(_sql("DROP DATABASE IF EXISTS {} WITH (FORCE)", beside))
            connection.execute(_sql("CREATE DATABASE {} OWNER {} TEMPLATE template0", beside, owner))
        with server.tool("pg_restore", "--exit-on-error", f"--dbname={beside}", stdin=subprocess.PIPE) as process:
            vault.copy_out(backup, file, _stream(process.stdin), identity)
        with server.connect(beside, autocommit=False) as restored:
            found = _measure(restored, name)
        now = compare(PART, {key: text for key, text in kept.objects.items() if key.startswith(f"{name}/")}, found)
        if lost := [one for one in now if not one.same]:
            raise VerificationError(
                f"database {name} of {backup} restores differently: {lost[0].name} has {lost[0].restored or 'nothing'}, "
                f"{lost[0].kept} was kept ({len(lost)} tables); what was there before is untouched"
            )
        with server.connect() as connection:
            connection.execute(_sql("DROP DATABASE IF EXISTS {} WITH (FORCE)", name))
            connection.execute(_sql("ALTER DATABASE {} RENAME TO {}", beside, name))
        compared += now
    return compared


def _owners(server: Server) -> dict[str, str]:
    """Who owns each database that is no template, nor PostgreSQL's own."""
    query = "SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres'"
    with server.connect() as connection:
        found = {str(name): str(owner) for name, owner in connection.execute(query).fetchall()}
    return {name: owner for name, owner in found.items() if not name.endswith("__restoring")}


def _measure(connection: psycopg.Connection, database: str) -> dict[str, str]:
    """Rows and a checksum that no order changes, for each table."""
    tables = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    ).fetchall()
    found = {}
    for schema, table in tables:
        query = _sql("SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {}.{} AS t", schema, table)
        row = connection.execute(query).fetchone()
        assert row is not None  # noqa: S101  # an aggregate has one row
        found[f"{database}/{schema}.{table}"] = f"{row[0]} rows, checksum {row[1]}"
    return found


def _sql(text: str, *names: str) -> sql.Composed:
    return sql.SQL(text).format(*map(sql.Identifier, names))


def _stream(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise LakehouseError("the program was started without a pipe")
    return pipe
