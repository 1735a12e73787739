"""The Hive metastore: the second catalog, `CATALOG=hive`."""

from __future__ import annotations

import os
import socket
import struct

import psycopg2

from stack import software
from stack.errors import StackError
from stack.installation import HOST, Installation
from stack.services.process import check_call
from stack.services.service import Service

_TOOLS = "org.apache.hadoop.hive.metastore"
# What Hive 3.1 reaches into of a JDK newer than 8.
_OPENED = ("java.lang", "java.net", "java.util", "java.util.concurrent")
# Thrift's binary protocol (thrift-binary-protocol.md): version and kind of a message, and the types of fields.
_CALL, _REPLY, _LIST = 0x8001_0001, 0x8001_0002, 15


def metastore(stack: Installation) -> Service:
    """One process over PostgreSQL."""
    home, config = software.metastore_home(), stack.etc / "metastore"
    environment = {"METASTORE_HOME": str(home)}

    def java(main: str, *arguments: str) -> list[str]:
        return [
            str(software.spark_java_home() / "bin" / "java"),
            "-Xmx512m",
            "-XX:+UseSerialGC",
            *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
            f"-Dmetastore.home={home}",
            f"-Dlog4j.configurationFile={config / 'log4j2.properties'}",
            "-cp",
            ":".join(str(entry) for entry in [config, *software.metastore_class_path()]),
            f"{_TOOLS}.{main}",
            *arguments,
        ]

    def prepare() -> None:
        if _has_schema(stack):
            return
        # User and password come from metastore-site.xml on the class path.
        command = java("tools.MetastoreSchemaTool", "-dbType", "postgres", "-initSchema")
        check_call(command, env={**os.environ, **environment}, log=stack.logs / "metastore-schema.log")

    return Service(
        "metastore",
        "Hive metastore",
        java("HiveMetaStore", "-p", str(stack.ports["metastore"])),
        ready=lambda: _databases_answer(stack),
        ports=("metastore",),
        environment=environment,
        prepare=prepare,
    )


def _has_schema(stack: Installation) -> bool:
    """Whether the tables are there; what a cut first start left behind is removed.

    Raises:
        StackError: PostgreSQL does not answer.
    """
    password = stack.secrets["POSTGRES_METASTORE_PASSWORD"]
    try:
        connection = psycopg2.connect(
            host=HOST, port=stack.ports["postgres"], user="metastore", password=password, dbname="metastore", connect_timeout=3
        )
    except psycopg2.OperationalError as error:
        raise StackError(f"the Hive metastore cannot reach its database: {error}: see `make status`") from error
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("""SELECT to_regclass('public."VERSION"')""")
            if cursor.fetchone() != (None,):
                # The script's last statement writes this row.
                cursor.execute('SELECT count(*) FROM "VERSION"')
                if cursor.fetchone() == (1,):
                    return True
            cursor.execute("DROP OWNED BY CURRENT_USER")
            return False
    finally:
        connection.close()


def _databases_answer(stack: Installation) -> bool:
    """Ask for the names of all databases, which the metastore reads from PostgreSQL; its reply must be a list, not an error."""
    method = b"get_all_databases"
    # No arguments: the call ends with the stop byte of an empty struct. The reply begins with its first field, a list with the number 0.
    call = struct.pack(f">II{len(method)}siB", _CALL, len(method), method, 0, 0)
    reply = struct.pack(f">II{len(method)}siBh", _REPLY, len(method), method, 0, _LIST, 0)
    with socket.create_connection((HOST, stack.ports["metastore"]), timeout=5) as connection:
        connection.sendall(call)
        with connection.makefile("rb") as file:
            return file.read(len(reply)) == reply
